"""A layer against NumPy written from its definition."""

import keras
import numpy as np

CLIPS = (2, 5, 7, 6, 8)
to_numpy = keras.ops.convert_to_numpy


def check(layer, clips, expected):
    """Asserts that outputs and their stated shape are those expected."""
    outputs = layer(clips)
    np.testing.assert_allclose(to_numpy(outputs), expected, rtol=1e-4, atol=1e-5)
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)
