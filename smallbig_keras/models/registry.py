"""Public model functions: a row of a table and the signature that all of them share."""

import dataclasses
import warnings

from smallbig_keras.models.video_resnet import VideoResNet, VideoResNetSpec
from smallbig_keras.weights.loading import load_weights
from smallbig_keras.weights.records import check_record
from smallbig_keras.weights.resolution import find_weights

_MODELS = {}
_VARIANTS = {}

OPTIONS = tuple(f.name for f in dataclasses.fields(VideoResNetSpec) if f.name != "classes")

_DOCSTRING = """{summary}

Takes clips of RGB frames prepared by `smallbig_keras.preprocess_input`.

Args:
    include_top: bool. Whether the model ends in the classifier. Defaults to `True`.
    weights: `None` for random initialisation; the name of published weights (`"imagenet"` of
        torchvision's 2-D ResNet, `"k400"`, ..., see `smallbig_keras.list_weights`); or a path: a
        run, `.keras`, `.weights.h5`, or a PyTorch checkpoint of the authors' code or of
        torchvision's ResNet (`.pth`, `.pt`, `.pyth`, `.safetensors`). A classifier for another
        number of classes is left out, with a warning. Defaults to `None`.
    input_tensor: Keras tensor to build on, or `None`. Defaults to `None`.
    input_shape: tuple `(frames, height, width, 3)`. Any of the first three may be `None`.
        Defaults to `None` for that of published weights, else `(8, 224, 224, 3)`.
    pooling: without a head: `None` for the last feature map `(batch, frames, height / 32,
        width / 32, features)`, `"avg"` or `"max"` for `(batch, features)`. Defaults to `None`.
    classes: int. Classes of the head. Defaults to `None` for those of published weights, else
        {classes}.
    classifier_activation: activation of the head, or `None` for logits. Defaults to
        `"softmax"`.
    name: str. Name of the model. Defaults to `None` for `"{name}"`.
    variant: {variants}. Defaults to `"reference"`, or that of published weights.
    **options: fields of `smallbig_keras.models.VideoResNetSpec` that replace those of the
        variant: {options}.

Returns:
    A `keras.Model` from clips `(batch, frames, height, width, 3)` to `(batch, classes)`.

Raises:
    ValueError: if a value is outside those above, or the weights are not those of the model.
    TypeError: if an option is not one of those above.
    FileNotFoundError: if there are no such weights; the message says how to get them.

Example:

>>> model = {name}(input_shape=(8, 64, 64, 3), classes=10)
>>> model.output_shape
(None, 10)
"""


def define_model(name, summary, **variants):
    """Makes and registers a public model function.

    Args:
        name: str. Name of the function.
        summary: str. First line of its documentation.
        **variants: VideoResNetSpec a variant. `reference` is the default one.

    Returns:
        The function.
    """

    def model_function(
        include_top=True,
        weights=None,
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=None,
        classifier_activation="softmax",
        name=None,
        *,
        variant="reference",
        **options,
    ):
        path = record = None
        if weights is not None:
            path, record = find_weights(weights, function_name)
        if record is not None:
            # Published weights know their network; what is given must agree with it.
            variant = record.variant if variant == "reference" else variant
            options = {**record.options, **options}
            check_record(record, function_name, variant, options)
            classes = record.classes if classes is None else classes
            if input_tensor is None and input_shape is None:
                input_shape = record.input_shape
        spec = model_spec(function_name, variant, classes, **options)
        model = VideoResNet(
            spec,
            include_top=include_top,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classifier_activation=classifier_activation,
            name=name or function_name,
        )
        if path is not None:
            report = load_weights(model, path)
            if any(part.startswith("classifier/") for part in report.new):
                warnings.warn(
                    f"{function_name} starts with a new classifier.\n{report}", stacklevel=2
                )
        return model

    function_name = model_function.__name__ = model_function.__qualname__ = name
    model_function.__doc__ = _DOCSTRING.format(
        name=name,
        summary=summary,
        classes=variants["reference"].classes,
        variants=" or ".join(f'`"{variant}"`' for variant in variants),
        options=", ".join(f"`{option}`" for option in OPTIONS),
    )
    _MODELS[name] = model_function
    _VARIANTS[name] = variants
    return model_function


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
        ValueError: if a value is outside those allowed.
        TypeError: if an option does not exist.
    """
    get_model_function(name)
    variants = _VARIANTS[name]
    if variant not in variants:
        raise ValueError(f"`variant` must be one of {tuple(variants)}. Received: {variant=}")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise TypeError(f"{name} has the options {', '.join(OPTIONS)}. Received: {unknown}")
    if classes is not None:
        options["classes"] = classes
    return dataclasses.replace(variants[variant], **options)


def list_variants(name):
    """Returns the variants of a model.

    Args:
        name: str. One of `list_models()`.

    Returns:
        list of str, the default one first.

    Raises:
        ValueError: if there is no such model.
    """
    get_model_function(name)
    return list(_VARIANTS[name])


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
        ValueError: if there is no such model.
    """
    if name not in _MODELS:
        raise ValueError(f"The model must be one of {', '.join(list_models())}. Received: {name!r}")
    return _MODELS[name]
