"""Poolings of folded clips."""

import functools

import numpy as np
import tensorflow as tf

from smallbig_keras.export.folded_clips import FORMAT, Clips, over_time
from smallbig_keras.layers.padding import output_length, pooling_borders
from smallbig_keras.layers.windows import is_plain, window_shares


def clip_pooling(layer, clips):
    """The maximum or mean of a tube, over frames and then over space."""
    size, *area = layer.pool_size
    step, *strides = layer.steps
    if size is None and layer.mode == "avg":
        clips = over_time(tf.reduce_mean, clips)
    elif layer.mode == "avg":
        clips = _mean_of_neighbours(clips, size)
    elif size is None:
        clips = _maximum(clips, [range(clips.frames)])
    else:
        clips = _maximum_of_neighbours(layer, clips, size, step)
    if (*area, *strides) == (1, 1, 1, 1):
        return clips
    if layer.padding == "symmetric" and max(strides) == 1:
        pool = tf.nn.max_pool2d if layer.mode == "max" else tf.nn.avg_pool2d
        return clips.map(lambda images: pool(images, area, 1, "SAME", FORMAT))
    axes = zip(clips.images.shape[2:], area, strides, strict=True)
    sides = [pooling_borders(*axis, layer.padding) for axis in axes]
    zeros, outside = ([(0, 0), (0, 0), *pairs] for pairs in zip(*sides, strict=True))
    if any(map(any, zeros)):
        clips = clips.map(lambda images: tf.pad(images, zeros))
    return clips.map(lambda images: tf.nn.max_pool2d(images, area, strides, outside, FORMAT))


def _mean_of_neighbours(clips, size):
    """The mean over neighbouring frames, as far as there are any."""
    frames = np.arange(clips.frames)
    near = abs(frames[:, None] - frames) <= size // 2
    shares = (near / near.sum(axis=1, keepdims=True)).astype("float32")
    return _weighted_sums(clips, shares)


def _weighted_sums(clips, shares):
    """Makes frames, each the sum of all with the shares in one row."""
    sums = tf.linalg.matmul(shares, tf.reshape(clips.images, (clips.frames, -1)))
    return Clips(tf.reshape(sums, (-1, *clips.images.shape[1:])), len(shares))


def _maximum_of_neighbours(layer, clips, size, step):
    """The maximum over neighbouring frames; beyond the ends are zeros, or no values."""
    zeros, outside = pooling_borders(clips.frames, size, step, layer.padding)
    inside = range(-zeros[0], clips.frames + zeros[1])
    count = output_length(clips.frames, size, step, layer.padding)
    starts = np.arange(count) * step - zeros[0] - outside[0]
    windows = [range(start, start + size) for start in starts]
    return _maximum(clips, [[place for place in window if place in inside] for window in windows])


def _maximum(clips, windows):
    """Makes frames, each the maximum of those at neighbouring places in a window."""
    if windows == [[place] for place in range(clips.frames)]:
        return clips

    @functools.cache
    def largest(first, end):
        # Of two halves that may overlap: neighbouring windows share them.
        half = (end - first + 1) // 2
        if end - first == 1:
            return clips.at(first)
        return tf.maximum(largest(first, first + half), largest(end - half, end))

    return Clips.join([largest(window[0], window[-1] + 1) for window in windows])


def time_pooling(layer, clips):
    """The maximum of several frames."""
    size = layer.pool_size
    return _maximum(clips, [range(start, start + size) for start in range(0, clips.frames, size)])


def windowed_mean(layer, clips):
    """Features of a clip, of the shares that windows give."""
    frames, *area = layer.window
    sizes = clips.images.shape[2:]
    if all(map(is_plain, sizes, area)):
        each = clips.map(lambda images: tf.reduce_mean(images, axis=(2, 3), keepdims=True))
    else:
        shares = np.multiply.outer(*map(_shares, sizes, area))
        each = clips.map(lambda images: tf.reduce_sum(images * shares, axis=(2, 3), keepdims=True))
    mean = _weighted_sums(each, _shares(clips.frames, frames)[None])
    return tf.squeeze(mean.images, (2, 3))


def _shares(length, window):
    return window_shares(length, window or length, np).astype("float32")
