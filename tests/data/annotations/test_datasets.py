import os
import re
import shutil
import subprocess
import sys

import pytest

from smallbig_keras import class_names
from smallbig_keras.data import (
    DATASETS,
    AnnotationWarning,
    DatasetNotFoundError,
    drop_missing,
    find_missing,
    read_annotations,
    read_frames,
)
from smallbig_keras.errors import OptionError, SmallBigError
from tests.data.miniatures import COUNTS, MINIATURES, clips

OWN = ["camera left", "camera right", "nearer"]
NAMES = {"csv": OWN, "folder": OWN, "frames": ["camera right", "camera left", "nearer"]}
LABELS = {
    "k400": ["abseiling", "air drumming", "passing American football (in game)"],
    "ucf101": ["ApplyEyeMakeup", "BoxingPunchingBag", "HandstandPushups"],
    "hmdb51": ["brush_hair", "clap", "kick_ball"],
}
# Word of the layout that is drawn, and of how to get the data.
DRAWN = {
    "csv": ("train.csv", "of your own"),
    "folder": ("CLASS", "of your own"),
    "frames": ("img_00001.jpg", "of your own"),
    "hmdb51": ("brush_hair_test_split1.txt", "Brown"),
    "k400": ("0wR5jVB-WPk_000417_000427.mp4", "cvdfoundation"),
    "sthv1": ("something-something-v1-train.csv", "registration"),
    "sthv2": ("train.json", "registration"),
    "ucf101": ("trainlist01.txt", "Central"),
}


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp("sets") / name) for name, make in MINIATURES.items()}


def test_every_dataset_has_a_miniature():
    assert set(MINIATURES) == set(DATASETS) == set(DRAWN)


@pytest.mark.parametrize("dataset", DATASETS)
def test_miniature(miniatures, dataset):
    """Official layouts, read and decoded: every clip has its frames and its class."""
    for split in ("train", "validation"):
        videos, names = read_annotations(dataset, str(miniatures[dataset]), split)
        assert names == NAMES.get(dataset) or names == class_names(dataset)
        assert len(videos) == COUNTS[split] and find_missing(videos) == []
        assert drop_missing(videos) == videos
        used = sorted({video.label for video in videos})
        if dataset in LABELS:
            assert [names[label] for label in used] == LABELS[dataset]
        lengths = {}
        for video in videos:
            if video.template:
                folder = miniatures[dataset] / video.path
                length = len(list(folder.iterdir()))
                assert (folder / video.template.format(length)).is_file()
            else:
                counts = []
                read_frames(video.path, lambda n, seen=counts: seen.append(n) or [0])
                length = counts[-1]
            assert video.num_frames in (None, length)
            lengths.setdefault(video.label, []).append(length)
        expected = {}
        for class_id, frames in clips(split):
            expected.setdefault(class_id, []).append(len(frames))
        assert sorted(map(sorted, lengths.values())) == sorted(map(sorted, expected.values()))


@pytest.mark.parametrize("dataset", ["k400", "sthv1", "sthv2"])
def test_test_split_has_no_labels(miniatures, dataset):
    (video,), names = read_annotations(dataset, miniatures[dataset], "test")
    assert video.label is None and names == class_names(dataset) and not find_missing([video])


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("alias", ["val", "validate"])
def test_names_of_the_validation_split(miniatures, dataset, alias):
    root = miniatures[dataset]
    expected = read_annotations(dataset, root, "validation")
    assert read_annotations(dataset, root, alias, image_template=None) == expected


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("place, root", [("..", "{}"), (".", "."), (".", "")])
def test_relative_root(miniatures, monkeypatch, dataset, place, root):
    monkeypatch.chdir(miniatures[dataset] / place)
    expected, names = read_annotations(dataset, miniatures[dataset], "train")
    videos, found = read_annotations(dataset, root.format(dataset), "train")
    assert [os.path.abspath(video.path) for video in videos] == [video.path for video in expected]
    assert found == names and find_missing(videos) == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_missing_data_draws_the_layout(tmp_path, dataset):
    for root, reason in ((tmp_path, "in it"), (tmp_path / "nothing", "no such folder")):
        with pytest.raises(DatasetNotFoundError) as caught:
            read_annotations(dataset, root, "train")
        message = str(caught.value)
        for part in (*DRAWN[dataset], f"{root}\n├── ", f"Received: {root} (", reason):
            assert part in message
    (tmp_path / "file").touch()
    with pytest.raises(DatasetNotFoundError, match="no such folder"):
        read_annotations(dataset, tmp_path / "file", "train")


