"""Two devices train and validate as one does."""

import json
import pathlib

import pytest

from smallbig_keras.training.compiling import keras_version
from tests.fresh_process import run_python

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    keras_version() < (3, 10), reason="needs Keras 3.10, older ones are refused"
)


def run_part(part):
    script = f"""
        from smallbig_keras.machine import set_environment

        set_environment()
        from tests.training import devices

        devices.main({part!r})
    """
    return json.loads(run_python(script, ROOT).splitlines()[-1])


@pytest.fixture(scope="module")
def validated():
    return run_part("validation")


# Relative to the largest weight. A float32 may round to the other side of a ReLU or of a maximum,
# which shows most in the steps; a mean over the wrong number of devices is off by half and more.
TOLERANCES = {
    "float64": {"trainable": 1e-5, "statistics": 1e-5, "optimizer": 1e-5, "moved": 1e-5},
    "float32": {"trainable": 1e-4, "statistics": 1e-4, "moved": 5e-2},
}


def test_ten_steps_are_those_of_one_device():
    found = run_part("equality")
    print(json.dumps(found, indent=1))
    assert len(found) == 3
    for case, kinds in found.items():
        for kind, tolerance in TOLERANCES[case.split()[0]].items():
            values = kinds[kind]
            assert values["difference"] <= tolerance * values["largest"], (case, kind, values)
        assert kinds["moved"]["largest"] > 1e-4


@pytest.mark.parametrize("kind", ["validation", "validation of --sync-bn"])
def test_the_checkpoint_is_validated(validated, kind):
    """Moving statistics are the same on all devices, so those of the checkpoint are validated."""
    result = validated[kind]
    assert result["apart"] == 0
    assert result["frozen"]
    assert result["fit"] == pytest.approx(result["saved"], rel=1e-6)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_every_video_counts_once(validated, labels):
    for videos, (one, two) in validated[labels].items():
        assert one == pytest.approx(two, rel=1e-6), videos
        assert set(one) == ({"loss", "top1", "top5"} if int(videos) else set()), videos


def test_xla_on_several_devices(validated):
    assert "take --strategy one" in validated["xla"]
    assert validated["xla"].endswith("Received: --jit on with 2 devices")


def test_rematerialization_on_several_devices(validated):
    assert validated["remat"] < 1e-5
