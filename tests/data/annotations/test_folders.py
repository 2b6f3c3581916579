import os
import shutil
import sys

import pytest

from smallbig_keras.data import (
    AnnotationWarning,
    DatasetNotFoundError,
    Video,
    find_missing,
    read_annotations,
)
from smallbig_keras.errors import SmallBigError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def read(root, split="train", **options):
    return read_annotations("folder", root, split, **options)


@pytest.mark.parametrize(
    "train, val", [("train", "val"), ("training", "validation"), ("train", "valid")]
)
def test_folders(tmp_path, train, val):
    touch(tmp_path, f"{train}/adult+female+singing/x.MP4", f"{train}/a b, (c)/#1 é.webm")
    touch(tmp_path, f"{train}/-dash/_y.avi", f"{train}/.hidden/z.mp4", f"{train}/-dash/.DS_Store")
    touch(tmp_path, f"{val}/a b, (c)/x.mp4", f"{val}/.DS_Store")
    videos, names = read(tmp_path)
    assert names == ["-dash", "a b, (c)", "adult+female+singing"]
    assert [(video.label, video.id) for video in videos] == [
        (0, "-dash/_y.avi"),
        (1, "a b, (c)/#1 é.webm"),
        (2, "adult+female+singing/x.MP4"),
    ]
    assert find_missing(videos) == []
    path = str(tmp_path / val / "a b, (c)/x.mp4")
    assert read(tmp_path, "val") == ([Video(path, 1, "a b, (c)/x.mp4")], names)


def test_no_folder_of_a_class(tmp_path):
    touch(tmp_path, "readme.txt", ".hidden/x.mp4")
    with pytest.raises(DatasetNotFoundError, match="no folder of a class in it"):
        read(tmp_path)
    touch(tmp_path, "val/run/x.mp4")
    with pytest.raises(DatasetNotFoundError, match="no folder train/ or training/ in it") as caught:
        read(tmp_path)
    assert "├── CLASS " in str(caught.value)
    with pytest.raises(DatasetNotFoundError, match="no folder test/ or testing/ in it"):
        read(tmp_path, "test")
    touch(tmp_path, "train/notes.txt")
    with pytest.raises(DatasetNotFoundError, match="no folder of a class in train/ in it"):
        read(tmp_path)


@pytest.mark.parametrize("inside", ["", "train"])
def test_videos_without_a_folder_of_a_class(tmp_path, inside):
    touch(tmp_path / inside, "x.mp4", "y.mp4")
    message = "in a folder for each class, as .*CLASS.x.mp4. Received: 'x.mp4', 'y.mp4' in"
    with pytest.raises(SmallBigError, match=message):
        read(tmp_path)
    touch(tmp_path / inside, "notes/a.txt")
    with pytest.raises(SmallBigError, match=message):
        read(tmp_path, "validation")
    touch(tmp_path / inside, "run/a.mp4", "run/b.mp4", "notes/c.mp4", "notes/d.mp4", "notes.txt")
    found = f"{4 if inside else 3} in .* are no video files of a class and left out: .*notes/a.txt"
    with pytest.warns(AnnotationWarning, match=found):
        assert len(read(tmp_path)[0]) == 2


@pytest.mark.parametrize(
    "files", [("config.json", "log.csv", "tensorboard/x"), ("classifier.json",)]
)
def test_run_in_place_of_videos(tmp_path, files):
    touch(tmp_path, *files)
    with pytest.raises(SmallBigError, match="a saved classifier is a source of weights .--weights"):
        read(tmp_path)


def test_folders_that_commands_make_are_no_classes(tmp_path):
    touch(tmp_path, *(f"{name}/{i}.mp4" for name in ("a", "b", "runs") for i in range(3)))
    assert read(tmp_path)[1] == ["a", "b", "runs"]
    for i in range(3):
        (tmp_path / "runs" / f"{i}.mp4").unlink()
    touch(tmp_path, "runs/first/.lock", "evaluation/x/scores.npz", "mine/config.json", "new/.lock")
    touch(tmp_path, "shards/shards.json", "index.jsonl", "index.bad.txt", "val.txt")
    touch(
        tmp_path, "__MACOSX/a/._0.mp4", "Thumbs.db", "a/thumbs.db", "b/.DS_Store", "b/desktop.ini"
    )
    assert read(tmp_path)[1] == ["a", "b"]
    frames = tmp_path / "frames"
    touch(frames, *(f"{name}/{i}/1.jpg" for name in ("a", "b") for i in range(2)), "runs/x/.lock")
    assert read(frames, image_template="{}.jpg")[1] == ["a", "b"]
    touch(frames, "runs/1/1.jpg", "runs/2/1.jpg")
    assert read(frames, image_template="{}.jpg")[1] == ["a", "b", "runs"]


