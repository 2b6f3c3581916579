"""Parameters and operations against the published and recomputed tables."""

import math

import keras
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras import complexity

ALL = (2, 3, 4, 5)
ONE = {"variant": "paper", "extra": None}
SLOW = "SmallBigSlowOnlyR50"

# name, arguments, parameters, GMAC of 8 x 224 x 224
ROWS = [
    ("SmallBigR23", {}, 11_368_400, 26.532),
    ("SmallBigR23", {"variant": "paper"}, 13_364_432, 30.49),
    ("SmallBigR23", {"variant": "paper", "pool": "avg"}, 13_364_432, 30.49),
    ("SmallBigR23", {"variant": "paper", "share_weights": False}, 22_080_720, 30.49),
    ("SmallBigR23", {"variant": "paper", "normalization": "single"}, 13_345_232, 19.85),
    ("SmallBigR23", {**ONE, "units": (1,)}, 11_353_168, 20.78),
    ("SmallBigR23", {**ONE, "units": (1, 3)}, 11_365_968, 21.14),
    ("SmallBigR23", ONE, 11_369_168, 27.61),
    (
        "SmallBigR23",
        {"variant": "paper", "extra_position": "input", "extra_ratio": 4},
        13_247_824,
        32.60,
    ),
    ("SmallBigR50", {}, 32_292_816, 62.657),
    ("SmallBigR50", {"extra": None}, 24_370_640, 51.965),
    ("SmallBigR50", {"variant": "paper"}, 29_380_048, 57.31),
    ("SmallBigR101", {}, 43_414_992, 105.247),
    ("SmallBigR101", {"variant": "paper", "input_shape": (32, 224, 224, 3)}, 43_414_992, 416.360),
    (SLOW, {"classes": 400}, 39_946_704, 49.143),
    (SLOW, {"variant": "paper"}, 39_913_198, 52.43),
    (SLOW, {"variant": "paper", "input_shape": (16, 224, 224, 3)}, 39_913_198, 104.86),
    ("C2DR23", {}, 11_349_968, 16.98),
    ("C2DR50", {}, 24_327_632, 32.698),
    ("C2DR23", {"temporal_stages": ALL}, 13_914_064, 24.58),
    ("SlowOnlyR50", {}, 32_454_096, 41.741),
    ("SlowOnlyR50", {"input_shape": (8, 256, 256, 3)}, 32_454_096, 54.52),
]


@pytest.mark.parametrize("name, arguments, parameters, gmac", ROWS)
def test_parameters_and_macs(name, arguments, parameters, gmac):
    model = getattr(smallbig_keras, name)(**arguments)
    size = complexity(model)
    assert size.parameters == parameters
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == parameters
    assert size.macs / 1e9 == pytest.approx(gmac, rel=1e-3)


@pytest.mark.parametrize("name", smallbig_keras.list_models())
def test_macs_are_those_of_the_graph(name):
    """An independent count: the operations that TensorFlow will run."""
    model = getattr(smallbig_keras, name)(
        input_shape=(None, None, None, 3), blocks=(1, 2, 1, 1), width=8
    )
    shape = (3, 48, 40, 3)
    assert complexity(model, shape).macs == graph_macs(model, shape)


def graph_macs(model, shape):
    function = tf.function(lambda x: model(x, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((1, *shape))).graph
    total = 0
    for operation in graph.get_operations():
        if operation.type == "Conv2D":
            total += math.prod(operation.outputs[0].shape) * math.prod(
                operation.inputs[1].shape[:-1]
            )
        elif operation.type == "MatMul":
            total += math.prod(operation.inputs[1].shape) * operation.outputs[0].shape[0]
    return total


def test_bad_arguments():
    model = smallbig_keras.C2DR23(input_shape=(None, None, None, 3))
    with pytest.raises(ValueError, match="known size.*Received: input_shape=.None"):
        complexity(model)
    assert complexity(model, (8, 224, 224, 3)).parameters == 11_349_968
    inputs = keras.Input((4, 8, 8, 3))
    other = keras.Model(inputs, keras.layers.Conv3D(2, 3)(inputs))
    with pytest.raises(ValueError, match="Received: Conv3D"):
        complexity(other)
