"""A checkpoint of another family is refused by what its names and shapes tell."""

import dataclasses

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.models import get_model_function
from smallbig_keras.models.families import RESNET
from smallbig_keras.models.recognition import read_network
from smallbig_keras.weights import WeightsError
from tests.models.test_golden_peers import NETS
from tests.peers_formula import CASES, state
from tests.weights.torch_writer import write_torch

SHAPE = (8, 32, 32, 3)


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


@pytest.mark.parametrize("case", ["tsm_r50_nl", "sf_i3d_nln_r50", "cost_a_r50", "cost_b_r101_32f"])
def test_a_file_gives_the_golden_logits(case, tmp_path):
    """Through `load`, as a user has it: prefix, optimiser, counters."""
    from tests.peers_formula import clip, golden
    from tests.reference_formula import relative_error

    name, variant = NETS[case]
    weights = {f"module.{k}": v for k, v in state(case).items()}
    weights["module.bn.num_batches_tracked"] = np.zeros((), "int64")
    checkpoint = {"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}}
    path = write_torch(tmp_path / "x.pth", checkpoint)
    clips = get_model_function(name).variants[variant].clips
    _, _, frames, size, _ = CASES[case]["input"]
    clips = dataclasses.replace(clips, frames=frames, size=size, short_side=size)
    classifier = smallbig_keras.load(path, name, variant, class_names="k400", clips=clips.to_dict())
    logits = feature(classifier.model)(clip(case))
    expected = golden(case)
    expected = expected["logits"] if "logits" in expected else expected["logits_map"][:, 0, 0, 0]
    assert relative_error(logits, expected) < 1e-3


def feature(model):
    from smallbig_keras.models import feature_extractor

    extractor = feature_extractor(model, "classifier")
    return lambda clips: extractor(clips)["classifier"]
