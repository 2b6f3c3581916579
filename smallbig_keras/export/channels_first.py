"""Computes a network with the channels before the pixels, the order that ONNX has.

A network of this package has its channels last, and a converter puts transpositions around
every fold of frames. Here each layer is computed anew with TensorFlow operations on
`(batch * frames, channels, height, width)`, from the same weights.
"""

import functools
import operator
import re

import keras
import numpy as np
import tensorflow as tf
from keras import activations

from smallbig_keras import layers
from smallbig_keras.errors import SmallBigError
from smallbig_keras.export.folded_clips import Clips, fold

_FORMAT = "NCHW"
# Activations that look at one number at a time; softmax, for one, depends on the last axis.
_ELEMENTWISE = tuple(
    map(activations.get, ("linear", "relu", "relu6", "sigmoid", "hard_sigmoid", "tanh", "silu"))
)
_HANDLERS = {}


def handles(layer_type):
    """Decorates a function from a layer of exactly this type, and its inputs, to its output."""

    def decorate(function):
        _HANDLERS[layer_type] = function
        return function

    return decorate


def compute_scores(model, clips, config=None):
    """Computes probabilities and logits from `(batch, frames, height, width, channels)`.

    Clips are normalised by mean and std of the ClipConfig `config`, if it is given.
    """
    check_layers(model)
    clips = fold(tf.transpose(clips, (0, 1, 4, 2, 3)))
    if config is not None:
        values = (config.mean, config.std)
        mean, std = (255 * np.reshape(value, (1, 3, 1, 1)) for value in values)
        scale, offset = (1 / std).astype("float32"), (-mean / std).astype("float32")
        clips = clips.map(lambda images: images * scale + offset)

    values = {id(model.input): clips}
    for layer in model.operations:
        if not isinstance(layer, keras.layers.InputLayer):
            sources = layer.input if isinstance(layer.input, list) else [layer.input]
            # Nodes are named by their layer, as far as TensorFlow allows its characters.
            with tf.name_scope(re.sub(r"^_|[^A-Za-z0-9_.-]", ".", layer.name)):
                inputs = [values[id(source)] for source in sources]
                values[id(layer.output)] = _handler(layer)(layer, *inputs)

    predictions = model.get_layer("predictions")
    probabilities = values[id(predictions.output)]
    if predictions.activation is activations.linear:
        probabilities = tf.nn.softmax(probabilities)
    return {
        "probabilities": tf.identity(probabilities),
        "logits": tf.identity(values[id(model.get_layer("classifier").output)]),
    }


def check_layers(model):
    """Checks that every layer of a model has a function here."""
    for layer in model.operations:
        if _handler(layer) is None and not isinstance(layer, keras.layers.InputLayer):
            known = ", ".join(sorted(known.__name__ for known in _HANDLERS))
            raise SmallBigError(
                f"The channels-first export knows layers of the types {known}. "
                f"Received: {type(layer).__name__} {layer.name!r}"
            )


def _handler(layer):
    # Older Keras records casts, of a type that is not public; here all is computed in float32.
    return _unchanged if type(layer).__name__ == "Cast" else _HANDLERS.get(type(layer))


def _weight(variable):
    # A constant of the graph, in float32 whatever the policy of the layer.
    with tf.init_scope():
        value = keras.ops.convert_to_numpy(variable).astype("float32")
    return tf.constant(value)


def _activate(layer, value):
    if layer.activation is activations.linear:
        return value
    if not isinstance(value, Clips):
        return layer.activation(value)
    if layer.activation not in _ELEMENTWISE:
        names = ", ".join(function.__name__ for function in _ELEMENTWISE)
        raise SmallBigError(
            f"An activation of clips must be one of {names}. "
            f"Received: {layer.activation.__name__} of {layer.name!r}"
        )
    return value.map(layer.activation)


