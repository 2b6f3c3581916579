import os

import pytest

from smallbig_keras.data import (
    AnnotationWarning,
    DatasetNotFoundError,
    Video,
    find_missing,
    read_annotations,
)


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


def test_classes_without_a_split_folder(tmp_path):
    touch(tmp_path, "run/x.mp4")
    with pytest.raises(DatasetNotFoundError, match="train/ or training/ in it") as caught:
        read(tmp_path)
    assert "├── train " in str(caught.value)
    touch(tmp_path, "train/x.mp4")
    with pytest.raises(DatasetNotFoundError, match="no folder of a class in train/ in it"):
        read(tmp_path)


def test_validation_alone_and_a_class_that_training_does_not_have(tmp_path):
    touch(tmp_path, "val/run/x.mp4", "val/hop/x.mp4")
    assert read(tmp_path, "val")[1] == ["hop", "run"]
    touch(tmp_path, "train/run/x.mp4")
    with pytest.raises(ValueError, match="one of the 1 of .*train. Received: .*hop"):
        read(tmp_path, "val")


def test_other_files_are_counted_and_named(tmp_path):
    touch(tmp_path, "train/run/x.mp4", "train/run/x.txt", "train/readme", "train/run/y/z.mp4")
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
    touch(tmp_path, "train/run/clip 1/f_1.png", "train/run/clip 2/f_1.png")
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
    touch(tmp_path, "train/run/x.mp4")
    (tmp_path / "train/run" / os.fsdecode(b"\xff.mp4")).touch()
    videos, _ = read(tmp_path)
    assert len(videos) == 2 and find_missing(videos) == []
    (tmp_path / "train" / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(ValueError, match="class name must be UTF-8. Received: '.udcff'"):
        read(tmp_path)
