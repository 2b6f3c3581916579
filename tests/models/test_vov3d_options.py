"""The options of VoV3D: their rules, their one form, and reading them back."""

import dataclasses
import random

import pytest

from smallbig_keras.models.reading.vov3d import read_network, read_options
from smallbig_keras.models.specs.vov3d import VoV3DSpec
from smallbig_keras.models.vov3d import VoV3D
from smallbig_keras.weights.layouts.vov3d import VOV3D
from tests.models.test_vov3d import NETS, TINY, L
from tests.peers_formula import state


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"blocks": (1, 2, 3)}, "`blocks` must be four ints"),
        ({"blocks": 3}, "`blocks` must be a tuple"),
        ({"width": 7}, "`width` must be an even int of at least 2"),
        ({"width": 0}, "`width` must be an even int of at least 2"),
        ({"width": 8.0}, "`width` must be an even int of at least 2"),
        ({"layers": 0}, "`layers` must be an int of at least 1"),
        ({"classes": True}, "`classes` must be an int"),
        ({"excite_layers": ()}, "`excite_layers` must be zeros and ones"),
        ({"excite_layers": (0, 2)}, "`excite_layers` must be zeros and ones"),
        ({"excite_layers": 1}, "`excite_layers` must be a tuple"),
        ({"excite_ratio": 0.0625}, "`excite_ratio` must be an int of at least 1"),
        ({"head_width": 0}, "`head_width` must be an int of at least 1"),
        ({"head_window": None}, "`head_window` must be an int of at least 1"),
        ({"dropout": 1}, "`dropout` must be a number of at least 0 and below 1"),
    ],
)
def test_bad_options(options, rule):
    with pytest.raises(ValueError, match=f"{rule}.* Received: {next(iter(options))}="):
        VoV3DSpec(**options)


def test_options_that_change_nothing():
    assert VoV3DSpec().idle() == {}
    for options in ({"excite_layers": (0,)}, {"layers": 1, "excite_layers": (0, 1)}):
        spec = VoV3DSpec(**options, excite_ratio=4)
        assert spec.idle() == {"excite_ratio": "excite_layers"}
        assert spec.canonical() == VoV3DSpec(**{**options, "excite_layers": (0,)})


@pytest.mark.parametrize(
    "options, same",
    [
        ({"excite_layers": (1, 0)}, {"excite_layers": (1, 0, 1, 0, 1, 1)}),
        ({"excite_layers": (1,)}, {"excite_layers": [1, 1, 1]}),
        ({"layers": 1}, {"layers": 1, "excite_layers": (1,)}),
        # Both round to 8 channels in all stages.
        ({"width": 8}, {"width": 8, "excite_ratio": 30}),
        ({"width": 8, "excite_ratio": 2}, {"width": 8, "excite_ratio": 2}),
    ],
)
def test_one_canonical_form(options, same):
    spec = VoV3DSpec(**options).canonical()
    assert spec == VoV3DSpec(**same).canonical() == spec.canonical()
    others = ({"excite_layers": (0, 1)}, {"excite_ratio": 1}, {"head_window": 8}, {"layers": 4})
    assert all(spec != VoV3DSpec(**{**options, **other}).canonical() for other in others)


def test_parts():
    assert VoV3DSpec(**L).parts() == [
        "5 layers a block",
        "squeeze-and-excite (1/16) in layers 10101",
        "a window of 7x7 in the head",
    ]
    assert VoV3DSpec(layers=2, excite_layers=(0,), head_window=8).parts() == [
        "2 layers a block",
        "a window of 8x8 in the head",
    ]
    assert "in all layers" in VoV3DSpec(excite_layers=(1,)).parts()[1]


def layers_of(model):
    return {
        layer["config"]["name"]: (layer["class_name"], layer["config"])
        for layer in model.get_config()["layers"]
    }


def some_specs():
    """Specs of every option away from its default, alone and together with others."""
    choose = random.Random(0)
    values = {
        "blocks": [(2, 1, 1, 3), (1, 1, 1, 1)],
        "width": [2, 6, 16],
        "classes": [1, 9],
        "layers": [1, 3],
        "excite_layers": [(0,), (1,), (0, 1), (1, 1, 0)],
        "excite_ratio": [1, 2, 4, 100],
        "head_width": [1, 8],
        "head_window": [1, 3],
        "dropout": [0.0, 0.25],
    }
    alone = [{name: value} for name, options in values.items() for value in options]
    together = [
        {name: choose.choice(options) for name, options in values.items() if choose.random() < 0.7}
        for _ in range(12)
    ]
    return [VoV3DSpec(**{**TINY, **options}) for options in (*alone, *together)]


@pytest.mark.parametrize("spec", [NETS["vov3d_l"], *some_specs()], ids=str)
def test_options_are_read_from_the_layers(spec):
    shape = (2, 64, 96, 3) if spec.head_window == 1 else (2, 32, None, 3)
    model = VoV3D(spec, input_shape=shape)
    options = read_options(layers_of(model))
    assert set(options) >= {field.name for field in dataclasses.fields(spec)} - {"excite_ratio"}
    assert VoV3DSpec(**options).canonical() == spec.canonical()
    without = read_options(layers_of(VoV3D(spec, input_shape=shape, include_top=False)))
    assert without == {name: options[name] for name in without}
    assert not {"classes", "dropout", "head_width", "head_window"} & set(without)


@pytest.mark.parametrize("name", NETS)
def test_options_are_read_from_a_checkpoint(name):
    found = read_network(VOV3D, VOV3D.simplify(state(name)))
    spec = NETS[name].canonical()
    assert found == {field: getattr(spec, field) for field in found}
    trunk_fields = {"blocks", "width", "layers", "excite_layers", "excite_ratio"}
    assert set(found) == {*trunk_fields, "head_width"}
    trunk = {key: value for key, value in state(name).items() if not key.startswith("head.")}
    assert read_network(VOV3D, trunk) == {field: found[field] for field in trunk_fields}


def test_no_network_is_read_from_parts():
    whole = state("vov3d_m")
    for part in (r"s1.", "s4.", "s2.pathway0_res0.branch2.layers.0."):
        rest = {key: value for key, value in whole.items() if not key.startswith(part)}
        assert len(rest) < len(whole) and read_network(VOV3D, rest) is None
