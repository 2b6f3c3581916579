"""A checkpoint of another family is refused by what its names and shapes tell."""

import dataclasses

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.models import get_model_function
from smallbig_keras.models.families import RESNET, family_of
from smallbig_keras.models.recognition import read_network
from smallbig_keras.weights import WeightsError
from tests.models.test_golden_peers import NETS
from tests.peers_formula import CASES, state
from tests.weights.torch_writer import write_torch

SHAPE = (8, 32, 32, 3)
# Families beside the ResNets.
OWN = {
    "s3d": ("S3D", "reference"),
    "s3dg_milnce": ("S3DG", "milnce"),
    "s3dg_milnce_plain_stem": ("S3DG", "milnce_plain"),
    "vov3d_m": ("VoV3DM", "something"),
    "vov3d_l": ("VoV3DL", "reference"),
}
BUILDERS = ("VideoResNet", "VideoInception", "VoV3D")


def empty_state(case):
    """The names and shapes of a network, without its numbers."""
    return {n: np.broadcast_to(np.float32(0), shape) for n, shape, _ in CASES[case]["state"]}


@pytest.mark.parametrize("case", NETS)
def test_fields_are_those_of_the_network(case):
    name, variant = NETS[case]
    spec = get_model_function(name).variants[variant].spec.canonical()
    family, found = read_network(empty_state(case))
    assert family is RESNET
    assert found == {field: getattr(spec, field) for field in found}
    assert {"blocks", "stem_frames", "temporal", "temporal_blocks", "nonlocal_blocks"} <= set(found)


@pytest.mark.parametrize("case", OWN)
def test_fields_of_the_other_families(case):
    name, variant = OWN[case]
    spec = get_model_function(name).variants[variant].spec.canonical()
    family, found = read_network(empty_state(case))
    assert family is family_of(spec)
    assert found == {field: getattr(spec, field) for field in found}
    assert len(found) > 4


# The stem, and the parts, of a checkpoint and of the network that it is loaded into.
FOREIGN = [
    ("s3dg_milnce", "S3DG", {}, "stem 2x4x4 of 2x2x2 .*; S3DG with .* stem 1x7x7 and 7x1x1"),
    ("s3dg_milnce_plain_stem", "S3DG", {"variant": "milnce"}, "stem 3x7x7, .*stem 2x4x4 of"),
    ("s3dg_milnce", "S3D", {}, "gates with bias.*; S3D with"),
    ("s3d", "S3DG", {}, "; S3DG with .*gates. Received"),
    ("s3d", "S3D", {"variant": "slim"}, "stem 1x7x7 and 7x1x1.*stem 3x7x7"),
    ("s3d", "SmallBigR50", {}, "an Inception-v1 of .*; SmallBigR50 with .* is a ResNet"),
    ("vov3d_m", "VoV3DL", {}, "of 1-2-3-2 blocks of width 40, .*of 1-2-5-3 blocks of width 48"),
    ("vov3d_l", "S3D", {}, "a VoV3D of .*; S3D with its options is an Inception-v1"),
    ("tsm_r50", "VoV3DM", {}, "a ResNet of .* shift .*; VoV3DM with"),
    ("sf_i3d_r50", "I3D", {}, "a ResNet of .*; I3D with .*3x3x3"),
]


@pytest.mark.parametrize("case, name, options, message", FOREIGN)
def test_another_stem_or_family_is_refused(case, name, options, message, tmp_path, monkeypatch):
    path = write_torch(tmp_path / "x.pth", {"state_dict": empty_state(case)})
    for builder in BUILDERS:
        monkeypatch.setattr(smallbig_keras.models, builder, None, raising=False)
    with pytest.raises(WeightsError, match=f"^These weights are of .*{message}.*") as error:
        get_model_function(name)(weights=path, **options)
    assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match=message):
        smallbig_keras.load(path, name, **options)


