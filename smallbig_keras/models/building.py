"""A functional model of any family: its input, trunk and head."""

import keras
from keras import layers

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import SmallBigError, warn_caller
from smallbig_keras.layers import FusedBatchNormalization
from smallbig_keras.models.specs.checks import is_int


def apply_convolution(x, conv, name, activation=None, **norm):
    """Applies a convolution, then normalisation and activation, to a clip.

    Args:
        x: Keras tensor.
        conv: layer.
        name: str. Beginning of the names of the layers.
        activation: str or `None`. Defaults to `None`.
        **norm: arguments of the `FusedBatchNormalization`.

    Returns:
        Keras tensor.
    """
    x = FusedBatchNormalization(name=f"{name}_norm", **norm)(conv(x))
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def apply_classifier(x, spec, activation, kernel_initializer="glorot_uniform"):
    """Applies dropout, the classifier and its activation to features, channels last."""
    x = layers.Dropout(spec.dropout, name="dropout")(x) if spec.dropout else x
    x = layers.Dense(spec.classes, kernel_initializer=kernel_initializer, name="classifier")(x)
    # Probabilities keep the precision of the variables under a mixed policy.
    dtype = keras.config.dtype_policy().variable_dtype
    return layers.Activation(activation, dtype=dtype, name="predictions")(x)


def apply_head(x, spec, activation):
    """Applies the head of a ResNet: the mean over frames, height and width, and the classifier."""
    x = layers.GlobalAveragePooling3D(data_format="channels_last", name="avg_pool")(x)
    return apply_classifier(x, spec, activation)


def build_model(
    spec,
    trunk,
    head=apply_head,
    include_top=True,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classifier_activation="softmax",
    name=None,
):
    """Builds the functional model of a spec.

    Args:
        spec: the description of the network, one of `smallbig_keras.models.specs`.
        trunk: function of a clip and the spec that gives the last feature map.
        head: function of the last feature map, the spec and the activation that gives the
            predictions. Defaults to `apply_head`.
        include_top: bool. Whether the model ends in the classifier. Defaults to `True`.
        input_tensor: Keras tensor to build on, or `None`. Defaults to `None`.
        input_shape: tuple `(frames, height, width, channels)`; all but the channels may be
            `None`. Other than 1 or 3 channels give a warning. Defaults to `None` for
            `(8, 224, 224, 3)`.
        pooling: without a head: `None` for the last feature map, `"avg"` or `"max"` for its
            mean or maximum over frames, height and width. Defaults to `None`.
        classifier_activation: activation of the head, or `None` for logits. Defaults to
            `"softmax"`.
        name: str or `None`. Name of the model. Defaults to `None`.

    Returns:
        A `keras.Model` from clips `(batch, frames, height, width, channels)` to
        `(batch, classes)` with a head, to `(batch, features)` with `pooling`, else to the last
        feature map.

    Raises:
        ValueError: for an input shape or pooling outside the values above, or a clip that the
            network cannot take.
    """
    if pooling not in (None, "avg", "max"):
        raise SmallBigError(f"`pooling` must be None, 'avg' or 'max'. Received: {pooling=}")
    clips = _input(input_tensor, input_shape)
    spec.check_input(tuple(clips.shape[1:]))
    x = trunk(clips, spec)
    if include_top:
        x = head(x, spec, classifier_activation)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling3D(data_format="channels_last", name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling3D(data_format="channels_last", name="max_pool")(x)
    if input_tensor is not None:
        sources = keras.utils.get_source_inputs(clips)
        clips = sources[0] if len(sources) == 1 else sources
    return keras.Model(clips, x, name=name)


def _input(input_tensor, input_shape):
    shape = ClipConfig().shape if input_shape is None else tuple(input_shape)
    if input_tensor is not None:
        if not keras.utils.is_keras_tensor(input_tensor):
            raise SmallBigError(
                f"`input_tensor` must be a Keras tensor. Received: {type(input_tensor)}"
            )
        if input_shape is not None and tuple(input_tensor.shape[1:]) != shape:
            raise SmallBigError(
                "`input_tensor` and `input_shape` must agree. Received: "
                f"input_tensor.shape={tuple(input_tensor.shape)}, {input_shape=}"
            )
        shape = tuple(input_tensor.shape[1:])
    valid = len(shape) == 4 and all(n is None or (is_int(n) and n > 0) for n in shape)
    if not valid or shape[-1] is None:
        raise SmallBigError(
            "`input_shape` must be `(frames, height, width, channels)`, ints of at least 1, of "
            f"which all but the channels may be None. Received: input_shape={shape}"
        )
    if shape[-1] not in (1, 3):
        turned = (*shape[1:], shape[0])
        last = f" Channels come last. Did you mean {turned}?" if shape[0] in (1, 3) else ""
        warn_caller(
            f"Clips usually have 1 or 3 channels, not {shape[-1]}. Received: input_shape={shape}"
            f".{last}"
        )
    return layers.Input(shape, name="clips") if input_tensor is None else input_tensor
