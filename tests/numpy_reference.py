"""The operations of the networks in plain NumPy, written from their definitions."""

import itertools

import numpy as np


def convolve(clips, kernel, strides=1):
    """Convolution `(t, h, w, in, out)` padded by half the kernel on both sides of each axis."""
    kernel = kernel[None] if kernel.ndim == 4 else kernel
    half = [n // 2 for n in kernel.shape[:3]]
    padded = np.pad(clips, ((0, 0), *((n, n) for n in half), (0, 0)))
    frames, height, width = clips.shape[1:4]
    shape = (len(clips), frames, -(-height // strides), -(-width // strides), kernel.shape[-1])
    out = np.zeros(shape)
    for t, y, x in itertools.product(*map(range, kernel.shape[:3])):
        window = padded[:, t : t + frames, y : y + height : strides, x : x + width : strides]
        out += window @ kernel[t, y, x]
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
    return normalize(clips, *(np.asarray(v.value, "float64") for v in values))


def kernel(layer):
    return np.asarray(layer.kernel, "float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
