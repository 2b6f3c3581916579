"""The networks of all tables, by name."""

import dataclasses

from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.models import baselines, smallbig
from smallbig_keras.models.factory import make_spec
from smallbig_keras.models.specs.video_resnet import VideoResNetSpec

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
    network = VideoResNetSpec(**options).canonical()
    best = None
    for model in [name] if name in _MODELS else list_models():
        for variant, row in _MODELS[model].variants.items():
            differ = _differences(network, row.spec)
            if best is None or len(differ) < len(best[2]):
                best = model, variant, differ
    return best


def _differences(network, spec):
    """Returns the options of a network that make it of a spec; both name what they take."""
    size = {name: getattr(network, name) for name in ("blocks", "width", "classes")}
    kinds = ("temporal", "nonlocal")
    own = ()
    try:
        same_size = dataclasses.replace(spec, **size)
    except SmallBigError:
        # The row's patterns take no block of so few: the network's own must be given.
        own = tuple(f"{kind}_stages" for kind in kinds)
        same_size = dataclasses.replace(spec, **size, **dict.fromkeys(own, ()))
    same_size = same_size.canonical()
    values = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    options = {
        name: value
        for name, value in values.items()
        if (value != getattr(same_size, name) or name in own) and name not in network.idle()
    }
    options |= {name: n for name, n in size.items() if n != getattr(spec, name)}
    if dataclasses.replace(spec, **options).canonical() != network:
        # Of stages that the row leaves out, its patterns may be others.
        options |= {f"{kind}_blocks": values[f"{kind}_blocks"] for kind in kinds}
    options.pop("classes", None)
    return options
