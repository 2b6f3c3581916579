"""Every system that SmallBigNet is compared with, by the same commands."""

import json

import pytest

from smallbig_keras import data
from smallbig_keras.cli import main

SYSTEMS = [
    ("C2DR50", "pooled"),
    ("I3DR23", "reference"),
    ("NonLocalR50", "reference"),
    ("TSMR50", "nl"),
    ("CoSTR101", "b_32f"),
    ("S3DG", "milnce"),
    ("VoV3DM", "something"),
]
FRAMES = {"b_32f": 32, "something": 16}
SMALL = {"blocks": [1, 2, 1, 1], "width": 8}
# Of families with trunks of their own.
OPTIONS = {"S3DG": {"width": 8}, "VoV3DM": {**SMALL, "layers": 2}}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A set of 12 and 6 clips in the layout of Something-Something V2."""
    root = tmp_path_factory.mktemp("data") / "sample"
    return data.make_sample(root, train_clips=12, val_clips=6)


@pytest.mark.parametrize("name, variant", SYSTEMS)
def test_fit_evaluate_export_verify(name, variant, sample, tmp_path, capsys):
    run, dataset = tmp_path / "run", ["--dataset", "sthv2", "--data-root", str(sample)]
    command = ["fit", *dataset, "--output", str(run), "--model", name, "--variant", variant]
    command += ["--options", json.dumps(OPTIONS.get(name, SMALL)), "--weights", "none"]
    command += ["--frames", "8"] if name == "S3DG" else []
    main([*command, "--epochs", "1", "--batch-size", "6", "--size", "32"])
    config = json.loads((run / "config.json").read_text())
    assert (config["model"], config["variant"]) == (name, variant)
    assert config["frames"] == FRAMES.get(variant, 8)
    assert config["channel_order"] == ("bgr" if variant == "something" else "rgb")
    main(["evaluate", "--weights", str(run)])
    assert "videos=6" in capsys.readouterr().out
    artifact = str(tmp_path / "model.tflite")
    main(["export", "--weights", str(run), "--output", artifact])
    main(["verify", artifact, "--weights", str(run), "--clips", "2"])
    assert "pass" in capsys.readouterr().out
