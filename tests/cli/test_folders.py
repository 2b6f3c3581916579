"""Folders of classes without a split: trained, resumed, evaluated and prepared by the same one."""

import json
import shutil

import pytest

import smallbig_keras
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
    resume = ["--resume", str(moved)]
    with pytest.raises(SystemExit, match="Received: 8 videos, new: 'nearer/a.mp4', 'nearer/b.mp4'"):
        fit(resume)
    for path in added:
        path.unlink()
    trained = sorted({path.relative_to(root).as_posix() for path in root.glob("*/*.mp4")})
    trained = [name for name in trained if name not in {video.id for video in videos}]
    assert (moved / "train_list.txt").read_text() == "".join(f"{name}\n" for name in trained)
    (root / trained[0]).rename(root / trained[0].replace(".mp4", "-2.mp4"))
    renamed = f"gone: '{trained[0]}'; new: '{trained[0][:-4]}-2.mp4'"
    with pytest.raises(SystemExit, match=f"began with: .* {moved} .*Received: 6 videos, {renamed}"):
        fit(resume)
    (root / trained[0].replace(".mp4", "-2.mp4")).rename(root / trained[0])
    (root / videos[0].id).rename(tmp_path / "kept.mp4")
    with pytest.raises(SystemExit, match=f"line 1: .* It is gone. Received: '{videos[0].id}'"):
        fit(resume)
    (tmp_path / "kept.mp4").rename(root / videos[0].id)

    root.rename(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match=f"{moved} --data-root DIR says. Received: {root},"):
        fit(resume)
    fit([*resume, "--data-root", str(tmp_path / "elsewhere")])
    assert runs.read_config(moved)["data_root"] == str(tmp_path / "elsewhere")
    assert (moved / "log.csv").read_text().count("\n2,") == 1
    assert [row["epoch"] for row in runs.read_log(moved)] == [1, 2]


def test_what_the_split_lacks_is_said(root, tmp_path, monkeypatch, capsys):
    """The list lies in the working directory."""
    names = [path.relative_to(root).as_posix() for path in sorted(root.glob("*/*.mp4"))]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("".join(f"{name}\n" for name in names[:3]))
    output = tmp_path / "run"
    flags = ["--dataset", "folder", "--data-root", str(root), "--val-list", "mine.txt"]
    fit([*flags, "--allow-empty-classes", "--output", str(output), *SMALL])
    printed = capsys.readouterr().out
    file = str(tmp_path / "mine.txt")
    assert f"videos   6 for training, 3 for validation (those of {file}); 3 classes\n" in printed
    assert "unseen   no video validates 'camera right', 'nearer'\n" in printed
    assert runs.read_config(output)["val_list"] == file

    classifier = smallbig_keras.load(output).save(tmp_path / "classifier")
    evaluate(["--weights", str(classifier), "--dataset", "folder", "--data-root", str(root)])
    assert "chosen by seed. If the classifier was trained" in capsys.readouterr().out
    evaluate(["--weights", str(output)])
    assert "chosen by seed" not in capsys.readouterr().out


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
