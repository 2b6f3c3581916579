"""VoV3D: blocks that join the outputs of their layers, of convolutions that are depthwise."""

import keras
from keras import layers

from smallbig_keras.layers import ChannelGate, FrameConv, TemporalConv, WindowPooling
from smallbig_keras.layers.convolution import conv_initializer
from smallbig_keras.models.building import apply_classifier, apply_convolution, build_model
from smallbig_keras.models.specs.vov3d import STAGES


def apply_layer(x, inner, strides, excite_filters, name):
    """Applies a layer of a block: 1x1x1, depthwise 1x3x3 and 3x1x1, 1x1x1 to half the channels.

    Args:
        x: Keras tensor.
        inner: int. Channels of the depthwise convolutions.
        strides: int. Step over height and width.
        excite_filters: int. Channels inside squeeze-and-excitation, or `None` for none.
        name: str. Beginning of the names of the layers.

    Returns:
        Keras tensor.
    """
    shortcut = x
    x = apply_convolution(
        x, FrameConv(inner, 1, name=f"{name}_expand_conv"), f"{name}_expand", "relu"
    )
    x = FrameConv(inner, 3, strides, groups=inner, name=f"{name}_space_conv")(x)
    time = TemporalConv(inner, 3, groups=inner, name=f"{name}_time_conv")
    x = apply_convolution(x, time, f"{name}_time")
    if excite_filters is not None:
        x = ChannelGate(excite_filters, name=f"{name}_gate")(x)
    x = layers.Activation("silu", name=f"{name}_silu")(x)
    x = apply_convolution(x, FrameConv(inner // 2, 1, name=f"{name}_reduce_conv"), f"{name}_reduce")
    if strides == 1 and shortcut.shape[-1] == x.shape[-1]:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(x)


def apply_block(x, spec, stage, strides, name):
    """Applies a block: chained layers, whose outputs are joined, and the shortcut."""
    inner, shortcut = spec.inner(stage), x
    filters = inner // 2
    # The input has the size of the outputs only without a stride.
    joined = [x] if strides == 1 else []
    for number, excited in enumerate(spec.excited(), start=1):
        excite_filters = spec.excite_filters(stage) if excited else None
        layer_strides = strides if number == 1 else 1
        x = apply_layer(x, inner, layer_strides, excite_filters, f"{name}_layer{number}")
        joined.append(x)
    x = layers.Concatenate(name=f"{name}_concat")(joined) if len(joined) > 1 else x
    # At scale 0 a new block is its shortcut.
    conv = FrameConv(filters, 1, name=f"{name}_join_conv")
    x = apply_convolution(x, conv, f"{name}_join", gamma_initializer="zeros")
    if strides > 1 or shortcut.shape[-1] != filters:
        conv = FrameConv(filters, 1, strides, name=f"{name}_shortcut_conv")
        shortcut = apply_convolution(shortcut, conv, f"{name}_shortcut")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(x)


def apply_stem(x, spec):
    """Applies the first convolution, over space and then, depthwise, over time."""
    filters = spec.width // 2
    x = FrameConv(filters, 3, 2, name="stem_space_conv")(x)
    conv = TemporalConv(filters, 5, groups=filters, name="stem_time_conv")
    return apply_convolution(x, conv, "stem", "relu")


def apply_trunk(x, spec):
    """Applies stem, stages and a last 1x1x1: height and width / 32, 8 * spec.width channels."""
    x = apply_stem(x, spec)
    for stage, blocks in zip(STAGES, spec.blocks, strict=True):
        for block in range(1, blocks + 1):
            x = apply_block(x, spec, stage, 2 if block == 1 else 1, f"res{stage}_block{block}")
    return apply_convolution(x, FrameConv(spec.inner(5), 1, name="last_conv"), "last", "relu")


def apply_mean(x, dtype=None):
    """Applies the mean over the positions of the head."""
    name = "position_mean"
    return layers.GlobalAveragePooling3D("channels_last", dtype=dtype, name=name)(x)


def apply_head(x, spec, activation):
    """Applies the classifier to every window of the map, and takes the mean of its scores."""
    x = WindowPooling(spec.head_window, name="head_pool")(x)
    is_one = x.shape[2:4] == (1, 1)
    x = apply_mean(x) if is_one else x
    x = layers.Dense(
        spec.head_width,
        use_bias=False,
        activation="relu",
        kernel_initializer=conv_initializer(),
        name="head_features",
    )(x)
    x = apply_classifier(x, spec, activation, keras.initializers.RandomNormal(stddev=0.01))
    # In the precision of the scores, which is not that of the policy.
    return x if is_one else apply_mean(x, x.dtype)


def VoV3D(spec, **arguments):
    """Builds the functional model of a `VoV3DSpec`.

    On a map larger than its window, the classifier's scores of each position are the output of
    the layer `classifier`, `(batch, 1, rows, columns, classes)`.

    Args:
        spec: VoV3DSpec.
        **arguments: the arguments of a model function from `include_top` to `name`, without
            `weights` and `classes`.

    Returns:
        A `keras.Model` from clips `(batch, frames, height, width, channels)` to
        `(batch, classes)` with a head, to `(batch, features)` with `pooling`, else to
        `(batch, frames, height / 32, width / 32, features)`.

    Raises:
        ValueError: for an input shape or pooling outside the values above.
    """
    return build_model(spec, apply_trunk, apply_head, **arguments)