@pytest.mark.parametrize("inside", ["", "train"])
def test_class_without_a_video(tmp_path, inside):
    """Empty, or with other files, or with folders in it."""
    root = tmp_path / "data"
    touch(root / inside, "a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "c/x.txt", "c/day 1/x.mp4")
    if inside:
        touch(root, "val/b/x.mp4")
    (root / inside / "d").mkdir()
    message = "allow_empty_classes=True .*Received: none of 'c', 'd'; '.*c' holds 'day 1', 'x.txt'"
    with pytest.raises(SmallBigError, match=message):
        read(root)
    with pytest.warns(AnnotationWarning, match="2 in .* are no video files of a class"):
        videos, names = read(root, allow_empty_classes=True)
    assert names == ["a", "b", "c", "d"] and {video.label for video in videos} == {0, 1}


@pytest.mark.skipif(sys.platform == "win32", reason="needs rights for links there")
def test_links(tmp_path):
    touch(tmp_path, "away/1.mp4", "away/2.mp4", "data/b/1.mp4")
    (tmp_path / "data/a").symlink_to(tmp_path / "away")
    (tmp_path / "data/b/2.mp4").symlink_to(tmp_path / "away/2.mp4")
    videos = read(tmp_path / "data")[0] + read(tmp_path / "data", "val")[0]
    assert sorted(video.id for video in videos) == ["a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4"]
    assert find_missing(videos) == []


@pytest.mark.skipif(sys.platform == "win32", reason="refused there by the system")
@pytest.mark.parametrize("name", ["a\nb", "a\n", "\x0b", "x\u2028y", "\x85"])
def test_class_name_of_two_lines(tmp_path, name):
    touch(tmp_path, f"{name}/x.mp4", f"{name}/y.mp4", " a,\t#'\"/x.mp4", " a,\t#'\"/y.mp4")
    with pytest.raises(SmallBigError, match="a class name must be one line. Received: "):
        read(tmp_path)
    shutil.rmtree(tmp_path / name)
    assert read(tmp_path)[1] == [" a,\t#'\""]


def test_validation_alone_and_a_class_that_training_does_not_have(tmp_path):
    touch(tmp_path, "val/run/x.mp4", "val/hop/x.mp4")
    assert read(tmp_path, "val")[1] == ["hop", "run"]
    touch(tmp_path, "train/run/x.mp4")
    with pytest.raises(ValueError, match="one of the 1 of .*train. Received: .*hop"):
        read(tmp_path, "val")


def test_other_files_are_counted_and_named(tmp_path):
    touch(tmp_path, "train/run/x.mp4", "train/run/x.txt", "train/readme", "train/run/y/z.mp4")
    touch(tmp_path, "val/run/x.mp4")
    with pytest.warns(AnnotationWarning, match="3 in .*train are no video files.*readme"):
        videos, _ = read(tmp_path)
    assert [video.id for video in videos] == ["run/x.mp4"]
    (tmp_path / "train/run/x.mp4").unlink()
    with pytest.raises(ValueError, match="must hold video files.*Received: .*x.txt"):
        read(tmp_path)
    for path in sorted((tmp_path / "train/run").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "train/readme").unlink()
    with pytest.raises(ValueError, match="Received: empty folders"):
        read(tmp_path)


def test_frames(tmp_path):
    touch(tmp_path, "train/run/clip 1/f_1.png", "train/run/clip 2/f_1.png", "val/run/x/f_1.png")
    videos, _ = read(tmp_path, image_template="f_{}.png")
    path = str(tmp_path / "train/run/clip 2")
    assert videos[1] == Video(path, 0, "run/clip 2", template="f_{}.png")
    with pytest.raises(ValueError, match="must be named like 'img_1.jpg'"):
        read(tmp_path, image_template="img_{}.jpg")


def test_test_videos_without_labels(tmp_path):
    touch(tmp_path, "train/run/x.mp4", "test/y.mp4", "test/run/z.mp4")
    videos, names = read(tmp_path, "test")
    assert names == ["run"] and [(v.id, v.label) for v in videos] == [
        ("run/z.mp4", 0),
        ("y.mp4", None),
    ]


def test_names_that_are_not_utf8(tmp_path):
    touch(tmp_path, "train/run/x.mp4", "val/run/x.mp4")
    (tmp_path / "train/run" / os.fsdecode(b"\xff.mp4")).touch()
    videos, _ = read(tmp_path)
    assert len(videos) == 2 and find_missing(videos) == []
    (tmp_path / "train" / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(ValueError, match="class name must be UTF-8. Received: '.udcff'"):
        read(tmp_path)