@handles(layers.FrameConv)
def _frame_conv(layer, clips):
    padding = "VALID"
    if layer.padding == "same":
        sides = [k // 2 * d for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
        padding = [(0, 0), (0, 0), *((side, side) for side in sides)]
    images = tf.nn.conv2d(
        clips.images,
        _weight(layer.kernel),
        layer.strides,
        padding,
        data_format=_FORMAT,
        dilations=layer.dilation_rate,
    )
    return _finish(layer, Clips(images, clips.frames))


def _finish(layer, clips):
    """Bias and activation of a convolution."""
    if layer.use_bias:
        bias = _weight(layer.bias)
        clips = clips.map(lambda images: tf.nn.bias_add(images, bias, data_format=_FORMAT))
    return _activate(layer, clips)


@handles(layers.TemporalConv)
def _temporal_conv(layer, clips):
    """One 1x1 convolution for all taps; a matrix of zeros and ones shifts and adds them."""
    size, stride, dilation = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
    before = size // 2 * dilation if layer.padding == "same" else 0
    frames = layer.output.shape[1]
    shifts = np.zeros((frames, clips.frames, size), "float32")
    for frame in range(frames):
        for tap in range(size):
            source = frame * stride + tap * dilation - before
            if 0 <= source < clips.frames:
                shifts[frame, source, tap] = 1

    kernel = _weight(layer.kernel)
    channels = kernel.shape[2]
    kernel = tf.reshape(tf.transpose(kernel, (1, 2, 0, 3)), (1, 1, channels, -1))
    taps = tf.nn.conv2d(clips.images, kernel, 1, "VALID", data_format=_FORMAT)
    image = (layer.filters, *clips.images.shape[2:])
    taps = tf.reshape(taps, (-1, clips.frames * size, np.prod(image)))
    summed = tf.linalg.matmul(shifts.reshape(frames, -1), taps)
    return _finish(layer, Clips(tf.reshape(summed, (-1, *image)), frames))


@handles(layers.ClipPooling)
def _clip_pooling(layer, clips):
    size, *area = layer.pool_size
    # Time first: ONNX Runtime brings the clip out of the layout of its convolutions for that,
    # and needs it so for the sum with a context, too.
    if size is None:
        reduce = tf.reduce_max if layer.mode == "max" else tf.reduce_mean
        clips = fold(reduce(clips.unfold(), axis=1, keepdims=True))
    elif size > 1:
        clips = _pool_frames(clips, size // 2, layer.mode)
    if layer.strides > 1:
        sides = [(0, 0), (0, 0), *((n // 2, n // 2) for n in area)]
        return clips.map(lambda x: tf.nn.max_pool2d(x, area, layer.strides, sides, _FORMAT))
    if tuple(area) == (1, 1):
        return clips
    pool = tf.nn.max_pool2d if layer.mode == "max" else tf.nn.avg_pool2d
    return clips.map(lambda images: pool(images, area, 1, "SAME", _FORMAT))


def _pool_frames(clips, reach, mode):
    """Pools over `reach` frames to both sides, as far as there are any."""
    frames = np.arange(clips.frames)
    if mode == "avg":
        near = abs(frames[:, None] - frames) <= reach
        shares = (near / near.sum(axis=1, keepdims=True)).astype("float32")
        image = clips.images.shape[1:]
        flat = tf.reshape(clips.images, (-1, clips.frames, np.prod(image)))
        return Clips(tf.reshape(tf.linalg.matmul(shares, flat), (-1, *image)), clips.frames)
    unfolded = pooled = clips.unfold()
    for shift in range(-reach, reach + 1):
        # The first or last frame once more does not change a maximum.
        shifted = tf.gather(unfolded, np.clip(frames + shift, 0, clips.frames - 1), axis=1)
        pooled = tf.maximum(pooled, shifted) if shift else pooled
    return fold(pooled)


@handles(layers.FusedBatchNormalization)
def _batch_normalization(layer, clips):
    channels = clips.images.shape[1]
    # The compatibility function would raise epsilon to 1.001e-5; the operation does not.
    images, *_ = tf.raw_ops.FusedBatchNormV3(
        x=clips.images,
        scale=_weight(layer.gamma) if layer.scale else tf.ones(channels),
        offset=_weight(layer.beta) if layer.center else tf.zeros(channels),
        mean=_weight(layer.moving_mean),
        variance=_weight(layer.moving_variance),
        epsilon=layer.epsilon,
        data_format=_FORMAT,
        is_training=False,
    )
    return Clips(images, clips.frames)


@handles(layers.SmallBigUnit)
def _smallbig_unit(layer, clips):
    big = _clip_pooling(layer.big_view, clips)
    big_conv = layer.big_conv or layer.conv
    if layer.big_norm is not None:
        small = _batch_normalization(layer.norm, _frame_conv(layer.conv, clips))
        big = _batch_normalization(layer.big_norm, _frame_conv(big_conv, big))
        return _activate(layer, small + big)
    if layer.share_weights:
        outputs = _frame_conv(layer.conv, clips + big)
    else:
        outputs = _frame_conv(layer.conv, clips) + _frame_conv(big_conv, big)
    return _activate(layer, _batch_normalization(layer.norm, outputs))


def _global_view(clips, pool):
    """One vector a clip."""
    pool = tf.reduce_max if pool == "max" else tf.reduce_mean
    # In two steps: the first is an operation of ONNX, GlobalMaxPool or GlobalAveragePool.
    frames = clips.map(lambda images: pool(images, axis=(2, 3), keepdims=True))
    return fold(pool(frames.unfold(), axis=1, keepdims=True))


def _weigh(clips, context):
    """Multiplies by the sigmoid of one vector a clip."""
    return fold(clips.unfold() * tf.sigmoid(context.unfold()))


@handles(layers.SmallBigExtraUnit)
def _smallbig_extra_unit(layer, clips):
    context = _frame_conv(layer.big_reduce or layer.reduce, _global_view(clips, layer.pool))
    weighed = _weigh(_frame_conv(layer.reduce, clips), context)
    return clips + _batch_normalization(layer.norm, _frame_conv(layer.expand, weighed))


@handles(layers.SqueezeExciteUnit)
def _squeeze_excite_unit(layer, clips):
    context = _frame_conv(layer.expand, _frame_conv(layer.reduce, _global_view(clips, layer.pool)))
    return clips + _batch_normalization(layer.norm, _weigh(clips, context))


@handles(keras.layers.Add)
def _sum(layer, *terms):
    return functools.reduce(operator.add, terms)


@handles(keras.layers.Activation)
def _activation(layer, value):
    return _activate(layer, value)


@handles(keras.layers.Dropout)
def _unchanged(layer, value):
    return value


@handles(keras.layers.GlobalAveragePooling3D)
def _average(layer, clips):
    return tf.squeeze(_global_view(clips, "avg").images, (2, 3))


@handles(keras.layers.GlobalMaxPooling3D)
def _maximum(layer, clips):
    return tf.squeeze(_global_view(clips, "max").images, (2, 3))


@handles(keras.layers.Dense)
def _dense(layer, features):
    outputs = tf.linalg.matmul(features, _weight(layer.kernel))
    return _activate(layer, outputs + _weight(layer.bias) if layer.use_bias else outputs)
