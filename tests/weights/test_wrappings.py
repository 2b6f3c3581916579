"""State dicts in and under what training scripts put around them."""

import numpy as np
import pytest

from smallbig_keras.weights import CheckpointError, read_state_dict
from smallbig_keras.weights.layouts import LAYOUTS, find_layout
from tests import publishers
from tests.models import test_golden_peers, test_s3d, test_vov3d
from tests.peers_formula import CASES
from tests.weights.torch_writer import write_torch

NAMES = ("conv1.weight", "layer1.0.conv1.weight", "fc.weight")
ARRAY = np.ones((1, 1, 1, 1, 1), "float32")
COUNT = np.array(7)


def names(tmp_path, *found, under=(), beside=()):
    """Writes arrays under names and reads their names."""
    content = {**dict.fromkeys(found, ARRAY), **dict.fromkeys(beside, COUNT)}
    for key in under:
        content = {"epoch": 3, key: content}
    return tuple(read_state_dict(write_torch(tmp_path / "x.pth", content)))


@pytest.mark.parametrize(
    "under",
    [
        *((key,) for key in ("state_dict", "model_state", "model_state_dict", "model")),
        ("state_dict", "model"),
        ("model", "state_dict"),
        ("model", "model"),
        (),
    ],
)
def test_keys_of_training_scripts(tmp_path, under):
    assert names(tmp_path, *NAMES, under=under) == NAMES


@pytest.mark.parametrize("under", [("weights_of_mine",), ("model", "model", "model")])
def test_keys_that_nobody_has(tmp_path, under):
    message = "or under state_dict, model_state, .*holds epoch, .*Received: .*x.pth"
    with pytest.raises(CheckpointError, match=message):
        names(tmp_path, *NAMES, under=under)


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "backbone."),
        *("model.module.", "module.model._orig_mod.", "model.backbone.", "backbone.module."),
        *("module.backbone._orig_mod.", "module.module."),
    ],
)
def test_prefixes_of_wrappers(tmp_path, prefix):
    assert names(tmp_path, *(prefix + name for name in NAMES)) == NAMES


def test_a_part_of_a_network_that_was_compiled(tmp_path):
    found = ("conv1.weight", "layer1._orig_mod.0.conv1.weight", "fc.weight")
    assert names(tmp_path, *found) == NAMES
    found = ("backbone._orig_mod.conv1.weight", "backbone._orig_mod.layer1.0.conv1.weight")
    assert names(tmp_path, *found, "fc.weight") == NAMES


def test_counters_of_a_wrapper(tmp_path):
    """Averaged weights have `n_averaged`, others `num_updates`."""
    beside = ("n_averaged", "module.bn1.num_batches_tracked", "num_updates")
    found = names(tmp_path, *(f"module.{name}" for name in NAMES), beside=beside)
    assert found == (*NAMES, "bn1.num_batches_tracked")


@pytest.mark.parametrize("head", ["fc.weight", "backbone.fc.weight", "module.fc.weight"])
def test_a_backbone_and_its_classifier(tmp_path, head):
    outer = "module." if head.startswith("module.") else ""
    found = (f"{outer}backbone.{name}" for name in NAMES[:2])
    assert names(tmp_path, *found, head) == NAMES


def test_prefixes_that_not_all_names_have(tmp_path):
    found = ("module.conv1.weight", "fc.weight")
    assert names(tmp_path, *found) == found
    found = ("xmodule.conv1.weight", "my_orig_mod.weight")
    assert names(tmp_path, *found) == found


@pytest.mark.parametrize(
    "found",
    [
        ("backbone.conv1.weight", "conv1.weight"),
        ("fc._orig_mod.weight", "fc.weight"),
        ("backbone.fc.weight", "backbone._orig_mod.fc.weight"),
    ],
)
def test_two_names_that_become_one(tmp_path, found):
    one, other = sorted(found, key=found.index)
    with pytest.raises(CheckpointError, match=f"{one} and {other} do not.*Received: .*x.pth"):
        names(tmp_path, *found)


OWN = {
    "authors": NAMES,
    "slow_r50": tuple(name for name, *_ in publishers.entries(publishers.CASES["slow_r50"])),
    "port": ("base.0.conv_s.weight", "base.6.branch0.0.conv.weight", "fc.0.weight"),
    **{
        case: tuple(name for name, *_ in CASES[case]["state"])
        for case in (*test_golden_peers.NETS, *test_s3d.NETS, *test_vov3d.NETS)
    },
}


def test_every_code_is_here():
    assert {find_layout(own) for own in OWN.values()} == set(LAYOUTS)


@pytest.mark.parametrize("case", OWN)
@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod.", "module.backbone."])
def test_names_of_other_codes_stay(tmp_path, case, prefix):
    """OpenMMLab's own names begin with `backbone.`, which goes only if it is there twice."""
    assert names(tmp_path, *(prefix + name for name in OWN[case])) == OWN[case]


def test_hostile_names(tmp_path):
    """A name of wrappers alone takes no time that grows with its square."""
    (found,) = names(tmp_path, "module." * 500_000 + "a")
    assert found.endswith("module.a")
    assert names(tmp_path, "_orig_mod." * 500_000 + "a") == ("a",)
