"""The fused normalisation against NumPy, against Keras' own, and its state."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.layers import FusedBatchNormalization
from smallbig_keras.models import C2DR50
from tests.numpy_reference import normalize

SHAPES = [(3, 5, 4), (2, 6, 5, 4), (2, 3, 6, 5, 4)]


@pytest.fixture(params=SHAPES, ids=["3-D", "4-D", "5-D"])
def x(request, rng):
    return rng.standard_normal(request.param).astype("float32") * 2 + 1


def test_training_step(x, randomize):
    layer = FusedBatchNormalization()
    layer.build(x.shape)
    randomize(layer)
    before = [w.numpy() for w in layer.weights]
    outputs = layer(x, training=True)

    values = x.reshape(-1, 4).astype("float64")
    mean, variance = values.mean(0), values.var(0)
    expected = normalize(x, before[0], before[1], mean, variance)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        layer.moving_mean, 0.9 * before[2] + 0.1 * mean, rtol=1e-5, atol=1e-7
    )
    unbiased = variance * len(values) / (len(values) - 1)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * before[3] + 0.1 * unbiased, rtol=1e-5)


def test_inference_and_freezing(x, randomize):
    layer = FusedBatchNormalization()
    layer.build(x.shape)
    randomize(layer)
    before = [w.numpy() for w in layer.weights]
    expected = normalize(x, *before)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-5)
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [(True, True), (False, True), (True, False)])
def test_gradients_are_those_of_keras(x, training, affine, randomize, rng):
    scale, center = affine
    options = {"momentum": 0.9, "epsilon": 1e-5, "scale": scale, "center": center}
    weights = rng.standard_normal(x.shape).astype("float32")
    results = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(**options)
        layer.build(x.shape)
        randomize(layer)
        with tf.GradientTape() as tape:
            tape.watch(inputs := tf.constant(x))
            loss = tf.reduce_sum(layer(inputs, training=training) * weights)
        variables = [v.value for v in layer.trainable_variables]
        results.append([loss, *tape.gradient(loss, [inputs, *variables])])
    for fused, plain in zip(*results, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-3, atol=1e-4)


def test_the_fused_operation_runs(x):
    layer = FusedBatchNormalization()
    layer.build(x.shape)
    graph = tf.function(lambda t: layer(t, training=True)).get_concrete_function(x).graph
    operations = {operation.type for operation in graph.get_operations()}
    assert "FusedBatchNormV3" in operations
    assert "SquaredDifference" not in operations


def test_float64_is_that_of_keras(x):
    fused = FusedBatchNormalization(dtype="float64")
    plain = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype="float64")
    np.testing.assert_array_equal(fused(x, training=True), plain(x, training=True))
    np.testing.assert_array_equal(fused.moving_variance, plain.moving_variance)


def test_one_device_has_nothing_to_synchronise(x):
    """`tests/training/test_devices.py` has two of them."""
    layers = FusedBatchNormalization(), FusedBatchNormalization(synchronized=True)
    outputs = [layer(x, training=True) for layer in layers]
    np.testing.assert_array_equal(*outputs)
    np.testing.assert_array_equal(*(layer.moving_variance for layer in layers))


def test_weights_are_those_of_keras(x, randomize):
    """Either layer takes the list of weights of the other."""
    fused, plain = FusedBatchNormalization(), keras.layers.BatchNormalization(epsilon=1e-5)
    for layer in (fused, plain):
        layer.build(x.shape)
    randomize(plain)
    fused.set_weights(plain.get_weights())
    np.testing.assert_allclose(fused(x), plain(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("offset", [0, 1000])
def test_one_pass_is_the_fused_operation(x, offset, randomize, rng):
    """The form for JAX, also where the mean is large beside the deviation."""
    weights = rng.standard_normal(x.shape).astype("float32")
    results = []
    for call in (
        lambda layer, inputs: layer._normalize_in_one_pass(inputs),
        lambda layer, inputs: layer(inputs, training=True),
    ):
        layer = FusedBatchNormalization()
        layer.build(x.shape)
        randomize(layer)
        with tf.GradientTape() as tape:
            tape.watch(inputs := tf.constant(x + offset))
            outputs = call(layer, inputs)
            loss = tf.reduce_sum(outputs * weights)
        variables = [v.value for v in layer.trainable_variables]
        gradients = tape.gradient(loss, [inputs, *variables])
        results.append([outputs, *gradients, layer.moving_mean, layer.moving_variance])
    for ours, fused in zip(*results, strict=True):
        np.testing.assert_allclose(ours, fused, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4, 2), (1, 1, 1, 1, 2)])
def test_a_channel_of_one_value_has_no_variance(shape):
    x = np.full(shape, 7.3, "float32")
    layer = FusedBatchNormalization()
    layer.build(x.shape)
    np.testing.assert_array_equal(layer._normalize_in_one_pass(x), np.zeros_like(x))
    np.testing.assert_allclose(layer.moving_variance, [0.9, 0.9])


def test_a_batch_may_be_empty():
    """One of several devices may have no clips; TensorFlow's merged operations fail on none."""
    network = C2DR50(input_shape=(2, 32, 32, 3), classes=3, blocks=(1, 1, 1, 1), width=8)
    clips = tf.TensorSpec((None, 2, 32, 32, 3))
    function = tf.function(lambda x: network(x, training=False), autograph=False)
    function = function.get_concrete_function(clips)
    for number in (0, 2):
        assert function(tf.zeros((number, 2, 32, 32, 3))).shape == (number, 3)
