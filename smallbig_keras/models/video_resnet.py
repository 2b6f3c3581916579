"""The one trunk: a bottleneck ResNet on the frames of a clip, described by a frozen spec."""

import keras
from keras import layers

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import SmallBigError, warn_caller
from smallbig_keras.layers import (
    ClipPooling,
    CoSTConv,
    FrameConv,
    FusedBatchNormalization,
    NonLocalBlock,
    SmallBigExtraUnit,
    SmallBigUnit,
    SpaceTimeConv,
    SqueezeExciteUnit,
    TemporalConv,
    TemporalShift,
    TimePooling,
)
from smallbig_keras.models.spec import STAGES, TEMPORAL, is_int

EXPANSION = 4


def apply_convolution(x, conv, name, activation=None):
    """Applies a convolution, then normalisation and activation, to a clip."""
    x = FusedBatchNormalization(name=f"{name}_norm")(conv(x))
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


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


def VideoResNet(
    spec,
    include_top=True,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classifier_activation="softmax",
    name=None,
):
    """Builds the functional model of a spec.

    Args:
        spec: VideoResNetSpec.
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
        `(batch, classes)` with a head, to `(batch, features)` with `pooling`, else to
        `(batch, frames, height / 32, width / 32, features)`.

    Raises:
        ValueError: for an input shape or pooling outside the values above.
    """
    if pooling not in (None, "avg", "max"):
        raise SmallBigError(f"`pooling` must be None, 'avg' or 'max'. Received: {pooling=}")
    clips = _input(input_tensor, input_shape)
    spec.check_frames(clips.shape[1])
    x = apply_trunk(clips, spec)
    if include_top or pooling == "avg":
        x = layers.GlobalAveragePooling3D(data_format="channels_last", name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling3D(data_format="channels_last", name="max_pool")(x)
    if include_top:
        x = layers.Dropout(spec.dropout, name="dropout")(x) if spec.dropout else x
        x = layers.Dense(spec.classes, name="classifier")(x)
        # Probabilities keep the precision of the variables under a mixed policy.
        dtype = keras.config.dtype_policy().variable_dtype
        x = layers.Activation(classifier_activation, dtype=dtype, name="predictions")(x)
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
