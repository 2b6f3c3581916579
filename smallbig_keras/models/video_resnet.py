"""The one trunk: a bottleneck ResNet on the frames of a clip, described by a frozen spec."""

from keras import layers

from smallbig_keras.layers import (
    ClipPooling,
    CoSTConv,
    FrameConv,
    NonLocalBlock,
    SmallBigExtraUnit,
    SmallBigUnit,
    SpaceTimeConv,
    SqueezeExciteUnit,
    TemporalConv,
    TemporalShift,
    TimePooling,
)
from smallbig_keras.models.building import apply_convolution, build_model
from smallbig_keras.models.specs.video_resnet import STAGES, TEMPORAL

EXPANSION = 4


def apply_extra(x, spec, name):
    """Applies the extra unit of `spec` to a clip."""
    if spec.extra == "squeeze_excite":
        return SqueezeExciteUnit(spec.extra_ratio, spec.pool, name=name)(x)
    return SmallBigExtraUnit(spec.extra_ratio, spec.pool, spec.share_weights, name=name)(x)


def make_convolution(filters, kernel_size, strides, temporal, name):
    """Makes the convolution of a unit, by the kind of `spec.temporal` that takes its place."""
    if temporal == "3x1x1":
        return TemporalConv(filters, 3, name=name)
    if temporal == "3x3x3":
        return SpaceTimeConv(filters, (3, 3, 3), (1, strides, strides), name=name)
    if temporal in ("cost_a", "cost_b"):
        return CoSTConv(filters, 3, strides, fusion=temporal[-1], name=name)
    return FrameConv(filters, kernel_size, strides, name=name)


def apply_block(x, spec, stage, width, strides, name, block=1):
    """Applies a bottleneck block (paper, Fig. 2): 1x1x1, 1x3x3, 1x1x1 and the shortcut."""
    index = STAGES.index(stage)
    temporal = spec.temporal if spec.mask("temporal")[index][block - 1] else None
    smallbig = stage in spec.smallbig_stages
    extra = spec.extra_position if smallbig and spec.extra else None
    if extra == "input":
        x = apply_extra(x, spec, f"{name}_extra")

    shortcut = x
    if strides > 1 or x.shape[-1] != EXPANSION * width:
        conv = FrameConv(EXPANSION * width, 1, strides, name=f"{name}_shortcut_conv")
        shortcut = apply_convolution(x, conv, f"{name}_shortcut")

    if temporal == "shift":
        x = TemporalShift(name=f"{name}_shift")(x)
    for unit, (filters, kernel_size, unit_strides, activation) in enumerate(
        (
            (width, 1, 1, "relu"),
            (width, 3, strides, "relu"),
            (EXPANSION * width, 1, 1, None),
        ),
        start=1,
    ):
        unit_name = f"{name}_unit{unit}"
        if smallbig and unit in spec.units:
            x = SmallBigUnit(
                filters,
                kernel_size,
                unit_strides,
                pool_size=spec.pool_sizes[unit - 1],
                pool=spec.pool,
                share_weights=spec.share_weights,
                normalization=spec.normalization,
                activation=activation,
                name=unit_name,
            )(x)
        else:
            kind = temporal if temporal and TEMPORAL[temporal] == unit else None
            conv = make_convolution(filters, kernel_size, unit_strides, kind, f"{unit_name}_conv")
            x = apply_convolution(x, conv, unit_name, activation)

    x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    if extra == "output":
        x = apply_extra(x, spec, f"{name}_extra")
    if spec.mask("nonlocal")[index][block - 1]:
        x = NonLocalBlock(
            mode=spec.nonlocal_mode,
            scale=spec.nonlocal_scale,
            pool=spec.nonlocal_pool,
            use_bias=spec.nonlocal_bias,
            name=f"{name}_nonlocal",
        )(x)
    return x


def apply_stem(x, spec):
    """Applies the first convolution and the pooling (paper, Table 1): height and width / 4."""
    if (spec.stem_frames, spec.stem_stride) == (1, 1):
        conv = FrameConv(spec.width, 7, 2, name="stem_conv")
    else:
        kernel_size, strides = (spec.stem_frames, 7, 7), (spec.stem_stride, 2, 2)
        conv = SpaceTimeConv(spec.width, kernel_size, strides, name="stem_conv")
    x = apply_convolution(x, conv, "stem", activation="relu")
    x = ClipPooling((1, 3, 3), strides=2, name="stem_pool")(x)
    return TimePooling(spec.stem_pool, name="stem_time_pool")(x) if spec.stem_pool > 1 else x


def apply_trunk(x, spec):
    """Applies stem and stages (paper, Table 1): height and width / 32, 32 * spec.width channels."""
    x = apply_stem(x, spec)
    for index, (stage, blocks) in enumerate(zip(STAGES, spec.blocks, strict=True)):
        for block in range(1, blocks + 1):
            strides = 2 if stage > STAGES[0] and block == 1 else 1
            name = f"res{stage}_block{block}"
            x = apply_block(x, spec, stage, spec.width * 2**index, strides, name, block)
        if stage == STAGES[0] and spec.time_pool > 1:
            x = TimePooling(spec.time_pool, name="time_pool")(x)
    return x


def VideoResNet(spec, **arguments):
    """Builds the functional model of a `VideoResNetSpec`.

    Args:
        spec: VideoResNetSpec.
        **arguments: the arguments of a model function from `include_top` to `name`, without
            `weights` and `classes`.

    Returns:
        A `keras.Model` from clips `(batch, frames, height, width, channels)` to
        `(batch, classes)` with a head, to `(batch, features)` with `pooling`, else to
        `(batch, frames, height / 32, width / 32, features)`.

    Raises:
        ValueError: for an input shape or pooling outside the values above.
    """
    return build_model(spec, apply_trunk, **arguments)
