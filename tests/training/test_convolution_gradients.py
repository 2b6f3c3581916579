"""Gradients of kernels of one column: those of TensorFlow, by products."""

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.training import convolution_gradients
from smallbig_keras.training.convolution_gradients import gradients_of_columns

# Kernel, steps and padding; true where products take the place of TensorFlow's operation.
CONVOLUTIONS = [
    ((3, 1), (1, 1), "SAME", True),
    ((4, 1), (1, 1), "SAME", True),
    ((1, 1), (1, 1), "SAME", False),
    ((3, 1), (2, 1), "VALID", True),
    ((5, 1), (3, 2), "VALID", True),
    ((3, 1), (2, 1), "SAME", False),
    ((3, 3), (1, 1), "SAME", False),
    ((1, 3), (2, 2), "VALID", False),
]


def differentiate(inputs, steps, padding):
    """Returns the gradients by images and kernel, and the graph."""

    @tf.function
    def compute(images, kernel, weights):
        with gradients_of_columns():
            loss = tf.reduce_sum(tf.nn.conv2d(images, kernel, steps, padding) * weights)
            return tf.gradients(loss, [images, kernel])

    return compute(*inputs), compute.get_concrete_function(*inputs).graph


@pytest.mark.parametrize(("size", "steps", "padding", "has_products"), CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients(rng, monkeypatch, size, steps, padding, has_products, groups):
    monkeypatch.setattr(convolution_gradients, "MANY", 4)
    images = tf.constant(rng.standard_normal((2, 9, 7, 4)), tf.float32)
    kernel = tf.constant(rng.standard_normal((*size, 4 // groups, 6)), tf.float32)
    weights = tf.nn.conv2d(images, kernel, steps, padding)
    weights = tf.constant(rng.standard_normal(weights.shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([images, kernel])
        loss = tf.reduce_sum(tf.nn.conv2d(images, kernel, steps, padding) * weights)
    expected = tape.gradient(loss, [images, kernel])
    found, graph = differentiate((images, kernel, weights), steps, padding)
    for value, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-5)
    operations = {operation.type for operation in graph.get_operations()}
    assert ("Conv2DBackpropFilter" not in operations) == (has_products and groups == 1)


def test_few_channels_keep_the_operation_of_tensorflow(rng):
    images, kernel, weights = (
        tf.constant(rng.standard_normal(shape), tf.float32)
        for shape in ((1, 3, 2, 8), (3, 1, 8, 2), (1, 3, 2, 2))
    )
    _, graph = differentiate((images, kernel, weights), (1, 1), "SAME")
    assert "Conv2DBackpropFilter" in {operation.type for operation in graph.get_operations()}
