"""Convolution and maximum over frames, height and width with TensorFlow's padding, in NumPy."""

import itertools

import numpy as np


def _windows(clips, size, strides, outside):
    """Yields the place in a window and the values there, of all windows at once."""
    widths, spans = [(0, 0)], []
    for length, n, step in zip(clips.shape[1:4], size, strides, strict=True):
        windows = (length + step - 1) // step
        missing = max((windows - 1) * step + n - length, 0)
        widths.append((missing // 2, missing - missing // 2))
        spans.append((windows - 1) * step + 1)
    padded = np.pad(clips, (*widths, (0, 0)), constant_values=outside)
    for place in itertools.product(*map(range, size)):
        t, y, x = (
            slice(first, first + span, step)
            for first, span, step in zip(place, spans, strides, strict=True)
        )
        yield place, padded[:, t, y, x]


def convolve_same(clips, kernel, strides=(1, 1, 1)):
    """Convolution with a kernel `(frames, height, width, in, out)`."""
    windows = _windows(np.float64(clips), kernel.shape[:3], strides, 0)
    return sum(values @ kernel[place] for place, values in windows)


def pool_same(clips, size, strides):
    """Maximum over what lies in each window."""
    return np.max([v for _, v in _windows(np.float64(clips), size, strides, -np.inf)], axis=0)
