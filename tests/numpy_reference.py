"""The operations of the networks in plain NumPy, written from their definitions."""

import itertools

import keras
import numpy as np


def convolve(clips, kernel, strides=1):
    """Convolution `(t, h, w, in, out)` padded by half the kernel on both sides of each axis.

    One stride is that of height and width, three are those of frames, height and width.
    """
    kernel = kernel[None] if kernel.ndim == 4 else kernel
    strides = (1, strides, strides) if isinstance(strides, int) else strides
    half = [n // 2 for n in kernel.shape[:3]]
    padded = np.pad(clips, ((0, 0), *((n, n) for n in half), (0, 0)))
    sizes = clips.shape[1:4]
    shape = (-(-n // s) for n, s in zip(sizes, strides, strict=True))
    out = np.zeros((len(clips), *shape, kernel.shape[-1]))
    for taps in itertools.product(*map(range, kernel.shape[:3])):
        frames, rows, columns = (
            slice(tap, tap + n, s) for tap, n, s in zip(taps, sizes, strides, strict=True)
        )
        out += padded[:, frames, rows, columns] @ kernel[taps]
    return out


def cost_views(clips, kernel, strides=1):
    """One kernel over height and width, over frames and width, and over frames and height."""
    kernels = (kernel[None], kernel[:, None], kernel[:, :, None])
    return [convolve(clips, one, (1, strides, strides)) for one in kernels]


def shift(clips, divisor):
    """A part of the channels of the next frame, a part of the frame before, the rest."""
    part, out = clips.shape[-1] // divisor, clips.copy()
    for t in range(clips.shape[1]):
        for channels, other in ((slice(part), t + 1), (slice(part, 2 * part), t - 1)):
            there = 0 <= other < clips.shape[1]
            out[:, t, ..., channels] = clips[:, other, ..., channels] if there else 0
    return out


def pool_time(clips, frames):
    """The maximum of every `frames` frames."""
    starts = range(0, clips.shape[1], frames)
    return np.stack([clips[:, t : t + frames].max(1) for t in starts], axis=1)


def halve(clips):
    """The maximum of two by two pixels; a last odd one is left out, a single one stays."""
    height, width = clips.shape[2:4]
    rows, columns = range(max(1, height // 2)), range(max(1, width // 2))
    out = np.empty((*clips.shape[:2], len(rows), len(columns), clips.shape[-1]))
    for y, x in itertools.product(rows, columns):
        out[:, :, y, x] = clips[:, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].max((2, 3))
    return out


def attend(queries, keys, values, mode, scale):
    """Every position's mean of `values`, weighed by how its query goes with the keys."""
    out = np.empty(queries.shape)
    for n, position in itertools.product(range(len(queries)), np.ndindex(queries.shape[1:4])):
        query = queries[(n, *position)]
        weights = keys[n].reshape(-1, len(query)) @ query
        if mode == "dot_product":
            weights = weights / len(weights)
        else:
            weights = softmax(weights / np.sqrt(len(query)) if scale else weights)
        out[(n, *position)] = weights @ values[n].reshape(-1, len(query))
    return out


def pool(clips, size, mode="max", strides=1):
    """Maximum or mean of what lies in the tube around each position, borders left out."""
    frames, height, width = clips.shape[1:4]
    times = range(1) if size[0] is None else range(frames)
    rows, columns = range(0, height, strides), range(0, width, strides)
    out = np.empty((len(clips), len(times), len(rows), len(columns), clips.shape[-1]))
    for (i, t), (j, y), (k, x) in itertools.product(*map(enumerate, (times, rows, columns))):
        tube = clips[
            :,
            slice(None) if size[0] is None else _around(t, size[0]),
            _around(y, size[1]),
            _around(x, size[2]),
        ]
        out[:, i, j, k] = tube.max((1, 2, 3)) if mode == "max" else tube.mean((1, 2, 3))
    return out


def _around(position, size):
    return slice(max(0, position - size // 2), position + size // 2 + 1)


def normalize(clips, gamma, beta, mean, variance, epsilon=1e-5):
    return (clips - mean) / np.sqrt(variance + epsilon) * gamma + beta


def norm_layer(clips, layer):
    values = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    return normalize(clips, *map(_values, values))


def kernel(layer):
    return _values(layer.kernel)


def bias(layer):
    return _values(layer.bias) if layer.use_bias else 0


def _values(variable):
    return keras.ops.convert_to_numpy(variable).astype("float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
