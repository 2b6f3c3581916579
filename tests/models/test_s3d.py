"""S3D, S3D-G and I3D against the numbers of their original code, and of their publications."""

import re

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.layers import ChannelGate, ClipPooling, TemporalConv
from smallbig_keras.models import feature_extractor
from smallbig_keras.models.s3d import apply_mixed, apply_separable
from smallbig_keras.models.specs.s3d import S3DSpec
from smallbig_keras.weights import WeightsError, port_state_dict
from smallbig_keras.weights.layouts import find_layout, resnet, s3d
from tests.models.golden_blocks import check_block, stages, to_float64
from tests.models.inception import ROWS, build
from tests.models.inception_reference import Reference
from tests.peers_formula import CASES, clip, golden, state
from tests.reference_formula import relative_error

NETS = {
    "s3d": ("S3D reference", s3d.TORCHVISION),
    "s3d_features": ("S3D reference", s3d.TORCHVISION),
    "s3dg_milnce": ("S3DG milnce", s3d.MILNCE),
    "s3dg_milnce_plain_stem": ("S3DG milnce_plain", s3d.MILNCE),
}
# Modules of the codes, and our stages.
STAGES = {
    **{"features.1": "pool2", "features.3": "conv2c", "features.5": "mixed3b"},
    **{"features.7": "pool4", "features.12": "mixed4f", "features.15": "mixed5c"},
    **{"maxpool_2a": "pool2", "gating": "conv2c", "maxpool_3a": "pool3", "mixed_3c": "mixed3c"},
    **{"maxpool_4a": "pool4", "mixed_4f": "mixed4f", "mixed_5c": "mixed5c"},
}
TINY = {"width": 4, "classes": 5}


def golden_model(case, row=None):
    classes = CASES[case]["arguments"]["num_classes"]
    shape = clip(case).shape[1:]
    return build(row or NETS[case][0], shape, classifier_activation=None, classes=classes)


def network_errors(name):
    """Relative error of scores and stages of a network, by their names."""
    case, expected = CASES[name], golden(name)
    model = golden_model(name)
    port_state_dict(model, state(name), f"{name}.pth")
    features = feature_extractor(model, [*{STAGES[s] for s in case["stages"]}, "predictions"])
    outputs = {k: to_float64(v) for k, v in features(clip(name)).items()}
    found = {}
    if "logits" in expected:
        found["logits"] = outputs["predictions"], expected["logits"]
    if "features" in expected:
        mean = np.moveaxis(outputs["mixed5c"].mean((2, 3)), 1, 2)
        found["features"] = mean, expected["features"]
    found |= stages(name, {stage: outputs[STAGES[stage]] for stage in case["stages"]})
    return {key: relative_error(*pair) for key, pair in found.items()}


@pytest.mark.parametrize("name", NETS)
def test_network(name):
    errors = network_errors(name)
    assert len(errors) > 5 and {"logits", "features"} & set(errors)
    assert all(error < 1e-5 for error in errors.values()), errors


def port_names(weights):
    """The names of the port of S3D, of the weights of torchvision's."""
    pairs = {"0.0": "conv_s", "0.1": "bn_s", "1.0": "conv_t", "1.1": "bn_t"}
    single = {"0": "conv", "1": "bn"}
    rules = (
        (r"classifier\.1\.", lambda m: "fc.0."),
        (r"features\.(0|3)\.(\d\.\d)\.", lambda m: f"base.{m[1]}.{pairs[m[2]]}."),
        (r"features\.2\.(\d)\.", lambda m: f"base.2.{single[m[1]]}."),
        (r"features\.(\d+)\.branch0\.(\d)\.", lambda m: f"base.{m[1]}.branch0.0.{single[m[2]]}."),
        (
            r"features\.(\d+)\.branch([12])\.1\.(\d\.\d)\.",
            lambda m: f"base.{m[1]}.branch{m[2]}.1.{pairs[m[3]]}.",
        ),
        (
            r"features\.(\d+)\.branch([123])\.([01])\.(\d)\.(?=\w+$)",
            lambda m: f"base.{m[1]}.branch{m[2]}.{m[3]}.{single[m[4]]}.",
        ),
    )
    names = {}
    for name in weights:
        for pattern, replace in rules:
            short, changed = re.subn(f"^{pattern}", replace, name)
            if changed:
                names[name] = short
    return {names[name]: array for name, array in weights.items()}


def test_port_of_s3d():
    """Names of the port, and its head, give the logits of torchvision's network."""
    weights = port_names(state("s3d"))
    assert {"base.3.bn_t.weight", "base.15.branch1.0.conv.weight", "fc.0.bias"} < set(weights)
    assert find_layout(weights) is s3d.PORT
    model = golden_model("s3d", "S3D port")
    port_state_dict(model, weights)
    assert relative_error(model(clip("s3d")), golden("s3d")["logits"]) < 1e-5


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case["kind"] == "net"])
def test_names_tell_the_code(name):
    layout = find_layout({key: 0 for key, _, _ in CASES[name]["state"]})
    if name in NETS:
        assert layout is NETS[name][1]
    else:
        assert layout not in (s3d.TORCHVISION, s3d.PORT, s3d.MILNCE)