def test_torchvisions_resnet_starts_no_other_family(tmp_path):
    state = {"conv1.weight": np.zeros((64, 3, 7, 7), "float32"), "bn1.weight": np.zeros(64, "f4")}
    path = write_torch(tmp_path / "x.pth", state)
    with pytest.raises(WeightsError, match="are of a ResNet; S3D with its options is an Inception"):
        smallbig_keras.S3D(weights=path)
    for name in ("S3D", "VoV3DM"):
        for call in (
            lambda name=name: get_model_function(name)(weights="imagenet"),
            lambda name=name: smallbig_keras.load("imagenet", name),
        ):
            with pytest.raises(WeightsError, match=f"are of a ResNet, and {name} is none"):
                call()


OTHERS = [
    (case, name)
    for case in ("sf_i3d_nln_r50", "tsm_r50", "tsm_r50_nl", "cost_b_r50")
    for name in ("C2DR50", "I3DR50", "TSMR50", "SmallBigR50", "CoSTR50")
    if NETS[case] != (name, "reference")
]


@pytest.mark.parametrize("case, name", OTHERS)
def test_another_family_is_refused_before_a_network_is_built(case, name, tmp_path, monkeypatch):
    path = write_torch(tmp_path / "x.pth", {"state_dict": empty_state(case)})
    monkeypatch.setattr("smallbig_keras.models.video_resnet.VideoResNet", None)
    message = f"(?s)^These weights are of a ResNet of 3-4-6-3 blocks, .*; {name} with .*Received: "
    for load in (
        lambda: get_model_function(name)(weights=path, input_shape=SHAPE),
        lambda: smallbig_keras.load(path, name),
    ):
        with pytest.raises(WeightsError, match=message) as error:
            load()
        assert "\n" not in str(error.value)


def test_attention_of_another_code_is_refused(tmp_path):
    """TSM pools after phi and g, PySlowFast before: equal names, another function."""
    case = "sf_i3d_nln_r50"
    path = write_torch(tmp_path / "x.pyth", {"model_state": empty_state(case)})
    with pytest.raises(WeightsError, match="pool before phi and g.*pool after phi and g"):
        smallbig_keras.NonLocalR50(weights=path, input_shape=SHAPE, nonlocal_pool="after")
    with pytest.raises(WeightsError, match="without scale"):
        smallbig_keras.NonLocalR50(weights=path, input_shape=SHAPE, nonlocal_scale=False)


LOADED = ["tsm_r50_nl", "sf_i3d_nln_r50", "cost_a_r50", "cost_b_r101_32f", "s3d", "vov3d_m"]


@pytest.mark.parametrize("case", LOADED)
def test_a_file_gives_the_golden_logits(case, tmp_path):
    """Through `load`, as a user has it: prefix, optimiser, counters."""
    from tests.peers_formula import clip, golden
    from tests.reference_formula import relative_error

    name, variant = {**NETS, **OWN}[case]
    weights = {f"module.{k}": v for k, v in state(case).items()}
    weights["module.bn.num_batches_tracked"] = np.zeros((), "int64")
    checkpoint = {"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}}
    path = write_torch(tmp_path / "x.pth", checkpoint)
    clips = get_model_function(name).variants[variant].clips
    _, _, frames, size, _ = CASES[case]["input"]
    clips = dataclasses.replace(clips, frames=frames, size=size, short_side=size)
    names = "sthv1" if case == "vov3d_m" else "k400"
    classifier = smallbig_keras.load(path, name, variant, class_names=names, clips=clips.to_dict())
    logits = feature(classifier.model)(clip(case))
    expected = golden(case)
    expected = expected["logits"] if "logits" in expected else expected["logits_map"][:, 0, 0, 0]
    assert relative_error(logits, expected) < 1e-3


def feature(model):
    from smallbig_keras.models import feature_extractor

    extractor = feature_extractor(model, "classifier")
    return lambda clips: extractor(clips)["classifier"]
