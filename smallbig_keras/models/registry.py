"""The networks of all tables, by name."""

from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.models import baselines, smallbig
from smallbig_keras.models.factory import make_spec

_MODELS = {
    name: function
    for table in (smallbig, baselines)
    for name, function in vars(table).items()
    if hasattr(function, "variants")
}


def list_models():
    """Returns the names of all model functions, sorted.

    Returns:
        list of str. Each is a function of `smallbig_keras`.

    Example:

    >>> "SmallBigR50" in list_models()
    True
    """
    return sorted(_MODELS)


def get_model_function(name):
    """Returns the model function of a name.

    Args:
        name: str. One of `list_models()`.

    Returns:
        The function.

    Raises:
        SmallBigError: if there is no such model.
    """
    if name not in _MODELS:
        raise SmallBigError(
            f"The model must be one of {', '.join(list_models())}.{did_you_mean(name, _MODELS)} "
            f"Received: {name!r}"
        )
    return _MODELS[name]


def list_variants(name):
    """Returns the variants of a model.

    Args:
        name: str. One of `list_models()`.

    Returns:
        list of str, the default one first.

    Raises:
        SmallBigError: if there is no such model.
    """
    return list(get_model_function(name).variants)


def model_spec(name, variant="reference", classes=None, **options):
    """Returns the spec that a model function builds.

    Args:
        name: str. One of `list_models()`.
        variant: str. Variant of the model. Defaults to `"reference"`.
        classes: int. Classes of the head. Defaults to `None` for those of the model.
        **options: fields of `VideoResNetSpec` that replace those of the variant.

    Returns:
        VideoResNetSpec.

    Raises:
        SmallBigError: if a value is outside those allowed, or an option does not exist.
    """
    return make_spec(get_model_function(name), variant, classes, **options)


def match_network(options, name=None):
    """Finds the model function, variant and options of a network whose options are known.

    Args:
        options: dict that `read_options` gave.
        name: str. Name of the model, which is that of the function unless the user chose another.
            Defaults to `None`.

    Returns:
        `(model, variant, options)`: the row that differs in the fewest options, and these.
    """
    known = {k: v for k, v in options.items() if k not in ("classes", "pool_sizes")}
    best = None
    for model in [name] if name in _MODELS else list_models():
        for variant, spec in _MODELS[model].variants.items():
            differ = {k: v for k, v in known.items() if getattr(spec, k) != v}
            sizes = list(spec.pool_sizes)
            for unit, size in options["pool_sizes"].items():
                sizes[unit - 1] = size
            if tuple(sizes) != spec.pool_sizes:
                differ["pool_sizes"] = tuple(sizes)
            if best is None or len(differ) < len(best[2]):
                best = model, variant, differ
    return best
