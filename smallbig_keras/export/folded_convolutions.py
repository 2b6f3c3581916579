"""Convolutions of folded clips: over space, over time, and over both."""

import numpy as np
import tensorflow as tf
from keras import activations, ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.export.folded_clips import FORMAT, Clips, fold, global_view
from smallbig_keras.layers.padding import borders

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
    """One 1x1 convolution for all taps; a matrix of zeros and ones shifts and adds them."""
    size, stride, dilation = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
    before = size // 2 * dilation if layer.padding == "same" else 0
    frames = layer.output.shape[1]
    if layer.groups > 1:
        return _finish(layer, _depthwise_over_time(layer, clips, before, frames))
    shifts = np.zeros((frames, clips.frames, size), "float32")
    for frame in range(frames):
        for tap in range(size):
            source = frame * stride + tap * dilation - before
            if 0 <= source < clips.frames:
                shifts[frame, source, tap] = 1

    kernel = value_of(layer.kernel)
    channels = kernel.shape[2]
    kernel = kernel.transpose(1, 2, 0, 3).reshape(1, 1, channels, -1)
    taps = tf.nn.conv2d(clips.images, kernel, 1, "VALID", data_format=FORMAT)
    image = (layer.filters, *clips.images.shape[2:])
    taps = tf.reshape(taps, (-1, clips.frames * size, np.prod(image)))
    summed = tf.linalg.matmul(shifts.reshape(frames, -1), taps)
    return _finish(layer, Clips(tf.reshape(summed, (-1, *image)), frames))


def _depthwise_over_time(layer, clips, before, frames):
    """Sums the neighbouring frames, each times a factor a channel."""
    size, stride, dilation = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
    kernel = value_of(layer.kernel).reshape(size, -1, 1, 1)
    if layer.groups != clips.images.shape[1] or layer.groups != layer.filters:
        raise SmallBigError(
            "Groups of a convolution over time must be one, or one a channel of input and output. "
            f"Received: groups={layer.groups} of {layer.name!r}"
        )
    padded = tf.pad(clips.unfold(), ((0, 0), (before, before), (0, 0), (0, 0), (0, 0)))
    starts = range(0, size * dilation, dilation)
    taps = [padded[:, n : n + (frames - 1) * stride + 1 : stride] for n in starts]
    return fold(sum(tap * factor for tap, factor in zip(taps, kernel, strict=True)))


def space_time_conv(layer, clips):
    """One convolution of neighbouring frames that are stacked on the channels."""
    frames, height, width = layer.kernel_size
    kernel = value_of(layer.kernel).transpose(1, 2, 3, 0, 4)
    kernel = kernel.reshape(height, width, -1, layer.filters)
    step, *strides = layer.strides
    axes = zip(clips.images.shape[2:], (height, width), strides, strict=True)
    sides = [borders(*axis, layer.padding) for axis in axes]
    stacked = _stack_frames(clips, frames, step, layer.padding)
    return _convolve(stacked, kernel, strides, sides)


def cost_conv(layer, clips):
    """One kernel on three views; in the order of ONNX, its numbers are the same in all three."""
    kernel, size = value_of(layer.kernel), layer.kernel_size
    strides = (layer.strides, layer.strides)
    stacked = _stack_frames(clips, size)
    over_time = kernel.transpose(1, 2, 0, 3).reshape(size, -1, layer.filters)
    views = [
        _convolve(clips, kernel, strides),
        _convolve(stacked, over_time[None], strides),
        _convolve(stacked, over_time[:, None], strides),
    ]
    shares = _shares_of_channels(layer) if layer.fusion == "a" else _shares_of_clips(layer, views)
    return fold(sum(share * view.unfold() for share, view in zip(shares, views, strict=True)))


def _shares_of_channels(layer):
    alpha = value_of(layer.alpha)
    shares = np.exp(alpha - alpha.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return [share.reshape(1, 1, -1, 1, 1) for share in shares.T]


def _shares_of_clips(layer, views):
    """Three tensors `(batch, 1, channels, 1, 1)`, from the maximum of each view and channel."""
    strongest = tf.concat([global_view(view, "max").images for view in views], axis=3)
    channel_kernel = value_of(layer.channel_kernel)[None, None]
    mixed = tf.nn.conv2d(strongest, channel_kernel, 1, "VALID", data_format=FORMAT)
    shares = tf.nn.softmax(tf.linalg.matmul(mixed, value_of(layer.view_kernel)))
    return [tf.expand_dims(share, 1) for share in tf.split(shares, 3, axis=3)]


def _convolve(clips, kernel, strides, sides=None):
    sides = [(0, 0), (0, 0), *sides] if sides else _both_sides(kernel.shape[:2])
    return clips.map(lambda x: tf.nn.conv2d(x, kernel, strides, sides, data_format=FORMAT))


def _stack_frames(clips, size, step=1, padding="symmetric"):
    """Makes `size` channels of each, those of neighbouring frames, with zeros beyond the ends."""
    sides = borders(clips.frames, size, step, padding)
    padded = tf.pad(clips.unfold(), ((0, 0), sides, (0, 0), (0, 0), (0, 0)))
    reach = (clips.frames - 1) // step * step + 1
    taps = [padded[:, tap : tap + reach : step] for tap in range(size)]
    _, frames, channels, *image = taps[0].shape
    stacked = tf.reshape(tf.stack(taps, axis=3), (-1, size * channels, *image))
    return Clips(stacked, frames)
