"""VoV3D against the numbers of its original code, and its description read back."""

import dataclasses

import keras
import numpy as np
import pytest

from smallbig_keras.models import complexity, feature_extractor
from smallbig_keras.models.specs.vov3d import STAGES, VoV3DSpec
from smallbig_keras.models.vov3d import VoV3D, apply_block, apply_layer
from smallbig_keras.weights import WeightsError, port_state_dict
from smallbig_keras.weights.layouts import find_layout
from smallbig_keras.weights.layouts.vov3d import VOV3D
from tests.models.golden_blocks import check_block, stages, to_float64
from tests.peers_formula import CASES, clip, golden, state
from tests.reference_formula import relative_error

M, L = {"width": 40, "blocks": (1, 2, 3, 2)}, {"width": 48, "blocks": (1, 2, 5, 3)}
NETS = {
    "vov3d_m": VoV3DSpec(**M, classes=174),
    "vov3d_m_wide": VoV3DSpec(**M),
    "vov3d_l": VoV3DSpec(**L),
}
STAGE_NAMES = {"s1": "stem", **{f"s{n}": f"res{n}" for n in STAGES}}
TINY = {"width": 8, "blocks": (1, 2, 1, 1), "layers": 2, "classes": 5, "head_width": 12}


def tiny(shape=(3, 32, 32, 3), **options):
    return VoV3D(VoV3DSpec(**{**TINY, **options}), input_shape=shape)


