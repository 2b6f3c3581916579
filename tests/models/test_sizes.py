"""Parameters and operations against the published and recomputed tables."""

import math

import keras
import pytest
import tensorflow as tf

import smallbig_keras
from benchmarks.complexity import count, is_reproduced
from smallbig_keras import complexity
from smallbig_keras.layers import NonLocalBlock
from smallbig_keras.models import get_model_function
from smallbig_keras.models.published import read_published
from tests.models.networks import distinct_variants, tiny

ALL = (2, 3, 4, 5)
ONE = {"variant": "paper", "extra": None}
LONG = {"stem_stride": 2, "stem_pool": 2}
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
    ("SlowOnlyR101", {"input_shape": (8, 256, 256, 3)}, 60_359_120, 111.56),
    ("C2DR50", {"variant": "pooled"}, 24_327_632, 19.49),
    ("I3DR23", {"variant": "paper"}, 13_914_064, 24.58),
    ("I3DR50", {}, 28_043_472, 28.408),
    ("I3DR50", {"variant": "cost"}, 29_013_456, 24.43),
    ("I3DR50", {"variant": "cost", "temporal": "3x3x3"}, 37_967_312, 27.82),
    ("NonLocalR23", {"variant": "paper"}, 18_708_432, 45.38),
    ("NonLocalR50", {}, 35_401_936, 36.535),
    ("NonLocalR50", {"nonlocal_bias": False}, 35_397_840, 36.535),
    ("NonLocalR50", {"input_shape": (128, 256, 256, 3), **LONG}, 35_401_936, 281.5),
    ("TSMR50", {}, 24_327_632, 32.70),
    ("TSMR50", {"classes": 174, "input_shape": (16, 224, 224, 3)}, 23_864_558, 65.4),
    ("TSMR50", {"variant": "nl"}, 31_686_096, 61.10),
    ("CoSTR50", {"variant": "a"}, 24_333_968, 27.82),
    ("CoSTR50", {}, 25_085_464, 27.82),
    ("CoSTR50", {"input_shape": (8, 256, 256, 3)}, 25_085_464, 36.33),
    ("CoSTR101", {"variant": "a"}, 43_331_472, 50.07),
    ("CoSTR101", {}, 44_405_344, 50.07),
    ("CoSTR101", {"variant": "b_32f"}, 44_442_976, 58.57),
    ("CoSTR101", {"variant": "b_32f", "input_shape": (32, 256, 256, 3)}, 44_442_976, 76.49),
]


_measured = {}


def measure(name, variant="reference", **options):
    """Returns the complexity of a network, and the numbers in its variables: each once."""
    key = name, variant, repr(sorted(options.items()))
    if key not in _measured:
        model = getattr(smallbig_keras, name)(variant=variant, **options)
        trained = sum(math.prod(v.shape) for v in model.trainable_variables)
        _measured[key] = complexity(model), trained
    return _measured[key]


@pytest.mark.parametrize("name, arguments, parameters, gmac", ROWS)
def test_parameters_and_macs(name, arguments, parameters, gmac):
    size, trained = measure(name, **arguments)
    assert size.parameters == parameters
    assert trained == parameters
    assert size.macs / 1e9 == pytest.approx(gmac, rel=1e-3)


VARIANTS = [
    (name, variant)
    for name in smallbig_keras.list_models()
    for variant in get_model_function(name).variants
]


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_the_tables_state_what_is_counted(name, variant):
    row = get_model_function(name).variants[variant]
    size, _ = measure(name, variant)
    assert size.parameters == row.parameters
    assert round(size.macs / 1e9, 2) == row.gmac
    assert f"{row.parameters:,} parameters, {row.gmac:.2f} GMAC" in " ".join(
        get_model_function(name).__doc__.split()
    )


@pytest.mark.parametrize("name, variant", distinct_variants())
def test_macs_are_those_of_the_graph(name, variant):
    """An independent count: the operations that TensorFlow will run."""
    model = getattr(smallbig_keras, name)(
        variant=variant, input_shape=(None, None, None, 3), **tiny(name)
    )
    shape = (8, 48, 40, 3)
    assert complexity(model, shape).macs == graph_macs(model, shape)


def graph_macs(model, shape):
    function = tf.function(lambda x: model(x, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((1, *shape))).graph
    total = 0
    for operation in graph.get_operations():
        if operation.type == "DepthwiseConv2dNative":
            total += math.prod(operation.outputs[0].shape) * math.prod(
                operation.inputs[1].shape[:2]
            )
        elif operation.type in ("Conv2D", "Conv3D"):
            total += math.prod(operation.outputs[0].shape) * math.prod(
                operation.inputs[1].shape[:-1]
            )
        elif operation.type in ("MatMul", "BatchMatMulV2"):
            turned = operation.type == "BatchMatMulV2" and operation.get_attr("adj_x")
            inner = operation.inputs[0].shape[-2 if turned else -1]
            total += math.prod(operation.outputs[0].shape) * inner
    return total


def test_products_of_attention_are_counted_apart():
    """The paper's 34 GFLOPs of NonLocal-R23 are its convolutions alone."""
    model = smallbig_keras.NonLocalR23(variant="paper")
    blocks = [layer for layer in model.layers if isinstance(layer, NonLocalBlock)]
    products = sum(block.count_products(block.input.shape) for block in blocks)
    assert len(blocks) == 5
    assert (complexity(model).macs - products) / 1e9 == pytest.approx(33.42, abs=0.005)


@pytest.mark.parametrize(
    "row", [row for row in read_published() if row.gmac or row.parameters], ids=str
)
def test_a_published_size_is_reproduced_or_explained(row):
    # Several publications are of one network.
    key = row.model, row.variant, row.frames, row.size, repr(row.options)
    if key not in _measured:
        _measured[key] = count(row)
    parameters, macs, _ = _measured[key]
    agrees = is_reproduced(parameters / 1e6, row.parameters) and is_reproduced(macs / 1e9, row.gmac)
    assert agrees != bool(row.note)


def test_bad_arguments():
    model = smallbig_keras.C2DR23(input_shape=(None, None, None, 3))
    with pytest.raises(ValueError, match="known size.*Received: input_shape=.None"):
        complexity(model)
    assert complexity(model, (8, 224, 224, 3)).parameters == 11_349_968
    inputs = keras.Input((4, 8, 8, 3))
    other = keras.Model(inputs, keras.layers.Conv3D(2, 3)(inputs))
    with pytest.raises(ValueError, match="Received: Conv3D"):
        complexity(other)
