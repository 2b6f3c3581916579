"""The spec of S3D, S3D-G and I3D from the layers of a model and from a checkpoint."""

import dataclasses

import numpy as np
import pytest

from smallbig_keras.models.reading.s3d import read_network, read_options
from smallbig_keras.models.s3d import VideoInception
from smallbig_keras.models.specs.s3d import S3DSpec
from smallbig_keras.weights.layouts import find_layout
from tests.models.inception import ROWS
from tests.models.test_s3d import NETS, port_names
from tests.peers_formula import CASES

# Options of one kind each, away from every row.
OPTIONS = [
    {"width": 24, "classes": 7},
    {"stem_frames": 3},
    {"stem": "full", "stem_frames": 5},
    {"stem": "full", "stem_frames": 1, "temporal": "full"},
    {"stem": "space_to_depth", "padding": "tensorflow", "stem_frames": 3},
    {"temporal": "separable_bias"},
    {"temporal": "full"},
    {"gates": True, "temporal": "full"},
    {"gates": True, "gate_bias": True},
    {"gate_bias": True},
    {"padding": "zeros"},
    {"norm_scale": False},
    {"norm_epsilon": 1e-4, "norm_momentum": 0.95},
    {"head_window": (None, 7, 3)},
    {"head_window": (None, None, None)},
    {"dropout": 0.0},
    {"dropout": 0.5},
]
SPECS = [*ROWS.values(), *OPTIONS]


def layers_of(model):
    config = model.get_config()["layers"]
    return {layer["config"]["name"]: (layer["class_name"], layer["config"]) for layer in config}


@pytest.mark.parametrize("options", SPECS, ids=str)
def test_layers_show_every_option(options):
    spec = S3DSpec(**{"width": 8, "classes": 5, **options})
    model = VideoInception(spec, input_shape=(8, 32, 32, 3))
    found = read_options(layers_of(model))
    assert S3DSpec(**found).canonical() == spec.canonical()
    fields = {field.name for field in dataclasses.fields(S3DSpec)}
    assert set(found) == fields - set(spec.idle())


def test_layers_without_a_head_show_the_rest():
    spec = S3DSpec(width=8, gates=True, head_window=(1, 1, 1), dropout=0.7)
    for pooling in (None, "avg"):
        model = VideoInception(spec, input_shape=(8, 32, 32, 3), include_top=False, pooling=pooling)
        found = read_options(layers_of(model))
        assert not {"classes", "head_window", "dropout"} & set(found)
        known = dataclasses.replace(spec, head_window=(2, 7, 7), dropout=0.2)
        assert S3DSpec(**found).canonical() == known.canonical()


def read(weights):
    layout = find_layout(weights)
    return read_network(layout, layout.simplify(weights))


def empty_state(case):
    """The names and shapes of a network, without its numbers."""
    return {n: np.broadcast_to(np.float32(0), shape) for n, shape, _ in CASES[case]["state"]}


def check_fields(found, row):
    spec = S3DSpec(**ROWS[row]).canonical()
    assert found == {field: getattr(spec, field) for field in found}
    assert {"width", "stem", "temporal", "gates", "padding", "norm_epsilon"} <= set(found)


@pytest.mark.parametrize("case", NETS)
def test_checkpoint_tells_its_network(case):
    check_fields(read(empty_state(case)), NETS[case][0])


def test_checkpoint_of_the_port():
    check_fields(read(port_names(empty_state("s3d"))), "S3D port")


def test_checkpoint_without_a_stem():
    weights = {n: w for n, w in empty_state("s3d").items() if not n.startswith("features.0")}
    assert read(weights) is None
