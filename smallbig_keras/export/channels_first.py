"""Computes a network with the channels before the pixels, the order that ONNX has.

A network of this package has its channels last, and a converter puts transpositions around
every fold of frames. Here each layer is computed anew with TensorFlow operations on
`(frames * batch, channels, height, width)`, from the same weights.
"""

import functools
import itertools
import operator
import re

import keras
import numpy as np
import tensorflow as tf
from keras import activations

from smallbig_keras import layers
from smallbig_keras.errors import SmallBigError
from smallbig_keras.export import artifacts
from smallbig_keras.export.folded_clips import FORMAT, Clips, global_view, over_time
from smallbig_keras.export.folded_convolutions import (
    activate,
    cost_conv,
    frame_conv,
    space_time_conv,
    temporal_conv,
    weight,
)
from smallbig_keras.export.folded_poolings import clip_pooling, time_pooling, windowed_mean

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
    clips = _fold(clips)
    if config is not None:
        values = (config.mean, config.std)
        mean, std = (255 * np.reshape(value, (1, 3, 1, 1)) for value in values)
        scale, offset = (1 / std).astype("float32"), (-mean / std).astype("float32")
        clips = clips.map(lambda images: images * scale + offset)
        if config.channel_order == "bgr":
            clips = clips.map(lambda images: tf.reverse(images, [1]))

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
    logits = values[id(model.get_layer("classifier").output)]
    scores = {"probabilities": probabilities, "logits": logits}
    return {name: tf.identity(artifacts.mean_of_positions(x)) for name, x in scores.items()}


def _fold(clips):
    """Makes `Clips` of a tensor in the order of Keras, by one transposition of four axes."""
    frames, height, width, channels = clips.shape[1:]
    pixels = tf.reshape(clips, (-1, frames, height * width, channels))
    images = tf.transpose(pixels, (1, 0, 3, 2))
    return Clips(tf.reshape(images, (-1, channels, height, width)), frames)


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


handles(layers.FrameConv)(frame_conv)
handles(layers.TemporalConv)(temporal_conv)
handles(layers.SpaceTimeConv)(space_time_conv)
handles(layers.CoSTConv)(cost_conv)
handles(layers.ClipPooling)(clip_pooling)
handles(layers.TimePooling)(time_pooling)
handles(layers.WindowedMean)(windowed_mean)


@handles(layers.SpaceToDepth)
def _space_to_depth(layer, clips):
    halves = [clips.take(range(first, clips.frames, 2)) for first in range(2)]
    places = itertools.product(halves, range(2), range(2))
    parts = [half.images[:, :, y::2, x::2] for half, y, x in places]
    return Clips(tf.concat(parts, axis=1), halves[0].frames)


@handles(layers.WindowPooling)
def _window_pooling(layer, clips):
    # Of few numbers, which may go back to the order of Keras for the scores of each position.
    images = over_time(tf.reduce_mean, clips).images
    window = [min(layer.window, n) for n in images.shape[2:]]
    pooled = tf.nn.avg_pool2d(images, window, 1, "VALID", FORMAT)
    return tf.expand_dims(tf.transpose(pooled, (0, 2, 3, 1)), 1)


@handles(layers.TemporalShift)
def _temporal_shift(layer, clips):
    channels, frames = clips.images.shape[1], clips.frames
    part = channels // layer.divisor
    parts = tf.split(clips.images, (part, part, channels - 2 * part), axis=1)
    after, before, rest = (Clips(images, frames) for images in parts)
    shifted = after.take(range(1, frames + 1)), before.take(range(-1, frames - 1)), rest
    return _concatenation(layer, *shifted)


@handles(layers.FusedBatchNormalization)
def _batch_normalization(layer, clips):
    channels = clips.images.shape[1]
    # The compatibility function would raise epsilon to 1.001e-5; the operation does not.
    images, *_ = tf.raw_ops.FusedBatchNormV3(
        x=clips.images,
        scale=weight(layer.gamma) if layer.scale else tf.ones(channels),
        offset=weight(layer.beta) if layer.center else tf.zeros(channels),
        mean=weight(layer.moving_mean),
        variance=weight(layer.moving_variance),
        epsilon=layer.epsilon,
        data_format=FORMAT,
        is_training=False,
    )
    return Clips(images, clips.frames)


