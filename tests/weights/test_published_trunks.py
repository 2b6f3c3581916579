"""Trunks in their publishers' files: golden scores here, and the same of SmallBig networks."""

import contextlib
import functools
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.files import sha256
from smallbig_keras.weights import WeightsError, fetching, port_state_dict
from smallbig_keras.weights.loading import load_weights
from smallbig_keras.weights.state_dicts import read_state_dict
from tests import publishers
from tests.publishers import CASES, R101, clip, facts, golden, state, write
from tests.reference_formula import relative_error
from tests.weights.server import Server

NETS = {
    "c2d_r50": "C2DR50",
    "c2d_r101": "C2DR101",
    "tsn_r50": "C2DR50",
    "slowonly_r50": "SlowOnlyR50",
    "slowonly_r101": "SlowOnlyR101",
    "tsm_r50": "TSMR50",
    "tsm_r101": "TSMR101",
    "slow_r50": "SlowOnlyR50",
    "slow_r50_slowfast": "SlowOnlyR50",
}
_NO_EXTRA, _PAPER = {"extra": None}, {"variant": "paper"}
SMALLBIG = [
    ("c2d_r50", "SmallBigR50", {}),
    ("c2d_r50", "SmallBigR50", _PAPER),
    ("tsn_r50", "SmallBigR50", _NO_EXTRA),
    ("c2d_r101", "SmallBigR101", {}),
    ("c2d_r101", "SmallBigR101", {**_PAPER, "extra": "smallbig"}),
    ("slowonly_r50", "SmallBigSlowOnlyR50", {}),
    ("slowonly_r50", "SmallBigSlowOnlyR50", {**_PAPER, **_NO_EXTRA}),
    ("slow_r50", "SmallBigSlowOnlyR50", _PAPER),
    ("slow_r50_slowfast", "SmallBigSlowOnlyR50", _NO_EXTRA),
]


@functools.cache
def _folder():
    # Files of 1.3 GB in all, which pytest would keep.
    return tempfile.TemporaryDirectory()


@functools.cache
def file(name):
    """The publisher's file of a case."""
    return write(Path(_folder().name), name, state(name))


@pytest.fixture(scope="module", autouse=True)
def _no_files_left():
    yield
    _folder().cleanup()
    for function in (file, _folder, scores):
        function.cache_clear()


def build(name, network, **options):
    return getattr(smallbig_keras, network)(
        weights=file(name),
        classes=CASES[name].classes,
        input_shape=clip(name).shape[1:],
        classifier_activation=None,
        **options,
    )


@functools.cache
def scores(name):
    """Scores of the golden clips, of the plain network."""
    return keras.ops.convert_to_numpy(build(name, NETS[name])(clip(name)))


def smallbig_error(name, model):
    """How far a SmallBig network with the weights of a case is from the plain network."""
    return relative_error(keras.ops.convert_to_numpy(model(clip(name))), scores(name))


def test_cases_are_those_of_the_index():
    """A ResNet-50 has 320 entries, a ResNet-101 626, as torchvision's."""
    cases = facts()["cases"]
    assert {*NETS} == {*CASES} == {*cases}
    for name, case in CASES.items():
        entries = 626 if case.blocks == R101 else 320
        assert len([*publishers.entries(case)]) == cases[name]["entries"] == entries
        assert (case.file, [*clip(name).shape]) == (cases[name]["file"], cases[name]["input"])


@pytest.mark.parametrize("name", NETS)
def test_plain_network(name):
    assert relative_error(scores(name), golden(name)) < 1e-5