def network_errors(name):
    """Relative error of scores and stages of a network, by their names."""
    case, expected = CASES[name], golden(name)
    # The head's window is the last map of a crop.
    spec = dataclasses.replace(NETS[name], head_window=case["arguments"]["crop"] // 32)
    model = VoV3D(spec, input_shape=clip(name).shape[1:])
    port_state_dict(model, state(name), f"{name}.pth")
    names = [*(STAGE_NAMES[stage] for stage in case["stages"]), "classifier"]
    outputs = feature_extractor(model, names)(clip(name))
    outputs = {name: to_float64(values) for name, values in outputs.items()}
    positions = expected["logits_map"]
    found = {
        "logits_map": (outputs["classifier"].reshape(positions.shape), positions),
        "probs": (to_float64(model(clip(name))), expected["probs"]),
    }
    found |= stages(name, {stage: outputs[STAGE_NAMES[stage]] for stage in case["stages"]})
    assert set(found) == {key for key in expected if not key.startswith("num")}
    return {key: relative_error(*pair) for key, pair in found.items()}


@pytest.mark.parametrize("name", NETS)
def test_network(name):
    errors = network_errors(name)
    assert all(error < 1e-5 for error in errors.values()), errors


@pytest.mark.parametrize("name", NETS)
def test_size_of_network(name):
    macs = CASES[name]["macs"]
    _, channels, *sizes = macs["input"]
    model = VoV3D(NETS[name], input_shape=(*sizes, channels))
    assert complexity(model) == (CASES[name]["parameters"], macs["total"])
    assert NETS[name].min_parameters() < CASES[name]["parameters"] < 2 * NETS[name].min_parameters()


# Of architectures.md: published are 12.8 and 24.3 at 32 frames, 12.1 at 16.
@pytest.mark.parametrize(
    "options, frames, parameters, gmac",
    [(M, 32, 3_204_286, 12.84), (L, 16, 5_834_094, 12.16), (L, 32, 5_834_094, 24.31)],
)
def test_size_of_something_something(options, frames, parameters, gmac):
    spec = VoV3DSpec(**options, classes=174)
    size = complexity(VoV3D(spec, input_shape=(frames, 256, 256, 3)))
    assert size.parameters == parameters
    assert size.macs / 1e9 == pytest.approx(gmac, abs=0.005)


def block(inputs, arguments):
    # The width of a block is that of its stage, here res3.
    spec = VoV3DSpec(width=arguments["dim_inner"] // 2, layers=arguments["num_groups"])
    return apply_block(inputs, spec, 3, arguments["stride"], "res3_block1")


def layer(inputs, arguments):
    excited = arguments["block_idx"] % 2 == 0
    inner, strides = arguments["dim_inner"], arguments["stride"]
    return apply_layer(inputs, inner, strides, 8 if excited else None, "res3_block1_layer1")


BLOCK, LAYER = "s3.pathway0_res0.", "s3.pathway0_res0.branch2.layers.0."
BLOCKS = {
    "tosa_stride1": (block, VOV3D, BLOCK),
    "tosa_stride1_wider": (block, VOV3D, BLOCK),
    "tosa_stride2": (block, VOV3D, BLOCK),
    "d21d_se_stride2": (layer, VOV3D, LAYER),
    "d21d_se_identity": (layer, VOV3D, LAYER),
    "d21d_identity": (layer, VOV3D, LAYER),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name):
    check_block(name, *BLOCKS[name])


@pytest.mark.parametrize(
    "channels, ratio, filters",
    # Of M and L, and two that are rounded up for nine tenths.
    [
        *[(40, 16, 8), (80, 16, 8), (160, 16, 16), (320, 16, 24)],
        *[(48, 16, 8), (96, 16, 8), (192, 16, 16), (384, 16, 24)],
        *[(40, 3, 16), (22, 2, 16)],
    ],
)
def test_channels_of_squeeze_and_excitation(channels, ratio, filters):
    assert VoV3DSpec(width=channels, excite_ratio=ratio).excite_filters(2) == filters


def test_names_of_layers():
    names = [layer.name for layer in tiny(blocks=(1, 1, 1, 1)).layers if "res2_" in layer.name]
    expected = """
        layer1_expand_conv layer1_expand_norm layer1_expand_relu layer1_space_conv
        layer1_time_conv layer1_time_norm layer1_gate layer1_silu layer1_reduce_conv
        layer1_reduce_norm layer1_relu layer2_expand_conv layer2_expand_norm layer2_expand_relu
        layer2_space_conv layer2_time_conv layer2_time_norm layer2_silu layer2_reduce_conv
        layer2_reduce_norm layer2_add layer2_relu concat join_conv join_norm shortcut_conv
        shortcut_norm add relu
    """
    assert sorted(names) == sorted(f"res2_block1_{name}" for name in expected.split())
    names = [layer.name for layer in tiny().layers if not layer.name.startswith("res")]
    expected = """
        clips stem_space_conv stem_time_conv stem_norm stem_relu last_conv last_norm last_relu
        head_pool position_mean head_features dropout classifier predictions
    """
    assert names == expected.split()


def test_a_new_block_is_its_shortcut(rng):
    x = rng.standard_normal((2, 3, 6, 6, 8)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    spec = VoV3DSpec(width=16, layers=2)
    model = keras.Model(inputs, apply_block(inputs, spec, 2, 1, "res2_block2"))
    np.testing.assert_allclose(model(x), np.maximum(x, 0), atol=1e-6)


@pytest.mark.parametrize(
    "size, positions, activation",
    [
        ((32, 40), (1, 1), "softmax"),
        ((70, 64), (2, 1), "softmax"),
        ((100, 130), (3, 4), "softmax"),
        ((33, 96), (1, 2), None),
    ],
)
def test_scores_are_the_mean_over_positions(size, positions, activation, randomize, rng):
    """Of fixed sizes and of open ones, which do not know how many positions there will be."""
    shape = (3, *size, 3)
    options = {"blocks": (1, 1, 1, 1), "layers": 1, "head_window": 2, "dropout": 0.0}
    spec = VoV3DSpec(**{**TINY, **options})
    arguments = {"classifier_activation": activation}
    fixed = randomize(VoV3D(spec, input_shape=shape, **arguments))
    clips = rng.standard_normal((2, *shape)).astype("float32")
    features = feature_extractor(fixed, ["last", "classifier", "predictions"])(clips)
    logits = np.reshape(features["classifier"], (2, *positions, 5))

    last = np.asarray(features["last"]).mean(1)
    kernels = [fixed.get_layer(name).get_weights() for name in ("head_features", "classifier")]
    ((inside,), (kernel, bias)) = kernels
    for row in range(positions[0]):
        for column in range(positions[1]):
            mean = last[:, row : row + 2, column : column + 2].mean((1, 2))
            expected = np.maximum(mean @ inside, 0) @ kernel + bias
            np.testing.assert_allclose(logits[:, row, column], expected, rtol=1e-3, atol=1e-4)
    scores = keras.ops.softmax(logits) if activation else logits
    expected = np.mean(scores, axis=(1, 2))
    np.testing.assert_allclose(fixed(clips), expected, rtol=1e-4, atol=1e-5)

    for shape in ((None, None, None, 3), (3, None, size[1], 3)):
        model = VoV3D(spec, input_shape=shape, **arguments)
        model.set_weights(fixed.get_weights())
        assert model.output_shape == (None, 5)
        found = model.predict(clips, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [32, 64])
def test_scores_of_mixed_precision_are_float32(size, rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = tiny((2, size, size, 3), head_window=1)
    scores = model(rng.standard_normal((2, 2, size, size, 3)).astype("float32"))
    assert scores.dtype == "float32"
    np.testing.assert_allclose(np.sum(scores, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (5, 31, 1, 3), (2, 33, 65, 1)])
def test_clips_of_any_size(shape, randomize, rng):
    model = randomize(tiny(shape))
    found = model(rng.standard_normal((2, *shape)).astype("float32"))
    np.testing.assert_allclose(np.sum(found, axis=1), 1, atol=1e-5)
    assert len(np.unique(found)) == 10


@pytest.mark.parametrize("pooling, shape", [(None, (None, 3, 1, 1, 64)), ("avg", (None, 64))])
def test_without_a_head(pooling, shape):
    spec = VoV3DSpec(**TINY)
    arguments = {"input_shape": (3, 32, 32, 3), "include_top": False, "pooling": pooling}
    model = VoV3D(spec, **arguments)
    assert model.output_shape == shape
    assert not any("head" in weight.path or "classifier" in weight.path for weight in model.weights)


def names_of(case, prefix=""):
    return [prefix + name for name, _, _ in CASES[case]["state"]]


def test_names_tell_the_code():
    for name, (_, layout, prefix) in BLOCKS.items():
        assert find_layout(names_of(name, prefix)) is layout
    for name in NETS:
        assert find_layout(names_of(name)) is VOV3D
    codes = {"sf": "PySlowFast", "cost": "OpenMMLab and CoST", "tsm": "TSM"}
    for name, case in CASES.items():
        if case["kind"] == "net" and name.split("_")[0] in codes:
            assert find_layout(names_of(name)).code == codes[name.split("_")[0]]
    assert find_layout(names_of("i3d_sf_resblock", BLOCK)).code == "PySlowFast"


def test_another_network_is_refused():
    model = VoV3D(NETS["vov3d_l"], input_shape=(2, 32, 32, 3))
    before = model.get_weights()
    with pytest.raises(WeightsError, match="vov3d_m.pth"):
        port_state_dict(model, state("vov3d_m"), "vov3d_m.pth")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_another_number_of_classes_keeps_its_classifier():
    model = VoV3D(dataclasses.replace(NETS["vov3d_m"], classes=6), input_shape=(2, 32, 32, 3))
    report = port_state_dict(model, state("vov3d_m"))
    assert report.new == ["classifier/kernel", "classifier/bias"]
    assert set(report.skipped) == {"head.projection.weight", "head.projection.bias"}
    assert len(report.loaded) == len(model.weights) - 2
