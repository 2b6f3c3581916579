"""Inception-v1 on clips: S3D, S3D-G (Xie et al., ECCV 2018) and I3D (Carreira et al., CVPR 2017).

Layers have the names of Inception-v1: stem, pool2, conv2b, conv2c, pool3, mixed3b, ..., mixed5c.
"""

from keras import layers

from smallbig_keras.layers import (
    ChannelGate,
    ClipPooling,
    FrameConv,
    SpaceTimeConv,
    SpaceToDepth,
    TemporalConv,
    WindowedMean,
)
from smallbig_keras.layers.initializers import CentreIdentity
from smallbig_keras.models import building
from smallbig_keras.models.specs.s3d import CONV2C, MIXED

# The pooling before a mixed block.
POOLS = {
    "3b": ("pool3", (1, 3, 3), (1, 2, 2)),
    "4b": ("pool4", (3, 3, 3), (2, 2, 2)),
    "5b": ("pool5", (2, 2, 2), (2, 2, 2)),
}


def apply_convolution(x, conv, spec, name):
    """Applies a convolution, a normalisation and a ReLU."""
    norm = {
        "scale": spec.norm_scale,
        "epsilon": spec.norm_epsilon,
        "momentum": spec.norm_momentum,
    }
    return building.apply_convolution(x, conv, name, activation="relu", **norm)


def apply_separable(x, spec, filters, size, frames, name, strides=1):
    """Applies a convolution over height and width, and then one over frames."""
    conv = FrameConv(filters, size, strides, name=f"{name}_conv")
    x = apply_convolution(x, conv, spec, name)
    name = f"{name}_temporal"
    if spec.temporal == "separable_bias":
        start = CentreIdentity()
        x = TemporalConv(
            filters, frames, strides, use_bias=True, kernel_initializer=start, name=f"{name}_conv"
        )(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)
    conv = TemporalConv(filters, frames, strides, name=f"{name}_conv")
    return apply_convolution(x, conv, spec, name)


def apply_3x3x3(x, spec, filters, name):
    """Applies the convolution over a cube, or over its space and its time, as `spec.temporal`."""
    if spec.temporal == "full":
        conv = SpaceTimeConv(filters, (3, 3, 3), name=f"{name}_conv")
        return apply_convolution(x, conv, spec, name)
    return apply_separable(x, spec, filters, 3, 3, name)


def apply_1x1x1(x, spec, filters, name):
    """Applies the convolution of single pixels."""
    return apply_convolution(x, FrameConv(filters, 1, name=f"{name}_conv"), spec, name)


def apply_gate(x, spec, name):
    """Applies the gate of S3D-G (Xie et al., section 5), if `spec` has gates."""
    if not spec.gates:
        return x
    return ChannelGate(use_bias=spec.gate_bias, name=f"{name}_gate")(x)


def apply_pooling(x, spec, size, strides, name):
    """Applies a maximum with the padding of `spec`."""
    return ClipPooling(size, strides, padding=spec.padding, name=name)(x)


def apply_stem(x, spec):
    """Applies the first convolution: half the frames, height and width."""
    if spec.stem == "separable":
        return apply_separable(x, spec, spec.width, 7, spec.stem_frames, "stem", strides=2)
    if spec.stem == "space_to_depth":
        x = SpaceToDepth(name="stem_space_to_depth")(x)
        # Of blocks of two, these see 4 frames and 8 x 8 pixels.
        conv = SpaceTimeConv(spec.width, (2, 4, 4), padding="tensorflow", name="stem_conv")
    else:
        size = (spec.stem_frames, 7, 7)
        padding = "symmetric" if spec.padding == "zeros" else spec.padding
        conv = SpaceTimeConv(spec.width, size, (2, 2, 2), padding=padding, name="stem_conv")
    return apply_convolution(x, conv, spec, "stem")


def apply_mixed(x, spec, widths, name):
    """Applies a mixed block: four branches side by side."""
    first, reduce1, out1, reduce2, out2, pooled = widths
    branch0 = apply_1x1x1(x, spec, first, f"{name}_branch0")
    branch1 = apply_1x1x1(x, spec, reduce1, f"{name}_branch1_reduce")
    branch1 = apply_3x3x3(branch1, spec, out1, f"{name}_branch1")
    branch2 = apply_1x1x1(x, spec, reduce2, f"{name}_branch2_reduce")
    branch2 = apply_3x3x3(branch2, spec, out2, f"{name}_branch2")
    branch3 = ClipPooling((3, 3, 3), name=f"{name}_branch3_pool")(x)
    branch3 = apply_1x1x1(branch3, spec, pooled, f"{name}_branch3")
    branches = enumerate((branch0, branch1, branch2, branch3))
    branches = [apply_gate(branch, spec, f"{name}_branch{n}") for n, branch in branches]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def apply_trunk(x, spec):
    """Applies stem and mixed blocks: frames / 8, the rest / 32, 16 * spec.width channels."""
    x = apply_stem(x, spec)
    x = apply_pooling(x, spec, (1, 3, 3), (1, 2, 2), "pool2")
    x = apply_1x1x1(x, spec, spec.width, "conv2b")
    x = apply_3x3x3(x, spec, spec.channels(CONV2C), "conv2c")
    x = apply_gate(x, spec, "conv2c")
    for block, widths in MIXED.items():
        if block in POOLS:
            name, size, strides = POOLS[block]
            x = apply_pooling(x, spec, size, strides, name)
        x = apply_mixed(x, spec, tuple(map(spec.channels, widths)), f"mixed{block}")
    return x


def apply_head(x, spec, activation):
    """Applies the mean over the windows of the head, and the classifier."""
    if spec.head_window == (None, None, None):
        return building.apply_head(x, spec, activation)
    x = WindowedMean(spec.head_window, name="avg_pool")(x)
    return building.apply_classifier(x, spec, activation)


def VideoInception(spec, **arguments):
    """Builds the functional model of an `S3DSpec`.

    Args:
        spec: S3DSpec.
        **arguments: the arguments of a model function from `include_top` to `name`, without
            `weights` and `classes`.

    Returns:
        A `keras.Model` from clips `(batch, frames, height, width, channels)` to
        `(batch, classes)` with a head, to `(batch, features)` with `pooling`, else to
        `(batch, frames / 8, height / 32, width / 32, features)`.

    Raises:
        ValueError: for an input shape or pooling outside the values above, or a clip that is too
            small.
    """
    return building.build_model(spec, apply_trunk, apply_head, **arguments)