def test_names_of_a_resnet_are_no_s3d():
    assert find_layout({"conv1.weight": 0, "bn1.weight": 0, "fc.weight": 0}) is resnet.AUTHORS


def test_text_network_is_left_out_and_other_classes_are_new():
    model = build("S3DG milnce", (16, 32, 32, 3), classes=5)
    text = {"text_module.fc1.weight": np.zeros((2, 3), "float32")}
    report = port_state_dict(model, {**state("s3dg_milnce"), **text})
    assert sorted(report.new) == ["classifier/bias", "classifier/kernel"]
    assert report.skipped == {
        "text_module.fc1.weight": "no part of the network",
        **dict.fromkeys(("fc.weight", "fc.bias"), "512 classes, the model has 5"),
    }


@pytest.mark.parametrize(
    "case, row, rule",
    [
        ("s3dg_milnce", "S3DG milnce_plain", "another shape: conv1.conv1.weight"),
        ("s3d_features", "S3D slim", "missing"),
        ("s3dg_milnce", "I3D reference", "unexpected: conv_2c.conv2.weight"),
    ],
)
def test_weights_of_another_network(case, row, rule):
    model = build(row, (16, 32, 32, 3), classes=5)
    with pytest.raises(WeightsError, match=rule):
        port_state_dict(model, state(case))


MIL_NCE = S3DSpec(gates=True, gate_bias=True, norm_epsilon=1e-5, norm_momentum=0.9)


def separable(spec, size, name, strides=1):
    return lambda x, arguments: apply_separable(x, spec, 8, size, size, name, strides)


def mixed(spec):
    return lambda x, arguments: apply_mixed(x, spec, arguments["widths"][1:], "mixed3b")


def maximum(x, arguments):
    return ClipPooling(arguments["kernel_size"], arguments["stride"], padding="zeros")(x)


BLOCKS = {
    "s3d_sep": (separable(S3DSpec(), 3, "conv2c"), s3d.TORCHVISION, "features.3."),
    "s3d_sep_stem": (separable(S3DSpec(), 7, "stem", 2), s3d.TORCHVISION, "features.0."),
    "s3d_inception": (mixed(S3DSpec()), s3d.TORCHVISION, "features.5."),
    "s3dg_sep": (separable(MIL_NCE, 3, "conv2c"), s3d.MILNCE, "conv_2c."),
    "s3dg_gate": (lambda x, _: ChannelGate(name="conv2c_gate")(x), s3d.MILNCE, "gating."),
    "s3dg_inception": (mixed(MIL_NCE), s3d.MILNCE, "mixed_3b."),
    "s3dg_maxpool_even": (maximum, s3d.MILNCE, ""),
    "s3dg_maxpool_odd": (maximum, s3d.MILNCE, ""),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name):
    check_block(name, *BLOCKS[name])


def test_every_case_is_here():
    assert {*NETS, *BLOCKS} == {name for name in CASES if name.startswith("s3d")}


@pytest.mark.parametrize("row", ["S3DG slim", "I3D slim", "I3D reference"])
def test_networks_of_slim(row, rng, randomize):
    """Odd sizes, for which borders of TensorFlow are those of no other code."""
    shape = (21, 37, 45, 3)
    options = {"width": 8, "classes": 3}
    model = randomize(build(row, shape, classifier_activation=None, **options))
    clips = rng.standard_normal((2, *shape))
    expected = Reference(model, gated=row == "S3DG slim").logits(clips)
    assert relative_error(model(clips.astype("float32")), expected) < 1e-5


# At width 64, 400 classes and 224 x 224 pixels: parameters, and multiply-adds of 16 frames.
SIZES = {
    "S3D reference": (8_320_048, 17_978_771_456),
    "S3D port": (8_320_048, 17_978_771_456),
    "S3D slim": (8_299_520, 16_045_590_528),
    "S3DG reference": (9_539_376, 17_979_990_784),
    "S3DG slim": (9_518_848, 16_046_809_856),
    "S3DG milnce_plain": (9_535_072, CASES["s3dg_milnce_plain_stem"]["macs"]["total"] - 1024 * 112),
    # The code computes 9 x 113 x 113 positions of its stem and drops one of each axis.
    "S3DG milnce": (
        9_556_000,
        CASES["s3dg_milnce"]["macs"]["total"]
        - 1024 * 112
        - (9 * 113**2 - 8 * 112**2) * 2 * 4 * 4 * 24 * 64,
    ),
    "I3D reference": (12_697_264, 27_787_978_752),
    "I3D slim": (12_689_984, 27_787_978_752),
}


