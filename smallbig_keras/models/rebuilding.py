"""Networks from their descriptions, and back: what `load`, `fit` and `save` have in common.

A network is built by our own function from a description, which is data, and filled with the
numbers of a file, compared by names and shapes. Nothing that a file names is imported or called.
"""

import dataclasses

from smallbig_keras.errors import OptionError, SmallBigError, warn_caller
from smallbig_keras.models.description import is_same, read_activation, read_spec
from smallbig_keras.models.factory import make_spec
from smallbig_keras.models.families import check_option_names
from smallbig_keras.models.recognition import check_checkpoint, check_weights_name
from smallbig_keras.models.registry import get_model_function, list_models, match_network
from smallbig_keras.weights.description import Description
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.locations import FILES
from smallbig_keras.weights.resolution import find_weights

# Arguments of `load` beside the options.
_OTHERS = ("model", "variant", "clips", "class_names", "classes", "weights_dir")


def find_network(source, model=None, variant=None, classes=None, weights_dir=None, options=None):
    """Finds weights and the description of their network.

    Args:
        source: str or path, as in `find_weights`.
        model: str. Model function; files of weights alone need it. Defaults to `None`.
        variant: str. Its variant. Defaults to `None` for that of the weights.
        classes: int. Classes of its head. Defaults to `None` for those of the weights.
        weights_dir: str. Folder with published weights. Defaults to `None`.
        options: dict. Further options of the network, in place of those of the weights. Defaults to
            `None`.

    Returns:
        `(path, Description)`: the file of weights, and the network to build for it.

    Raises:
        SmallBigError: the weights are of another network, or nobody names it.
    """
    options = options or {}
    check_option_names(options, _OTHERS)
    path, description = known_network(source, model, weights_dir)
    if description is None:
        description = _of_weights(path, source, model, variant, options)
        check_given(description, source, model, classes)
        return path, description
    check_given(description, source, model, classes)
    return path, update_network(description, variant, options)


def known_network(source, model=None, weights_dir=None):
    """Finds weights, and the description of their network where they know it, else `None`."""
    if model is not None:
        function = get_model_function(model)
        check_weights_name(source, next(iter(function.variants.values())).spec, model)
    if isinstance(source, str) and source in list_models():
        raise OptionError(
            f"{source} is a network: name its weights, and the network as model. Received: {source}"
        )
    path, description = find_weights(source, model, weights_dir)
    if description is None and path.suffix == ".keras":
        description = _of_archive(path, model)
    return path, description


def update_network(description, variant=None, options=None):
    """Returns a description with another variant, or with some options in place of its own."""
    if variant in (None, description.variant):
        options = {**description.options, **(options or {})}
    return dataclasses.replace(
        description, variant=variant or description.variant, options=options or {}
    )


def _of_archive(path, model):
    """Describes the network of a `.keras` file by its configuration, `None` if it is another."""
    from smallbig_keras.weights.keras_files import read_config

    config = read_config(path).get("config")
    try:
        return _of_config(config)
    except SmallBigError as error:
        if model is None:
            raise SmallBigError(
                f"{error}\nThe weights of a model of other layers need the name of the network: "
                f"add model (--model). Received: {path}"
            ) from None
        return None


def _of_config(config):
    """Returns the description that the configuration of a model comes to."""
    spec, classes = read_spec(config)
    shapes = [
        layer["config"].get("batch_shape")
        for layer in config["layers"]
        if layer["class_name"] == "InputLayer"
    ]
    name, variant, differ = match_network(spec, config.get("name"))
    clips = get_model_function(name).variants[variant].clips
    if len(shapes) == 1 and isinstance(shapes[0], list | tuple) and len(shapes[0]) == 5:
        clips = clips.replace(frames=shapes[0][1], size=shapes[0][2])
    return Description(name, variant, differ, classes, clips, activation=read_activation(config))


