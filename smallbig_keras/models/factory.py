"""Public model functions: a row of a table and the signature that all of them share."""

import dataclasses
import inspect
import textwrap

from smallbig_keras.errors import OptionError, SmallBigError, did_you_mean, warn_caller
from smallbig_keras.models.families import RESNET, family_of, option_names


class _Default(str):
    """A default value: one that is given explicitly is another object of the same text."""


_REFERENCE = _Default("reference")


_DOCSTRING = """{summary}

{publication}

Takes clips of RGB frames from 0 to 255, prepared by `model.clips.normalize`: `model.clips` is the
`ClipConfig` of the weights, with their mean and standard deviation, else that of the variant, which
is `{name}.clips`.

Variants{legend}:

{rows}

Args:
    include_top: bool. Whether the model ends in the classifier. Defaults to `True`.
    weights: `None` for random initialisation; the name of published weights ({names}, see
        `smallbig_keras.list_weights`); or a path or URL: a run, a saved classifier, `.keras`,
        `.weights.h5`, or a PyTorch checkpoint (`.pth`, `.pt`, `.pyth`, `.ckpt`, `.pth.tar`,
        `.safetensors`) of {codes}. A classifier for another number of classes is left out, and
        what is new in the network is told, with a warning. Defaults to `None`.
    input_tensor: Keras tensor to build on, or `None`. Defaults to `None`.
    input_shape: tuple `(frames, height, width, 3)`. Any of the first three may be `None`.
        Channels come last; other than 1 or 3 of them give a warning. Defaults to `None` for that
        of published weights, else of the variant's clips.
    pooling: without a head: `None` for the last feature map `(batch, frames, height / 32,
        width / 32, features)`, of fewer frames where the network has strides over time; `"avg"`
        or `"max"` for `(batch, features)`. Defaults to `None`.
    classes: int. Classes of the head. Defaults to `None` for those of published weights, else
        {classes}.
    classifier_activation: activation of the head, or `None` for logits. Defaults to
        `"softmax"`.
    name: str. Name of the model. Defaults to `None` for `"{name}"`.
    variant: {variants}. Defaults to `"reference"`, or that of published weights.
    **options: fields of `smallbig_keras.models.{spec}` that replace those of the variant:
        {options}.

Returns:
    A `keras.Model` from clips `(batch, frames, height, width, 3)` to `(batch, classes)`.

Raises:
    ValueError: if a value is outside those above, or the weights are not those of the model.
    TypeError: if an option is not one of those above.
    FileNotFoundError: if there are no such weights; the message says how to get them.

Example:

>>> model = {name}(input_shape=(16, 64, 64, 3), classes=10)
>>> model.output_shape
(None, 10)
"""


def define_model(module, name, summary, publication, /, **variants):
    """Makes a public model function.

    Args:
        module: str. Name of the module that holds the function, its `__name__`.
        name: str. Name of the function.
        summary: str. First line of its documentation.
        publication: str. Where it is described.
        **variants: Variant of each name. `reference` is the default one.

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
        variant=_REFERENCE,
        **options,
    ):
        # Keras is imported here: names and descriptions of networks are had without it.
        from smallbig_keras.models.recognition import check_checkpoint, check_weights_name
        from smallbig_keras.weights.fetching import WeightsError
        from smallbig_keras.weights.loading import load_weights
        from smallbig_keras.weights.resolution import find_weights

        check_weights_name(weights, variants["reference"].spec, function_name)
        found = None if weights is None else find_weights(weights, function_name)
        known = found.description if found else None
        if known is not None:
            # Weights know their network; what is given replaces parts of it, where it can.
            _check_model(known, function_name, weights)
            if isinstance(variant, _Default):
                variant = known.variant
            if variant == known.variant:
                options = {**known.options, **options}
            classes = known.classes if classes is None else classes
        if input_tensor is None and input_shape is None:
            input_shape = (known.clips if known else _variant(model_function, variant).clips).shape
        spec = make_spec(model_function, variant, classes, **options)
        if found is not None:
            check_checkpoint(found.path, spec, function_name)
        model = family_of(spec).build(
            spec,
            include_top=include_top,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classifier_activation=classifier_activation,
            name=name or function_name,
        )
        if found is not None:
            try:
                report = load_weights(model, found.path)
            except WeightsError as error:
                if known is None:
                    raise
                network = f"{known.model}(variant={known.variant!r}, **{known.options})"
                raise WeightsError(f"{error}\nThe weights {weights} are of {network}.") from None
            if warning := report.warning(function_name, (known and known.origin) or ""):
                warn_caller(warning)
        clips = known.clips if known else _variant(model_function, variant).clips
        model.clips = _fitting(clips, model.input_shape)
        return model

    family = family_of(variants["reference"].spec)
    function_name = model_function.__name__ = model_function.__qualname__ = name
    # Where pickle and `inspect` look for it.
    model_function.__module__ = module
    model_function.__doc__ = _DOCSTRING.format(
        name=name,
        summary=summary,
        publication=textwrap.fill(publication, 96),
        rows="\n".join(
            textwrap.fill(f"- `{key}`: {row}", 96, subsequent_indent="  ")
            for key, row in variants.items()
        ),
        classes=variants["reference"].spec.classes,
        variants=" or ".join(f'`"{variant}"`' for variant in variants),
        spec=family.spec.__name__,
        names='`"k400"`, `"sthv2"`, `"imagenet"`' if family is RESNET else '`"k400"`',
        codes=" or ".join(layout.code for layout in family.layouts),
        legend="; ones and zeros are the blocks of a stage" if family is RESNET else "",
        options=", ".join(f"`{option}`" for option in option_names(family)),
    )
    model_function.publication = publication
    model_function.variants = variants
    model_function.clips = variants["reference"].clips
    return model_function


def _fitting(clips, shape):
    """Returns a ClipConfig with the frames and the size of a model's input, where it has some."""
    _, frames, height, width, _ = shape
    return clips.replace(frames=frames, size=height if height == width else None)


def _check_model(description, name, weights):
    """Refuses the weights of another model function."""
    if description.model != name:
        raise SmallBigError(
            f"These weights are of {description.model} ({description.classes} classes); you asked "
            f"for {name}. Take {description.model}. Received: {weights}"
        )


def _variant(model_function, name):
    """Returns a Variant by its name."""
    variants = model_function.variants
    if name not in variants:
        raise SmallBigError(
            f"`variant` of {model_function.__name__} must be one of {tuple(variants)}."
            f"{did_you_mean(name, variants)} Received: variant={name!r}"
        )
    return variants[name]


def make_spec(model_function, variant="reference", classes=None, **options):
    """Returns the spec that a model function builds, or raises `SmallBigError`."""
    row = _variant(model_function, variant).spec
    names = option_names(family_of(row))
    unknown = sorted(set(options) - set(names))
    if unknown:
        *arguments, _ = inspect.signature(model_function).parameters
        words = [word for word in (*arguments, *names) if word not in unknown]
        raise OptionError(
            f"{model_function.__name__} has no such option.{did_you_mean(unknown[0], words)} "
            f"Received: {', '.join(unknown)}\n"
            f"It has the arguments {', '.join(arguments)}\n"
            f"and the options {', '.join(names)}."
        )
    if classes is not None:
        options["classes"] = classes
    spec = dataclasses.replace(row, **options)
    for name, need in spec.idle().items():
        if name in options and getattr(spec, name) != getattr(row, name):
            raise OptionError(
                f"`{name}` changes nothing in {model_function.__name__} without `{need}`. "
                f"Received: {name}={options[name]!r}"
            )
    return spec