@pytest.mark.parametrize("row", ROWS)
def test_parameters_and_macs(row):
    size = smallbig_keras.complexity(build(row, (16, 224, 224, 3)))
    assert size == SIZES[row]
    assert 0.4 * size.parameters < S3DSpec(**ROWS[row]).min_parameters() < size.parameters


@pytest.mark.parametrize("row, gmac", [("S3D reference", 71.92), ("I3D reference", 111.15)])
def test_macs_of_64_frames(row, gmac):
    macs = smallbig_keras.complexity(build(row, (64, 224, 224, 3))).macs
    assert abs(macs / 1e9 - gmac) < 0.01


def test_smallest_clips(randomize):
    """The rule on sizes is that of the network: one position is left, and below it none."""
    for row, shape in (
        ("S3D reference", (5, 17, 17, 3)),
        ("S3DG slim", (1, 1, 1, 3)),
        ("S3DG milnce_plain", (1, 1, 1, 3)),
        ("S3DG milnce", (2, 2, 2, 3)),
    ):
        model = randomize(build(row, shape, **TINY))
        assert feature_extractor(model, "mixed5c").output["mixed5c"].shape[1:4] == (1, 1, 1)
        scores = np.asarray(model(np.ones((2, *shape), "float32")))
        np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "row, shape, rule",
    [
        ("S3D reference", (4, 64, 16, 3), "least 5 frames of 17 x 17.*: 4 frames, width 16$"),
        ("S3DG reference", (8, 16, None, 3), "least 5 frames of 17 x 17.*Received: height 16$"),
        ("S3DG milnce", (7, 32, 33, 3), "must be even. Received: 7 frames, width 33$"),
    ],
)
def test_clips_that_are_too_small(row, shape, rule):
    with pytest.raises(ValueError, match=rule):
        build(row, shape, **TINY)


@pytest.mark.parametrize("row", ["S3D reference", "S3DG slim", "S3DG milnce"])
def test_open_sizes(row, rng, randomize):
    model = randomize(build(row, (None, None, None, 3), **TINY))
    fixed = build(row, (18, 70, 54, 3), **TINY)
    fixed.set_weights(model.get_weights())
    clips = rng.standard_normal((2, 18, 70, 54, 3)).astype("float32")
    np.testing.assert_allclose(
        model.predict_on_batch(clips), fixed.predict_on_batch(clips), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("row", ["S3D reference", "S3DG slim", "S3DG milnce", "I3D reference"])
def test_training_reaches_every_weight_and_files_keep_them(row, rng, randomize, tmp_path):
    # Widths of 1 may be dead behind a ReLU.
    model = randomize(build(row, (8, 32, 32, 3), width=16, classes=5))
    before = [np.array(weight) for weight in model.weights]
    model.compile("sgd", "sparse_categorical_crossentropy")
    clips = rng.standard_normal((4, 8, 32, 32, 3)).astype("float32")
    model.train_on_batch(clips, np.arange(4))
    for weight, value in zip(model.weights, before, strict=True):
        assert np.any(np.array(weight) != value), weight.path
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(clips), model(clips))


def test_a_new_network_of_slim_looks_at_each_frame_alone(rng):
    """Its convolutions over time start as the identity."""
    model = build("S3D slim", (16, 32, 32, 3), **TINY)
    convs = [layer for layer in model.layers if isinstance(layer, TemporalConv)]
    assert len(convs) == 19
    for layer in convs:
        values = rng.standard_normal((1, 3, 2, 2, layer.filters)).astype("float32")
        np.testing.assert_allclose(layer(values), values, rtol=1e-6)


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"width": 0}, "`width` must be an int of at least 1"),
        ({"stem": "2d"}, "`stem` must be one of"),
        ({"stem_frames": 4}, "`stem_frames` must be an odd int"),
        ({"temporal": "3x1x1"}, "`temporal` must be one of"),
        ({"gates": None}, "`gates` must be one of"),
        ({"padding": "valid"}, "`padding` must be one of"),
        ({"padding": "tensorflow"}, "A separable stem has symmetric padding"),
        ({"padding": "tensorflow", "stem": "full", "stem_frames": 1}, "sees at least 3"),
        ({"norm_epsilon": 0}, "`norm_epsilon` must be a number above 0"),
        ({"norm_momentum": 1}, "`norm_momentum` must be a number"),
        ({"head_window": (2, 7)}, "`head_window` must be three ints"),
        ({"head_window": 7}, "`head_window` must be a tuple"),
        ({"dropout": 1.0}, "`dropout` must be a number"),
    ],
)
def test_bad_options(options, rule):
    with pytest.raises(ValueError, match=f"{rule}.*Received: "):
        S3DSpec(**options)
