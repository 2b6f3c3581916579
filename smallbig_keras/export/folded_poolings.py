"""Poolings of folded clips."""

import functools

import numpy as np
import tensorflow as tf

from smallbig_keras.export.folded_clips import FORMAT, Clips, fold
from smallbig_keras.layers.padding import output_length, pooling_borders
from smallbig_keras.layers.windows import is_plain, window_shares


def clip_pooling(layer, clips):
    """The maximum or mean of a tube, over frames and then over space."""
    size, *area = layer.pool_size
    step, *strides = layer.steps
    # Time first: ONNX Runtime brings the clip out of the layout of its convolutions for that,
    # and needs it so for the sum with a context, too.
    if size is None:
        reduce = tf.reduce_max if layer.mode == "max" else tf.reduce_mean
        clips = fold(reduce(clips.unfold(), axis=1, keepdims=True))
    elif (size, step) != (1, 1):
        clips = _pool_frames(layer, clips, size, step)
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


def _pool_frames(layer, clips, size, step):
    """Pools over neighbouring frames, as far as there are any."""
    if layer.mode == "avg":
        frames = np.arange(clips.frames)
        near = abs(frames[:, None] - frames) <= size // 2
        shares = (near / near.sum(axis=1, keepdims=True)).astype("float32")
        image = clips.images.shape[1:]
        flat = tf.reshape(clips.images, (-1, clips.frames, np.prod(image)))
        return Clips(tf.reshape(tf.linalg.matmul(shares, flat), (-1, *image)), clips.frames)
    zeros, (before, _) = pooling_borders(clips.frames, size, step, layer.padding)
    unfolded = clips.unfold()
    if any(zeros):
        unfolded = tf.pad(unfolded, [(0, 0), zeros, *[(0, 0)] * 3])
    frames = np.arange(output_length(clips.frames, size, step, layer.padding)) * step - before
    taps = []
    for tap in range(size):
        # The first or last frame once more does not change a maximum.
        places = np.clip(frames + tap, 0, unfolded.shape[1] - 1)
        is_all = np.array_equal(places, np.arange(unfolded.shape[1]))
        taps.append(unfolded if is_all else tf.gather(unfolded, places, axis=1))
    return fold(functools.reduce(tf.maximum, taps))


def time_pooling(layer, clips):
    """The maximum of several frames."""
    image = clips.images.shape[1:]
    pooled = tf.reduce_max(tf.reshape(clips.images, (-1, layer.pool_size, *image)), axis=1)
    return Clips(pooled, clips.frames // layer.pool_size)


def windowed_mean(layer, clips):
    """Features of a clip, of the shares that windows give."""
    frames, *area = layer.window
    sizes = clips.images.shape[2:]
    if all(map(is_plain, sizes, area)):
        each = tf.reduce_mean(clips.images, axis=(2, 3), keepdims=True)
    else:
        shares = np.multiply.outer(*map(_shares, sizes, area))
        each = tf.reduce_sum(clips.images * shares, axis=(2, 3), keepdims=True)
    each = Clips(each, clips.frames).unfold()
    if is_plain(clips.frames, frames):
        mean = tf.reduce_mean(each, axis=1)
    else:
        shares = _shares(clips.frames, frames).reshape(-1, 1, 1, 1)
        mean = tf.reduce_sum(each * shares, axis=1)
    return tf.squeeze(mean, (2, 3))


def _shares(length, window):
    return window_shares(length, window or length, np).astype("float32")