def _of_weights(path, source, model, variant, options):
    from smallbig_keras.weights.loading import count_classes

    if not path.name.endswith(FILES):
        raise SmallBigError(
            f"A source is a run, a saved classifier, an artifact, or weights, {', '.join(FILES)}. "
            f"Received: {source}"
        )
    if model is None:
        raise OptionError(
            "A file of weights alone needs the name of its network: add model (--model), one of "
            f"{', '.join(list_models())}, with the variant and options that it was trained with. "
            f"Received: {source} without a model"
        )
    function = get_model_function(model)
    classes = count_classes(path)
    variant = variant or next(iter(function.variants))
    row = function.variants.get(variant)
    clips = row.clips if row else function.clips
    return Description(model, variant, options, classes or 0, clips)


def check_given(description, source, model, classes=None):
    """Refuses a model or a number of classes that is not that of the weights."""
    if model not in (None, description.model):
        raise SmallBigError(
            f"These weights are of {description.model} ({description.classes} classes); you asked "
            f"for {model}. Leave model out, or take {description.model}. Received: {source}"
        )
    if classes not in (None, description.classes):
        raise SmallBigError(
            f"These weights have {description.classes} classes; you asked for {classes}. A new "
            f"classifier is {description.model}(weights={str(source)!r}, classes={classes}), to be "
            f"trained. Received: {source}"
        )


def build_network(path, description, source):
    """Builds the network of a description and fills it with the weights of a file.

    Args:
        path: pathlib.Path. File of weights.
        description: Description.
        source: str or path. What messages call the weights.

    Returns:
        `keras.Model` with a head.

    Raises:
        WeightsError: the description does not fit the weights.
    """
    from smallbig_keras.weights.loading import load_weights

    if not description.classes:
        raise WeightsError(
            f"These weights have no classifier: train one with smallbig fit --weights {source}. "
            f"Received: {source}"
        )
    function = get_model_function(description.model)
    spec = make_spec(function, description.variant, description.classes, **description.options)
    # A small file may describe a network that no memory holds.
    if spec.min_parameters() > path.stat().st_size:
        raise WeightsError(
            f"The description does not fit its weights: {description.model} with its options has "
            f"at least {spec.min_parameters():,} parameters. Give the variant and the options that "
            f"they were trained with. Received: {path}, a file of {path.stat().st_size:,} bytes"
        )
    check_checkpoint(path, spec, description.model)
    network = function(
        input_shape=description.clips.shape,
        classes=description.classes,
        variant=description.variant,
        classifier_activation=description.activation,
        **description.options,
    )
    report = load_weights(network, path)
    if any(name.startswith("classifier/") for name in report.new):
        raise WeightsError(
            f"The description does not fit its weights: it has {description.classes} classes.\n"
            f"{report}"
        )
    if warning := report.warning(description.model, description.origin or ""):
        warn_caller(warning)
    return network


def describe(model, clips=None, class_names=None):
    """Describes a model of this package, so that `build_network` builds the same.

    Args:
        model: `keras.Model` with a head, from a model function or a clone of one.
        clips: ClipConfig. Defaults to `None` for that of the network.
        class_names: list of str. Defaults to `None`.

    Returns:
        Description.

    Raises:
        SmallBigError: the model is no network of this package, or was changed.
    """
    config = model.get_config()
    description = _of_config(config)
    if not description.classes:
        raise SmallBigError(f"A classifier has a head. Received: {model.name} without one")
    rebuilt = get_model_function(description.model)(
        input_shape=model.input_shape[1:],
        classes=description.classes,
        variant=description.variant,
        classifier_activation=description.activation,
        **description.options,
    )
    shapes = [[(w.path, tuple(w.shape)) for w in m.weights] for m in (model, rebuilt)]
    if not is_same(config, rebuilt.get_config()) or shapes[0] != shapes[1]:
        raise SmallBigError(
            "A classifier is saved as the description of a network of this package; this model "
            f"has other layers than {description.model}. Received: {model.name}"
        )
    clips = clips or description.clips
    return dataclasses.replace(description, clips=clips, class_names=class_names)
