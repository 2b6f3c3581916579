"""Index and shards of data sets, by the script."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from smallbig_keras import runs
from smallbig_keras.cli import script
from smallbig_keras.data import ShardSource, VideoSource, read_annotations, read_index
from smallbig_keras.data.containers import NAMES
from tests.data.miniatures import MINIATURES, clips

fit = script("fit")
prepare = script("prepare")
publish = script("publish")

NOT_A_VIDEO = f"a file that is not a video: it begins like none of {NAMES}"
SCRIPT = pathlib.Path(__file__).parents[2] / "training" / "prepare.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return pathlib.Path(MINIATURES["sthv2"](tmp_path_factory.mktemp("data") / "sthv2"))


def flags(root, *more):
    return ["--dataset", "sthv2", "--data-root", str(root), *more]


def test_index(tmp_path, capsys):
    root = pathlib.Path(MINIATURES["ucf101"](tmp_path / "ucf101"))
    videos, _ = read_annotations("ucf101", root, "train")
    others, _ = read_annotations("ucf101", root, "validation")
    bad, gone = (pathlib.Path(video.path) for video in videos[:2])
    bad.write_bytes(b"bad")
    gone.unlink()
    arguments = ["index", "--dataset", "ucf101", "--data-root", str(root)]
    facts = prepare(arguments)
    # Validation and test are the same list here.
    assert list(facts) == [video.path for video in (*videos, *others)]
    frames = [len(c) for _, c in (*clips("train")[2:], *clips("validation"))]
    lines = capsys.readouterr().out.splitlines()
    assert f"{root / 'index.jsonl'}: 9 videos of train, validation" in lines
    assert all(bool(info.times) == (info.error is None) for info in facts.values())
    middle = sorted(frames)[3]
    assert (
        f"7 good: {sum(frames)} frames, {min(frames)} / {middle} / {max(frames)} a video (least, "
        f"median, most)"
    ) in lines
    report = root / "index.bad.txt"
    assert f"2 bad, 1 of them missing, all in {report}:" in lines
    expected = [f"'{bad}': {NOT_A_VIDEO}", f"'{gone}': No such file or directory"]
    assert report.read_text().splitlines() == expected
    assert lines[-2:] == [f"  {line}" for line in expected]

    for path in (bad, gone):
        path.write_bytes(pathlib.Path(videos[2].path).read_bytes())
    elsewhere = tmp_path / "elsewhere.jsonl"
    prepare([*arguments, "--splits", "validation", "--index", str(elsewhere)])
    assert list(read_index(elsewhere)) == [video.path for video in others]
    prepare(arguments)
    assert not report.exists()


def test_shards_are_trained_on(root, tmp_path, capsys):
    out = tmp_path / "shards"
    prepare(["shards", *flags(root), "--out", str(out), "--short-side", "40"])
    lines = capsys.readouterr().out.splitlines()
    sizes = [path.stat().st_size for path in sorted(out.glob("*.tfrecord"))]
    assert f"test: 1 videos in 1 shards of {sizes[0] / 1e6:.1f} MB in all" in lines
    assert f"train: 6 videos in 1 shards of {sizes[1] / 1e6:.1f} MB in all" in lines
    manifest = json.loads((out / "shards.json").read_text())
    assert manifest["options"]["dataset"] == "sthv2" and manifest["options"]["short_side"] == 40
    videos, class_names = read_annotations("sthv2", root, "validation")
    assert ShardSource(out, "validation").ids == VideoSource(videos).ids
    assert manifest["class_names"] == class_names
    prepare(["check", str(out)])
    run = tmp_path / "run"
    fit(
        [
            *("--dataset", "sthv2", "--shards", str(out), "--output", str(run), "--epochs", "1"),
            *("--options", '{"blocks": [1, 1, 1, 1], "width": 8}', "--weights", "none"),
            *("--frames", "4", "--size", "32", "--short-side", "36", "40"),
            *("--test-short-side", "36", "--batch-size", "3", "--flip", "none"),
        ]
    )
    assert len(runs.read_log(run)) == 1
    record = publish([str(run), "--name", "mine", "--out", str(tmp_path / "published")])
    assert record.accuracy["data_root"] == "shards"
    (path,) = out.glob("train*.tfrecord")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="shards are not whole.* Received: "):
        prepare(["check", str(out)])
    assert f"{path}: bytes {sizes[1] - 1}, not {sizes[1]}" in capsys.readouterr().out


def test_bad_videos_of_shards(tmp_path, capsys):
    root = pathlib.Path(MINIATURES["folder"](tmp_path / "folder"))
    (bad, *_) = sorted((root / "train").rglob("*.mp4"))
    bad.write_bytes(b"bad")
    arguments = ["shards", "--dataset", "folder", "--data-root", str(root)]
    arguments += ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=f"A video .*Received: '{bad}'"):
        prepare(arguments)
    manifest = prepare([*arguments, "--skip-bad"])
    assert manifest["splits"]["train"]["videos"] == 5
    assert "1 bad, 0 of them missing, all in shards.json:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset", "sthv2"], "--dataset and --data-root"),
        (["--data-root", "nowhere"], "--dataset and --data-root"),
        (["--dataset", "sthv2", "--data-root", "nowhere"], "expected in this layout"),
    ],
)
def test_data_sets_that_are_not_there(arguments, message):
    for command in (["index"], ["shards", "--out", "out"]):
        with pytest.raises(SystemExit, match=message):
            prepare([*command, *arguments])
    assert not os.path.exists("out")


@pytest.mark.parametrize("command", ["index", "shards"])
def test_killed_processes_are_continued(root, tmp_path, command):
    """To the same files as those that nothing stopped."""

    def arguments(name):
        folder = tmp_path / name
        if command == "shards":
            return ["shards", *flags(root), "--out", str(folder)]
        folder.mkdir(exist_ok=True)
        return ["index", *flags(root), "--index", str(folder / "index.jsonl")]

    killed = tmp_path / "killed"
    first = "train-00000-of-00001.tfrecord" if command == "shards" else "index.jsonl"
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *arguments("killed"), "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not ((killed / first).exists() and (killed / first).stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    prepare(arguments("killed"))
    prepare(arguments("whole"))
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == whole
