"""Reading a model: intermediate features, parameters and operations."""

import math
import re
from typing import NamedTuple

import keras

from smallbig_keras.errors import SmallBigError


def feature_extractor(model, names):
    """Makes a model that returns intermediate outputs.

    Its `predict` takes many videos as a dataset of their clips:
    `clip_dataset(paths, model.clips, batch_size=8, training=False)`. `VideoClassifier.features`
    gives the means of the maps.

    Args:
        model: functional `keras.Model`.
        names: sequence of str, or one. Names of layers, or of stages (`"stem"`, `"res2"` to
            `"res5"`; of S3D `"conv2"`, `"mixed3"` to `"mixed5"`), which stand for the last layer
            of the stage.

    Returns:
        A `keras.Model` with the inputs of `model` and a dict of outputs by name, each
        `(batch, frames, height, width, channels)` inside the trunk.

    Raises:
        ValueError: if a name is neither a layer nor a stage.

    Example:

    >>> model = SmallBigR23(input_shape=(4, 64, 64, 3))
    >>> feature_extractor(model, ["res3"]).output["res3"].shape
    (None, 4, 8, 8, 512)
    """
    names = [names] if isinstance(names, str) else names
    return keras.Model(model.input, {name: _find_layer(model, name).output for name in names})


def is_in_stage(layer, stage):
    """Tells whether the layer of a name is of a stage, as `mixed3b_relu` of mixed3b and mixed3."""
    return re.match(rf"{re.escape(stage)}[a-z]?_", layer) is not None


def _find_layer(model, name):
    matches = [layer for layer in model.layers if layer.name == name]
    matches = matches or [layer for layer in model.layers if is_in_stage(layer.name, name)]
    if not matches:
        raise SmallBigError(
            "A feature is named by a stage (such as stem) or by one of the layers that "
            f"`model.summary()` lists, as {model.layers[1].name!r}. Received: {name!r}"
        )
    return matches[-1]


class Complexity(NamedTuple):
    """Size and cost of a model: trained `parameters`, and multiply-adds (`macs`) of one clip."""

    parameters: int
    macs: int


def complexity(model, input_shape=None):
    """Counts the trained parameters of a model and its multiply-adds for one clip.

    A multiply-add counts 1. Convolutions, dense layers and the matrix products inside our layers,
    as those of attention, count; sums and products of single numbers, normalisation, activation
    and pooling do not. Moving statistics are no parameters.

    Args:
        model: functional `keras.Model` on clips.
        input_shape: tuple `(frames, height, width, channels)`. Defaults to `None` for the
            model's own.

    Returns:
        `Complexity(parameters, macs)`.

    Raises:
        ValueError: if the shape has unknown sizes, or a layer is of a kind whose cost is not
            known.

    Example:

    >>> complexity(SmallBigR23(input_shape=(8, 224, 224, 3))).parameters
    11368400
    """
    shape = tuple(model.input_shape[1:] if input_shape is None else input_shape)
    if None in shape:
        raise SmallBigError(
            "Operations are counted for a known size: `input_shape` must give frames, height, "
            f"width and channels. Received: input_shape={shape}"
        )
    parameters = sum(
        math.prod(weight.shape)
        for weight in model.weights
        if weight.name not in ("moving_mean", "moving_variance")
    )
    if shape != tuple(model.input_shape[1:]):
        model = keras.models.clone_model(model, input_tensors=keras.Input(shape))
    return Complexity(parameters, sum(_count_macs(layer) for layer in model.layers))


def _count_macs(layer):
    if hasattr(layer, "count_macs"):
        return layer.count_macs(tuple(layer.input.shape))
    if isinstance(layer, keras.layers.Dense):
        return layer.kernel.shape[0] * math.prod(layer.output.shape[1:])
    if any(len(weight.shape) > 1 for weight in layer.weights):
        raise SmallBigError(
            "The cost of a layer is known if it is of this package or Dense. "
            f"Received: {type(layer).__name__} {layer.name!r}"
        )
    return 0