@pytest.mark.parametrize("name, network, options", SMALLBIG)
def test_smallbig_network_is_its_trunk(name, network, options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = build(name, network, **options)
    assert smallbig_error(name, model) < 1e-6
    report = load_weights(model, file(name))
    assert not report.skipped
    values = {weight.path: weight.numpy() for weight in model.weights}
    added = {path for path in values if "/big_norm/" in path or "_extra/" in path}
    assert {*report.new} == added and {*report.loaded} == {*values} - added
    assert not any(values[path].any() for path in added if path.endswith("norm/gamma"))
    told = [
        "computes what the plain network of these weights does" in str(text.message)
        for text in said
    ]
    assert told == [True] * bool(added)


def test_load_names_the_network_alone():
    """Classes come from the file: 174, where the network has 400."""
    with pytest.warns(UserWarning, match="at scale 0, and change nothing yet"):
        classifier = smallbig_keras.load(
            file("tsn_r50"), "SmallBigR50", clips={"frames": 4, "size": 72}
        )
    expected = keras.ops.softmax(golden("tsn_r50"))
    assert relative_error(classifier.model(clip("tsn_r50")), expected) < 1e-4


BY_NAME = """if True:
    import dataclasses, sys
    import numpy, smallbig_keras
    from smallbig_keras.weights import records
    digest, clips, scores = sys.argv[1:]
    known = records.builtin_records()
    known = [dataclasses.replace(r, sha256=digest) if r.name == "k400-c2d" else r for r in known]
    records.builtin_records = lambda: known
    clips = numpy.load(clips)
    model = smallbig_keras.SmallBigR50(
        weights="k400", input_shape=clips.shape[1:], classifier_activation=None
    )
    numpy.save(scores, model(clips))
"""


def test_download_by_name_killed_and_continued(tmp_path, monkeypatch):
    """97 MB: the second process asks for the rest, and has the golden scores."""
    path, clips, found = file("c2d_r50"), tmp_path / "clips.npy", tmp_path / "scores.npy"
    np.save(clips, clip("c2d_r50"))
    monkeypatch.setenv("no_proxy", "*")
    command = [sys.executable, "-c", BY_NAME, sha256(path), str(clips), str(found)]
    with contextlib.closing(Server(folder=path.parent)) as server:
        monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", server.root)
        server.script = ["hang"]
        part = fetching.cache_folder() / f"{path.name}.part"
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as killed:
            end = time.monotonic() + 60
            while not (part.exists() and part.stat().st_size > 40e6):
                assert time.monotonic() < end and killed.poll() is None
                time.sleep(0.02)
            killed.kill()
        size = part.stat().st_size
        assert size < 0.6 * path.stat().st_size and not found.exists()
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert server.asked()[-1] == f"bytes={size}-"
    assert "UserWarning: SmallBigR50 has no trained weights of its own here" in done.stderr
    assert relative_error(np.load(found), golden("c2d_r50")) < 1e-5


SMALL = {"blocks": (1, 1, 1, 1)}


@functools.cache
def small(name, network):
    return getattr(smallbig_keras, network)(
        input_shape=(2, 32, 32, 3), classes=CASES[name].classes, **SMALL
    )


def missing(weights, names):
    path = f"{names.of_unit(3, 0, 2)[0]}.weight"
    del weights[path]
    return f"missing: {path}"


def misshapen(weights, names):
    """The numbers of a kernel are all there, in another order."""
    path = f"{names.of_unit(2, 0, 3)[0]}.weight"
    weights[path] = np.swapaxes(weights[path], 0, 1)
    return f"of another shape: {path} "


def unexpected(weights, names):
    path = f"{names.of_unit(4, 1, 1)[1]}.weight"
    weights[path] = np.ones(512, "float32")
    return f"unexpected: {path}"


@pytest.mark.parametrize("damage", [missing, misshapen, unexpected])
@pytest.mark.parametrize(
    "name, network",
    [
        ("c2d_r50", "C2DR50"),
        ("c2d_r50", "SmallBigR50"),
        ("slowonly_r50", "SlowOnlyR50"),
        ("tsm_r50", "TSMR50"),
        ("slow_r50", "SmallBigSlowOnlyR50"),
        ("slow_r50_slowfast", "SlowOnlyR50"),
    ],
)
def test_damage_is_named_and_nothing_changes(name, network, damage):
    model, weights = small(name, network), state(name, **SMALL)
    before = model.get_weights()
    message = damage(weights, CASES[name].names)
    with pytest.raises(WeightsError) as error:
        port_state_dict(model, weights, "file.pth")
    assert message in str(error.value) and "file.pth" in str(error.value)
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


R50 = "a ResNet of 3-4-6-3 blocks, stem 1x7x7"
DESCRIPTIONS = {
    "r50": R50,
    "r101": R50.replace("6", "23"),
    "slow": f"{R50}, 3x1x1 in res4 all, res5 all",
    "shift": f"{R50}, shift in res2 all, res3 all, res4 all, res5 all",
    "shift_2nd": f"{R50}, shift in res2 101, res3 1010, res4 101010, res5 101",
    "r101_shift_2nd": R50.replace("6", "23")
    + f", shift in res2 101, res3 1010, res4 {'10' * 11}1, res5 101",
}


@pytest.mark.parametrize(
    "name, network, options, theirs, ours",
    [
        ("slowonly_r50", "SmallBigR50", {}, "slow", "r50"),
        ("slow_r50", "SmallBigR50", _PAPER, "slow", "r50"),
        ("slow_r50_slowfast", "C2DR50", {}, "slow", "r50"),
        ("c2d_r50", "SmallBigSlowOnlyR50", {}, "r50", "slow"),
        ("c2d_r101", "SmallBigR50", {}, "r101", "r50"),
        ("tsm_r50", "C2DR50", {}, "shift", "r50"),
        ("tsm_r50", "SmallBigR50", {}, "shift", "r50"),
        ("c2d_r50", "TSMR50", {}, "r50", "shift"),
        ("tsm_r101", "TSMR50", {}, "r101_shift_2nd", "shift"),
        ("tsm_r50", "TSMR50", {"variant": "every_second"}, "shift", "shift_2nd"),
    ],
)
def test_file_of_another_network(name, network, options, theirs, ours):
    with pytest.raises(WeightsError) as error:
        build(name, network, **options)
    theirs, ours = DESCRIPTIONS[theirs], DESCRIPTIONS[ours]
    message = f"These weights are of {theirs}; {network} with its options is {ours}. Received: "
    assert str(error.value) == message + str(file(name))


@pytest.mark.parametrize(
    "name, network",
    [("c2d_r50", "SmallBigR50"), ("tsm_r50", "TSMR50"), ("slow_r50_slowfast", "SlowOnlyR50")],
)
def test_classifier_of_other_classes_is_left_out(name, network, tmp_path):
    weights = state(name, **SMALL)
    path = write(tmp_path, name, weights)
    with pytest.warns(UserWarning, match="new classifier(.|\n)*400 classes, the model has 174"):
        model = getattr(smallbig_keras, network)(
            weights=path, input_shape=(2, 32, 32, 3), classes=174, **SMALL
        )
    kernel = weights[f"{CASES[name].names.stem[0]}.weight"].reshape(64, 3, 7, 7)
    found = model.get_layer("stem_conv").kernel
    np.testing.assert_array_equal(found, kernel.transpose(2, 3, 1, 0))
    assert model.output_shape == (None, 174)


@pytest.mark.parametrize("name", ["c2d_r50", "slow_r50", "slow_r50_slowfast"])
def test_checkpoint_of_a_training(name, tmp_path):
    """Optimizer, schedules and logs of other libraries lie beside the weights."""
    weights = state(name, **SMALL)
    found = read_state_dict(write(tmp_path, name, weights, training=True))
    assert list(found) == list(weights)
    assert all(np.array_equal(found[key], weights[key]) for key in weights)
