"""Convolutions of folded clips: over space, over time, and over both."""

import functools
import operator

import numpy as np
import tensorflow as tf
from keras import activations, ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.export.folded_clips import FORMAT, Clips, global_view
from smallbig_keras.layers.padding import borders, output_length

# Activations that look at one number at a time; softmax, for one, depends on the last axis.
_ELEMENTWISE = tuple(
    map(activations.get, ("linear", "relu", "relu6", "sigmoid", "hard_sigmoid", "tanh", "silu"))
)


def value_of(variable):
    """Returns the value of a weight, in float32 whatever the policy of the layer."""
    with tf.init_scope():
        return ops.convert_to_numpy(variable).astype("float32")


def weight(variable):
    """Returns a weight as a constant of the graph."""
    return tf.constant(value_of(variable))


def activate(layer, value):
    """Applies the activation of a layer to clips or to features."""
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


def frame_conv(layer, clips):
    """The same convolution on every frame."""
    size, dilation = layer.kernel_size, layer.dilation_rate
    padding = _both_sides(size, dilation) if layer.padding == "same" else "VALID"
    images = tf.nn.conv2d(
        clips.images,
        weight(layer.kernel),
        layer.strides,
        padding,
        data_format=FORMAT,
        dilations=dilation,
    )
    return _finish(layer, Clips(images, clips.frames))


def _both_sides(size, dilation=(1, 1)):
    sides = [n // 2 * step for n, step in zip(size, dilation, strict=True)]
    return [(0, 0), (0, 0), *((side, side) for side in sides)]


def _finish(layer, clips):
    """Bias and activation of a convolution."""
    if layer.use_bias:
        bias = weight(layer.bias)
        clips = clips.map(lambda images: tf.nn.bias_add(images, bias, data_format=FORMAT))
    return activate(layer, clips)


def temporal_conv(layer, clips):
    """One 1x1 convolution of neighbouring frames that are stacked on the channels."""
    size, stride, dilation = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
    before = size // 2 * dilation if layer.padding == "same" else 0
    frames = layer.output.shape[1]
    starts = range(-before, size * dilation - before, dilation)
    taps = [clips.take(range(start, start + frames * stride, stride)) for start in starts]
    kernel = value_of(layer.kernel)
    if layer.groups == 1:
        kernel = kernel.reshape(1, 1, -1, layer.filters)
        return _finish(layer, _convolve(_stack(taps), kernel, 1))
    if layer.groups != clips.images.shape[1] or layer.groups != layer.filters:
        raise SmallBigError(
            "Groups of a convolution over time must be one, or one a channel of input and output. "
            f"Received: groups={layer.groups} of {layer.name!r}"
        )
    factors = kernel.reshape(size, -1, 1, 1)
    images = sum(tap.images * factor for tap, factor in zip(taps, factors, strict=True))
    return _finish(layer, Clips(images, frames))


def space_time_conv(layer, clips):
    """One convolution of neighbouring frames that are stacked on the channels."""
    frames, height, width = layer.kernel_size
    kernel = value_of(layer.kernel).transpose(1, 2, 0, 3, 4)
    kernel = kernel.reshape(height, width, -1, layer.filters)
    step, *strides = layer.strides
    axes = zip(clips.images.shape[2:], (height, width), strides, strict=True)
    sides = [borders(*axis, layer.padding) for axis in axes]
    stacked = _stack(_neighbours(clips, frames, step, layer.padding))
    return _convolve(stacked, kernel, strides, sides)


def cost_conv(layer, clips):
    """One kernel on three views; in the order of ONNX, its numbers are the same in all three."""
    kernel, size = value_of(layer.kernel), layer.kernel_size
    strides = (layer.strides, layer.strides)
    stacked = _interleave(_neighbours(clips, size))
    over_time = kernel.transpose(1, 2, 0, 3).reshape(size, -1, layer.filters)
    views = [
        _convolve(clips, kernel, strides),
        _convolve(stacked, over_time[None], strides),
        _convolve(stacked, over_time[:, None], strides),
    ]
    shares = _shares_of_channels(layer) if layer.fusion == "a" else _shares_of_clips(layer, views)
    weighted = [share * view.images for share, view in zip(shares, views, strict=True)]
    return Clips(functools.reduce(operator.add, weighted), clips.frames)


def _shares_of_channels(layer):
    alpha = value_of(layer.alpha)
    shares = np.exp(alpha - alpha.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return [share.reshape(1, -1, 1, 1) for share in shares.T]


def _shares_of_clips(layer, views):
    """Three tensors `(frames * batch, channels, 1, 1)`, from the maximum of each view."""
    strongest = tf.concat([global_view(view, "max").images for view in views], axis=3)
    channel_kernel = value_of(layer.channel_kernel)[None, None]
    mixed = tf.nn.conv2d(strongest, channel_kernel, 1, "VALID", data_format=FORMAT)
    shares = tf.nn.softmax(tf.linalg.matmul(mixed, value_of(layer.view_kernel)))
    return tf.split(Clips(shares, 1).repeat(views[0].frames).images, 3, axis=3)


def _convolve(clips, kernel, strides, sides=None):
    sides = [(0, 0), (0, 0), *sides] if sides else _both_sides(kernel.shape[:2])
    return clips.map(lambda x: tf.nn.conv2d(x, kernel, strides, sides, data_format=FORMAT))


def _neighbours(clips, size, step=1, padding="symmetric"):
    """Lists the `size` frames around each, one after the other, with zeros beyond the ends."""
    before, _ = borders(clips.frames, size, step, padding)
    frames = output_length(clips.frames, size, step, padding)
    starts = range(-before, size - before)
    return [clips.take(range(start, start + frames * step, step)) for start in starts]


def _stack(taps):
    """Puts the channels of several clips one after the other."""
    return Clips(tf.concat([tap.images for tap in taps], axis=1), taps[0].frames)


def _interleave(taps):
    """Puts the same channel of several clips one after the other, then the next channel."""
    channels, height, width = taps[0].images.shape[1:]
    flat = [tf.reshape(tap.images, (-1, channels, 1, height * width)) for tap in taps]
    images = tf.reshape(tf.concat(flat, axis=2), (-1, len(taps) * channels, height, width))
    return Clips(images, taps[0].frames)
