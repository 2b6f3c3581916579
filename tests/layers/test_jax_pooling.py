"""The maximum that JAX takes by selections, against TensorFlow's own: values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.layers.pooling import select_maximum

CASES = [
    ((3, 3), (1, 1)),
    ((3, 1), (1, 1)),
    ((3, 3), (2, 2)),
    ((2, 2), (2, 2)),
    ((5, 3), (1, 1)),
    ((1, 1), (2, 1)),
]


@pytest.mark.parametrize("size, strides", CASES)
def test_values_and_gradients(size, strides, rng):
    # Few values, so that many are equal: the first has the gradient.
    images = tf.constant(rng.integers(-2, 3, (2, 9, 8, 3)).astype("float32"))
    arriving = None
    results = []
    for pool in (
        lambda x: select_maximum(x, size, strides),
        lambda x: tf.nn.max_pool2d(x, size, strides, "VALID"),
    ):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = pool(images)
        if arriving is None:
            arriving = tf.constant(rng.standard_normal(outputs.shape).astype("float32"))
        results.append((outputs, tape.gradient(outputs, images, arriving)))
    (ours, our_gradient), (expected, gradient) = results
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_allclose(our_gradient, gradient, atol=1e-6)


def test_nan_stays():
    images = np.zeros((1, 5, 5, 1), "float32")
    images[0, 2, 2] = np.nan
    pooled = keras.ops.convert_to_numpy(select_maximum(images, (3, 3), (1, 1)))
    assert np.isnan(pooled).all()


def test_open_sizes():
    images = keras.KerasTensor((None, None, None, 3))
    assert select_maximum(images, (3, 3), (2, 2)).shape == (None, None, None, 3)
