"""The size of graphs, in counts: what makes them slow shows without a clock."""

import collections

import onnx
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras import layers
from smallbig_keras.export import to_onnx
from tests.conftest import randomize

FRAMES = 8
SMALL = {"blocks": (1, 1, 1, 1), "width": 8}
# Options, and the most nodes. Most of a SmallBig network are the maxima of neighbouring frames.
NETWORKS = {
    "SmallBigR50": (SMALL, 254),
    "SmallBigR50 without extra": ({**SMALL, "extra": None}, 218),
    "SmallBigSlowOnlyR50": (SMALL, 101),
    "C2DR50": (SMALL, 65),
    "SlowOnlyR50": (SMALL, 77),
    "I3DR50": (SMALL, 97),
    "NonLocalR50": ({**SMALL, "blocks": (1, 2, 1, 1)}, 134),
    "TSMR50": (SMALL, 105),
    "CoSTR50": (SMALL, 182),
    "S3DG": ({"width": 8}, 704),
    "VoV3DM": ({"width": 8, "blocks": (1, 1, 1, 1)}, 644),
}
# The input has one. Each product of a non-local block that ONNX has no option for has one, and
# a head of several positions that are classified each.
TRANSPOSES = {layers.NonLocalBlock: 2, layers.WindowPooling: 1}
# Bytes of a node and its output: names, attributes, the shape.
NODE = 400


def convolutions(layer):
    """The convolutions that a layer computes, each view of a shared kernel counted."""
    kinds = {
        layers.FrameConv: lambda: 1,
        # A depthwise one over time is sums of frames.
        layers.TemporalConv: lambda: layer.groups == 1,
        layers.SpaceTimeConv: lambda: 1,
        layers.CoSTConv: lambda: 3 + (layer.fusion == "b"),
        layers.SmallBigUnit: lambda: 2,
        layers.SmallBigExtraUnit: lambda: 3,
        layers.ChannelGate: lambda: 1 + (layer.reduce is not None),
        layers.NonLocalBlock: lambda: 4,
    }
    return kinds.get(type(layer), lambda: 0)()


def faults(path, model, most_nodes):
    """Lists the counts of a file that are beyond the limits."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    found = collections.Counter(node.op_type for node in graph.node)
    tensors = [*graph.value_info, *graph.output]
    windows = sum(isinstance(layer, layers.WindowPooling) for layer in model.layers)
    deep = [value for value in tensors if len(value.type.tensor_type.shape.dim) > 4]
    transposes = 1 + sum(TRANSPOSES.get(type(layer), 0) for layer in model.layers)
    counts = {
        "nodes": (len(graph.node), most_nodes),
        "Transpose": (found["Transpose"], transposes),
        "Conv": (found["Conv"], sum(map(convolutions, model.layers))),
        "tensors of more than four axes": (len(deep), windows),
        "bytes": (path.stat().st_size, 4 * model.count_params() + NODE * most_nodes),
    }
    return {name: count for name, (count, limit) in counts.items() if count > limit}


def make(name, options):
    shape = (FRAMES, 32, 32, 3)
    return randomize(getattr(smallbig_keras, name)(input_shape=shape, classes=7, **options))


@pytest.mark.parametrize("case", NETWORKS)
def test_a_graph_is_no_larger_than_its_network_needs(case, tmp_path):
    options, most_nodes = NETWORKS[case]
    model = make(case.split()[0], options)
    path = to_onnx(model, tmp_path / "model.onnx")
    assert faults(path, model, most_nodes) == {}


def test_the_counts_of_a_direct_conversion_are_found(tmp_path):
    options, most_nodes = NETWORKS["SmallBigR50"]
    model = make("SmallBigR50", options)
    path = to_onnx(model, tmp_path / "naive.onnx", naive=True)
    assert {"nodes", "Transpose", "tensors of more than four axes"} <= set(
        faults(path, model, most_nodes)
    )


@pytest.mark.parametrize("case", NETWORKS)
def test_a_graph_of_tensorflow_asks_for_the_batch_alone(case):
    """Sizes that are known need no operation; each one makes the first prediction slower."""
    model = make(case.split()[0], NETWORKS[case][0])
    clips = tf.TensorSpec((None, *model.input_shape[1:]))
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(clips).graph
    # An empty batch keeps its shape in a normalisation; Keras asks for that of its own products.
    allowed = ("norm", "Tensordot")
    sizes = [operation.name for operation in graph.get_operations() if operation.type == "Shape"]
    assert [name for name in sizes if not any(part in name for part in allowed)] == []
