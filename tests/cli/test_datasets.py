"""Every data set in its official layout, trained and evaluated by the same two scripts."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from smallbig_keras import data, list_models, runs
from smallbig_keras.cli import script
from smallbig_keras.training.recipes import PAPER
from smallbig_keras.training.resolution import resolve
from tests.data.miniatures import MINIATURES
from tests.data.test_batch_augmentation import needs_keras_layers

fit = script("fit")
evaluate = script("evaluate")
prepare = script("prepare")

SMALL = [
    *("--model", "C2DR23", "--options", '{"blocks": [1, 1, 1, 1], "width": 8}'),
    *("--weights", "none", "--frames", "4", "--size", "32", "--short-side", "36", "45"),
    *("--test-short-side", "36", "--batch-size", "4", "--epochs", "1"),
]
# Options that the miniatures need beyond a root.
FLAGS = {"hmdb51": ["--split-number", "1"]}


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_training_and_evaluation(name, tmp_path, capsys):
    root = MINIATURES[name](tmp_path / "data")
    flags = ["--dataset", name, "--data-root", str(root), *FLAGS.get(name, [])]
    output = tmp_path / "run"
    fit([*flags, "--output", str(output), *SMALL])
    config = runs.read_config(output)
    assert config["sampling"] == PAPER[name].get("sampling", "segment")
    log = runs.read_log(output)
    assert len(log) == 1 and np.isfinite(log[0]["loss"])
    result = evaluate(["--weights", str(output)])
    assert result["top1"] == pytest.approx(log[0]["val_top1"])
    assert capsys.readouterr().out.splitlines()[-1].endswith("videos=3")


def test_training_on_shards(tmp_path, capsys):
    """Made, checked, trained on and evaluated, by the flags of the README."""
    root = MINIATURES["sthv1"](tmp_path / "data")
    shards, output = str(tmp_path / "shards"), tmp_path / "run"
    prepare(["shards", "--dataset", "sthv1", "--data-root", str(root), "--out", shards])
    prepare(["check", shards])
    fit(["--dataset", "sthv1", "--shards", shards, "--output", str(output), *SMALL])
    log = runs.read_log(output)[0]
    assert np.isfinite(log["loss"])
    result = evaluate(["--weights", str(output)])
    assert result["top1"] == pytest.approx(log["val_top1"])
    shutil.rmtree(root)
    result = evaluate(["--weights", str(output), "--clips", "2", "--crops", "3"])
    assert result["videos"] == 3
    capsys.readouterr()


def test_resume_with_another_number_of_videos(tmp_path):
    root = MINIATURES["folder"](tmp_path / "data")
    output = tmp_path / "run"
    fit(["--dataset", "folder", "--data-root", str(root), "--output", str(output), *SMALL])
    next(path for path in (root / "train").rglob("*") if path.is_file()).unlink()
    with pytest.raises(SystemExit, match="continues on the 6 videos .* Received: 5"):
        fit(["--resume", str(output)])


def test_missing_videos_are_counted_and_named(tmp_path, capsys):
    root = MINIATURES["csv"](tmp_path / "data")
    videos, _ = data.read_annotations("csv", root, "train")
    gone = videos[2].path
    pathlib.Path(gone).unlink()
    flags = ["--dataset", "csv", "--data-root", str(root), *SMALL]
    with pytest.warns(data.AnnotationWarning, match="1 of 6 listed videos are missing"):
        fit([*flags, "--output", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    assert "unreadable videos in training" in printed and gone in printed
    with (
        pytest.warns(data.AnnotationWarning),
        pytest.raises(SystemExit, match="At most 0 unreadable videos"),
    ):
        fit([*flags, "--output", str(tmp_path / "strict"), "--max-bad-clips", "0"])


@needs_keras_layers
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_labels_and_random_operations(mix, tmp_path):
    """The loss of mixed labels; validation is on plain clips, as evaluation is."""
    root = MINIATURES["folder"](tmp_path / "data")
    output = tmp_path / "run"
    flags = ["--dataset", "folder", "--data-root", str(root), "--output", str(output), *SMALL]
    fit([*flags, "--mix", mix, "--randaugment", "1", "0.3"])
    assert runs.read_config(output)["randaugment"] == [1, 0.3]
    log = runs.read_log(output)[0]
    assert np.isfinite(log["loss"]) and np.isfinite(log["val_loss"])
    assert evaluate(["--weights", str(output)])["top1"] == pytest.approx(log["val_top1"])


def test_unknown_option_of_a_dataset(tmp_path):
    flags = ["--dataset", "k400", "--data-root", str(tmp_path), "--split-number", "2", *SMALL]
    with pytest.raises(SystemExit, match="--split-number has no effect on k400"):
        fit([*flags, "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", list_models())
def test_every_model_has_a_recipe(model):
    assert set(PAPER) == set(data.DATASETS)
    for kind in (
        {"dataset": "sthv2"},
        {"dataset": "k400", "recipe": "reference"},
        {"sample": True},
    ):
        assert resolve({**kind, "model": model}).model == model


def test_run_of_version_0_1_0(tmp_path):
    """Its options have other names, and one of a dataset was in a group of its own."""
    config = {name: 1 for name in ("model", "variant", "options", "class_names", "frames", "size")}
    config |= {"test_short_side": 36, "sampling": "segment", "stride": 8, "dataset": "ucf101"}
    config |= {"data_root": "/a", "data_options": {"split_number": 2}, "mix": "none", "l2": 0.1}
    (tmp_path / "config.json").write_text(json.dumps({**config, "sync_norm": True, "run": "r"}))
    read = runs.read_config(tmp_path)
    assert (read["mixup_mode"], read["weight_decay"], read["sync_bn"]) == ("none", 0.1, True)
    assert read["split_number"] == 2 and read["weights"] == "none"


def test_run_of_an_unknown_version(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model": "SmallBigR50"}))
    with pytest.raises(ValueError, match="train it again. Received: .* without class_names"):
        runs.read_config(tmp_path)