@pytest.mark.parametrize("dataset", sorted(set(DATASETS) - {"folder"}))
def test_all_videos_missing(miniatures, tmp_path, dataset):
    """Lists without videos: the path that was expected, and what is there."""
    patterns = ("*.mp4", "*.avi", "*.webm", "*.jpg")
    ignored = shutil.ignore_patterns(*patterns)
    shutil.copytree(miniatures[dataset], tmp_path / "set", ignore=ignored)
    for folder in sorted((tmp_path / "set").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    listed, _ = read_annotations(dataset, tmp_path / "set", "train")
    original, _ = read_annotations(dataset, miniatures[dataset], "train")
    assert [(video.label, video.id) for video in listed] == [
        (video.label, video.id) for video in original
    ]
    with pytest.raises(DatasetNotFoundError, match="None of the 6 .* Received: ") as caught:
        drop_missing(listed, "skip")
    assert repr(listed[0].path) in str(caught.value)
    assert f"{str(tmp_path / 'set')!r} holds '" in str(caught.value)


# A damaged line of each dataset: the list, and a line at its end.
BAD = {
    "csv": ("train.csv", "a.mp4"),
    "frames": ("train.txt", "data/rawframes_train/skateboarding/KZC_x 306"),
    "hmdb51": ("testTrainMulti_7030_splits/clap_test_split1.txt", "a.avi"),
    # A spreadsheet's error in place of an id that begins with "-".
    "k400": ("annotations/train.csv", "abseiling,#NAME?,59,69,train,0"),
    "sthv1": ("something-something-v1-train.csv", "7;Eating something"),
    "sthv2": ("labels/train.json", '{"id": "7", "template": "Eating [something]"}'),
    "ucf101": ("ucfTrainTestlist/trainlist01.txt", "ApplyEyeMakeup/v_x.avi 2"),
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_bad_line(miniatures, tmp_path, dataset):
    """An error names file, line and the flag by which the line is left out, counted and named."""
    if dataset not in BAD:
        with pytest.raises(OptionError, match="'folder' are image_template"):
            read_annotations(dataset, miniatures[dataset], "train", skip_bad_lines=True)
        return
    root = tmp_path / "set"
    shutil.copytree(miniatures[dataset], root)
    expected = read_annotations(dataset, root, "train")
    name, line = BAD[dataset]
    text = (root / name).read_text("utf-8")
    if name.endswith(".json"):
        text = text.rstrip("\n]") + ",\n"
        line += "\n]"
    (root / name).write_text(text + line, "utf-8")
    number = text.count("\n") + 1
    place = rf"{name}, .*line {number}\)?: .*Received: "
    with pytest.raises(SmallBigError, match=f"{place}.*\nAdd skip_bad_lines=True "):
        read_annotations(dataset, root, "train")
    with pytest.warns(AnnotationWarning) as warned:
        assert read_annotations(dataset, root, "train", skip_bad_lines=True) == expected
    (warning,) = warned
    total = COUNTS["train"] + 1
    if dataset == "hmdb51":
        lists = (root / name).parent.glob("*_test_split1.txt")
        total = sum(len(path.read_text("utf-8").splitlines()) for path in lists)
    assert re.match(f"1 of {total} lines were skipped.*\n.*{place}", str(warning.message))
    # Warnings are errors here: a line is counted once, with the split it belongs to.
    if dataset != "hmdb51":
        read_annotations(dataset, root, "validation", skip_bad_lines=True)


def test_bad_lines_of_several_lists_are_one_warning(tmp_path):
    for name in ("clap", "wave", "kick"):
        (tmp_path / f"{name}_test_split1.txt").write_text("a.avi 1\nb.avi\n")
    with pytest.warns(AnnotationWarning, match="3 of 6 lines") as warned:
        videos, _ = read_annotations("hmdb51", tmp_path, "train", skip_bad_lines=True)
    assert len(videos) == 3 and len(warned) == 1
    assert str(warned[0].message).count("_split1.txt, line 2: ") == 3


@pytest.mark.parametrize(
    "dataset, split, options, message",
    [
        (
            "k600",
            "train",
            {},
            r"one of .*'ucf101'.* Did you mean 'k400'\? Received: dataset='k600'",
        ),
        ("UCF-101", "train", {}, r"Did you mean 'ucf101'\? Received: dataset='UCF-101'"),
        ("k400", "dev", {}, r"one of .*'val'.*\. Received: split='dev'"),
        ("k400", "Valid", {}, r"Did you mean 'val\w*'\? Received: split='Valid'"),
        ("k400", "train", {"split_number": 1}, "'k400' are skip_bad_lines. Received: split_n"),
        (
            "ucf101",
            "train",
            {"image_template": "{}.jpg"},
            "split_number, skip_bad_lines. Received",
        ),
        ("csv", "train", {"classlist": "k400"}, r"Did you mean 'class_list'\? Received: classlist"),
    ],
)
def test_wrong_words(tmp_path, dataset, split, options, message):
    with pytest.raises(TypeError if options else ValueError, match=message):
        read_annotations(dataset, tmp_path, split, **options)


def test_readers_import_no_framework():
    """The help of the commands imports them."""
    script = (
        "import sys, smallbig_keras.data.annotations as annotations\n"
        "assert annotations.DATASETS and annotations.read_sthv2 and annotations.drop_missing\n"
        "print(sorted({'keras', 'tensorflow', 'cv2', 'av', 'joblib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")
