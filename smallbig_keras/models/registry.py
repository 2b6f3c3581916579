"""The networks of all tables, by name."""

from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.models import baselines, efficient, smallbig
from smallbig_keras.models.factory import make_spec

_MODELS = {
    name: function
    for table in (smallbig, baselines, efficient)
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
        **options: fields of the spec that replace those of the variant.

    Returns:
        The spec, one of `smallbig_keras.models.specs`.

    Raises:
        SmallBigError: if a value is outside those allowed, or an option does not exist.
    """
    return make_spec(get_model_function(name), variant, classes, **options)


def match_network(network, name=None):
    """Finds the model function, variant and options of a network.

    Args:
        network: its spec, as `read_spec` reads it.
        name: str. Name of the model, which is that of the function unless the user chose another.
            Defaults to `None`.

    Returns:
        `(model, variant, options)`: the row that differs in the fewest options, and these.
    """
    found = [
        (model, variant, network.differences(row.spec), row.spec.classes != network.classes)
        for model in ([name] if _is_of(network, name) else list_models())
        for variant, row in _MODELS[model].variants.items()
        if isinstance(row.spec, type(network))
    ]
    # Rows of one network for several datasets are told apart by the number of classes.
    return min(found, key=lambda row: (len(row[2]), row[3]))[:3]


def _is_of(network, name):
    """Tells whether a name is of a model function, of a network of this family."""
    return name in _MODELS and isinstance(
        next(iter(_MODELS[name].variants.values())).spec, type(network)
    )
