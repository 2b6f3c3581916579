"""A model of this package tells by its layers which row of the tables it is."""

import dataclasses

import keras
import pytest

from smallbig_keras.models import VideoResNetSpec, get_model_function, list_models
from smallbig_keras.models.description import is_same, read_spec
from smallbig_keras.models.factory import make_spec
from smallbig_keras.models.rebuilding import describe
from smallbig_keras.models.registry import match_network
from tests.models.networks import tiny
from tests.models.test_properties import VARIANTS, build, shape_of

# Options of one kind each, away from every row.
OPTIONS = [
    ("C2DR50", {"temporal_stages": (3,)}),
    ("C2DR50", {"temporal_stages": (2, 4), "temporal_blocks": ((0, 1), (1,), (0, 1, 1), (1,))}),
    ("TSMR50", {"temporal_blocks": ((1,), (0,), (1, 0), (1,))}),
    ("TSMR50", {"temporal_stages": ()}),
    ("I3DR50", {"temporal": "3x3x3"}),
    ("I3DR50", {"stem_frames": 1, "time_pool": 1}),
    ("I3DR50", {"stem_frames": 3, "stem_stride": 2, "stem_pool": 2}),
    ("NonLocalR50", {"nonlocal_mode": "dot_product"}),
    ("NonLocalR50", {"nonlocal_scale": False, "nonlocal_pool": None, "nonlocal_bias": False}),
    ("NonLocalR50", {"nonlocal_stages": (2, 5), "nonlocal_blocks": ((0, 0, 1), (1,), (1,), (1,))}),
    ("SmallBigR50", {"nonlocal_stages": (3,), "temporal": "shift", "temporal_stages": (2, 5)}),
    ("SmallBigR50", {"units": (1, 3), "temporal": "cost_a", "temporal_stages": (4,)}),
]


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_every_row(name, variant):
    model = build(name, variant)
    description = describe(model)
    assert (description.model, description.classes) == (name, 5)
    spec = make_spec(get_model_function(name), description.variant, 5, **description.options)
    row = get_model_function(name).variants[variant]
    expected = dataclasses.replace(row.spec, **tiny(name))
    assert spec.canonical() == expected.canonical()
    assert set(description.options) <= set(tiny(name))


@pytest.mark.parametrize("name, options", OPTIONS)
def test_other_options(name, options):
    """Also of a model under a name of its own, whose row is not known."""
    blocks = {"blocks": (3, 2, 3, 2), "width": 8}
    shape = (16, 32, 32, 3)
    model = get_model_function(name)(input_shape=shape, name="mine", **blocks, **options)
    found, variant, differ = match_network(read_spec(model.get_config())[0], "mine")
    twin = get_model_function(found)(input_shape=shape, variant=variant, **differ)
    assert is_same(model.get_config(), twin.get_config())
    found, variant, differ = match_network(read_spec(model.get_config())[0], name)
    assert found == name
    rebuilt = get_model_function(name)(input_shape=shape, variant=variant, **differ)
    assert is_same(model.get_config(), rebuilt.get_config())


def test_rows_whose_patterns_take_no_block_of_so_few():
    """Of one block a stage, the rows of every second block are no networks."""
    options = {"blocks": (1, 1, 1, 1), "width": 8}
    model = get_model_function("SlowOnlyR50")(input_shape=(4, 32, 32, 3), name="mine", **options)
    assert match_network(read_spec(model.get_config())[0], "mine")[2].keys() <= {*options}
    found = match_network(read_spec(model.get_config())[0], "NonLocalR50")
    assert (found[0], found[2]["nonlocal_stages"]) == ("NonLocalR50", ())
    twin = get_model_function("NonLocalR50")(
        input_shape=(4, 32, 32, 3), variant=found[1], **found[2]
    )
    assert is_same(model.get_config(), twin.get_config())


@pytest.mark.parametrize(
    "name, variant, changes",
    [
        ("NonLocalR50", "reference", {"nonlocal_scale": False}),
        ("NonLocalR50", "reference", {"nonlocal_pool": "after"}),
        ("TSMR50", "nl", {"temporal_stages": (2,)}),
        ("C2DR50", "pooled", {"time_pool": 4}),
        ("CoSTR50", "a", {"temporal": "cost_b"}),
    ],
)
def test_what_has_no_weights_tells_networks_apart(name, variant, changes):
    shape = (16, *shape_of(name, variant)[1:])
    one = build(name, variant, input_shape=shape)
    other = build(name, variant, input_shape=shape, **changes)
    assert not is_same(one.get_config(), other.get_config())


def test_a_changed_layer_is_no_row():
    """One block with another attention than its neighbours is no network of a spec."""

    def change(layer):
        config = layer.get_config()
        if layer.name == "res3_block1_nonlocal":
            config["pool"] = None
        return type(layer).from_config(config)

    model = keras.models.clone_model(build("NonLocalR50", "paper"), clone_function=change)
    with pytest.raises(ValueError, match="has other layers than NonLocalR50"):
        describe(model)


def test_specs_of_one_network_are_one():
    every = VideoResNetSpec(temporal_stages=(4, 5))
    patterns = VideoResNetSpec(
        temporal_stages=(3, 4, 5), temporal_blocks=((1, 0), (0,), (1, 1), (1, 1, 1))
    )
    assert every.canonical() == patterns.canonical() != VideoResNetSpec().canonical()
    for name in list_models():
        for row in get_model_function(name).variants.values():
            assert row.spec.canonical() == row.spec.canonical().canonical()
