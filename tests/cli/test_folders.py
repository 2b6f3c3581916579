"""Folders of classes without a split: trained, resumed, evaluated and prepared by the same one."""

import json
import shutil

import pytest

from smallbig_keras import runs
from smallbig_keras.cli import script
from smallbig_keras.data import read_annotations
from tests.data.miniatures import MINIATURES

fit = script("fit")
evaluate = script("evaluate")
prepare = script("prepare")

SMALL = [
    *("--model", "SmallBigSlowOnlyR50", "--options", '{"blocks": [1, 1, 1, 1], "width": 8}'),
    *("--weights", "none", "--frames", "4", "--size", "32", "--short-side", "36", "45"),
    *("--test-short-side", "36", "--batch-size", "4", "--epochs", "1"),
]


@pytest.fixture
def root(tmp_path):
    """Three classes of three videos."""
    made = MINIATURES["folder"](tmp_path / "made")
    for video in sorted(made.rglob("*.mp4")):
        target = tmp_path / "data" / video.parent.name / f"{video.parts[-3]} {video.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        video.rename(target)
    shutil.rmtree(made)
    return tmp_path / "data"


def test_a_run_keeps_its_split(root, tmp_path, capsys):
    """Also after a video was added, and after its folder was moved."""
    output = tmp_path / "run"
    flags = ["--dataset", "folder", "--data-root", str(root), "--split-seed", "1"]
    fit([*flags, "--output", str(output), *SMALL])
    printed = capsys.readouterr().out
    swapped = "mirrored half of the clips; labels swapped: 'camera left' <-> 'camera right'\n"
    assert printed.count(swapped) == 1
    videos, _ = read_annotations("folder", root, "validation", split_seed=1)
    assert (output / "val_list.txt").read_text() == "".join(f"{v.id}\n" for v in videos)
    config = runs.read_config(output)
    assert config["val_list"] == str((output / "val_list.txt").resolve())
    assert config["split_seed"] is config["val_share"] is None

    moved = output.rename(tmp_path / "moved")
    added = [root / "nearer" / f"{name}.mp4" for name in ("a", "b")]
    for path in added:
        shutil.copy(root / videos[-1].id, path)
    by_seed, _ = read_annotations("folder", root, "validation", split_seed=1)
    assert [video.id for video in by_seed] != [video.id for video in videos]
    result = evaluate(["--weights", str(moved)])
    assert result["videos"] == 3
    assert result["top1"] == pytest.approx(runs.read_log(moved)[0]["val_top1"])
    result = evaluate(["--weights", str(moved), "--val-share", "0.5", "--split-seed", "1"])
    assert result["videos"] == 6

    config = json.loads((moved / runs.CONFIG).read_text())
    (moved / runs.CONFIG).write_text(json.dumps({**config, "epochs": 2}))
    with pytest.raises(SystemExit, match="continues on the 6 videos that it began with. .* 8 that"):
        fit(["--resume", str(moved)])
    for path in added:
        path.unlink()
    fit(["--resume", str(moved)])
    assert [row["epoch"] for row in runs.read_log(moved)] == [1, 2]


def test_index_and_shards(root, tmp_path, capsys):
    flags = ["--dataset", "folder", "--data-root", str(root), "--val-share", "0.6"]
    known = prepare(["index", *flags])
    assert len(known) == 9 and "9 videos of train, validation" in capsys.readouterr().out
    manifest = prepare(["shards", *flags, "--out", str(root / "shards")])
    counts = {split: made["videos"] for split, made in manifest["splits"].items()}
    assert counts == {"train": 3, "validation": 6}
    # The index and the shards in the root are no videos.
    assert len(prepare(["index", *flags])) == 9


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda root: shutil.rmtree(root / "camera right"), "'camera left' a class 'camera right'"),
        (
            lambda root: [shutil.rmtree(root / f"camera {way}") for way in ("left", "right")],
            "A classifier needs two classes: .* Received: 'nearer'",
        ),
        (
            lambda root: (root / "empty").mkdir(),
            "--allow-empty-classes.. Received: .*'empty'",
        ),
    ],
)
def test_nothing_is_left_of_a_run_that_cannot_begin(root, tmp_path, monkeypatch, change, message):
    """In the folder of the videos itself, where runs/ is made."""
    change(root)
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit, match=message) as error:
        fit(["--dataset", "folder", "--data-root", ".", *SMALL, "--batch-size", "2"])
    assert error.value.code == 2
    # The list of videos is read before the folder of runs is made.
    assert not (root / "runs").exists() or list((root / "runs").iterdir()) == []


def test_options_are_refused_before_anything_is_read(tmp_path):
    flags = ["--dataset", "folder", "--data-root", str(tmp_path / "nothing"), *SMALL]
    for given, message in (
        (["--val-share", "1"], "`val_share` .--val-share. must be above 0 and below 1"),
        (
            ["--val-list", "x", "--split-seed", "0"],
            "--split-seed. has no effect with `val_list`",
        ),
    ):
        with pytest.raises(SystemExit, match=message):
            fit([*flags, *given])
    with pytest.raises(SystemExit, match="--val-share has no effect on csv; it is for folder"):
        fit(["--dataset", "csv", "--data-root", str(tmp_path), "--val-share", "0.1"])