@handles(layers.SmallBigUnit)
def _smallbig_unit(layer, clips):
    big = clip_pooling(layer.big_view, clips)
    big_conv = layer.big_conv or layer.conv
    if layer.big_norm is not None:
        small = _batch_normalization(layer.norm, frame_conv(layer.conv, clips))
        big = _batch_normalization(layer.big_norm, frame_conv(big_conv, big))
        return activate(layer, small + big)
    if layer.share_weights:
        outputs = frame_conv(layer.conv, clips + big)
    else:
        outputs = frame_conv(layer.conv, clips) + frame_conv(big_conv, big)
    return activate(layer, _batch_normalization(layer.norm, outputs))


def _weigh(clips, context):
    """Multiplies by the sigmoid of one vector a clip."""
    weights = context.map(tf.sigmoid).repeat(clips.frames).images
    return clips.map(lambda images: images * weights)


@handles(layers.SmallBigExtraUnit)
def _smallbig_extra_unit(layer, clips):
    context = frame_conv(layer.big_reduce or layer.reduce, global_view(clips, layer.pool))
    weighed = _weigh(frame_conv(layer.reduce, clips), context)
    return clips + _batch_normalization(layer.norm, frame_conv(layer.expand, weighed))


@handles(layers.SqueezeExciteUnit)
def _squeeze_excite_unit(layer, clips):
    context = frame_conv(layer.expand, frame_conv(layer.reduce, global_view(clips, layer.pool)))
    return clips + _batch_normalization(layer.norm, _weigh(clips, context))


@handles(layers.ChannelGate)
def _channel_gate(layer, clips):
    context = global_view(clips, "avg")
    context = context if layer.reduce is None else frame_conv(layer.reduce, context)
    return _weigh(clips, frame_conv(layer.expand, context))


@handles(layers.NonLocalBlock)
def _nonlocal_block(layer, clips):
    context = _halve(clips) if layer.pool == "before" else clips
    phi, g = frame_conv(layer.phi, context), frame_conv(layer.g, context)
    if layer.pool == "after":
        phi, g = _halve(phi), _halve(g)
    attended = _attend(layer, frame_conv(layer.theta, clips), phi, g)
    return clips + _batch_normalization(layer.norm, frame_conv(layer.out, attended))


def _halve(clips):
    """Maximum of two by two pixels; an axis of one pixel stays."""
    size = [min(n, 2) for n in clips.images.shape[2:]]
    return clips.map(lambda images: tf.nn.max_pool2d(images, size, size, "VALID", FORMAT))


def _attend(layer, theta, phi, g):
    """Sums g over all positions, by the products of phi there and theta here."""
    keys, values = _in_a_row(phi), _in_a_row(g)
    channels, height, width = theta.images.shape[1:]
    queries = tf.reshape(theta.images, (theta.frames, -1, channels, height * width))
    if layer.mode == "dot_product":
        weights = tf.linalg.matmul(queries / keys.shape[2], keys, transpose_a=True)
    else:
        queries = queries * layer.inner**-0.5 if layer.scale else queries
        weights = tf.nn.softmax(tf.linalg.matmul(queries, keys, transpose_a=True))
    attended = tf.linalg.matmul(values, weights, transpose_b=True)
    return Clips(tf.reshape(attended, (-1, channels, height, width)), theta.frames)


def _in_a_row(clips):
    """From clips to `(batch, channels, frames * pixels)`, without a transposition."""
    channels, height, width = clips.images.shape[1:]
    return tf.concat(
        [tf.reshape(frame, (-1, channels, height * width)) for frame in clips.each], axis=2
    )


@handles(keras.layers.Add)
def _sum(layer, *terms):
    return functools.reduce(operator.add, terms)


@handles(keras.layers.Concatenate)
def _concatenation(layer, *parts):
    return Clips(tf.concat([part.images for part in parts], axis=1), parts[0].frames)


@handles(keras.layers.Activation)
def _activation(layer, value):
    return activate(layer, value)


@handles(keras.layers.Dropout)
def _unchanged(layer, value):
    return value


@handles(keras.layers.GlobalAveragePooling3D)
def _average(layer, clips):
    if not isinstance(clips, Clips):
        return tf.reduce_mean(clips, axis=(1, 2, 3))
    return tf.squeeze(global_view(clips, "avg").images, (2, 3))


@handles(keras.layers.GlobalMaxPooling3D)
def _maximum(layer, clips):
    return tf.squeeze(global_view(clips, "max").images, (2, 3))


@handles(keras.layers.Dense)
def _dense(layer, features):
    outputs = tf.linalg.matmul(features, weight(layer.kernel))
    return activate(layer, outputs + weight(layer.bias) if layer.use_bias else outputs)
