"""Lists of videos of one's own: frame lists like the SmallBigNet authors', and csv files."""

import os
import re
from pathlib import Path

from smallbig_keras.data.annotations.listing import Listing
from smallbig_keras.data.annotations.text_files import (
    check_class_name,
    check_row,
    parse_number,
    parse_rows,
    read_lines,
    read_table,
)
from smallbig_keras.data.annotations.video import Video, check_split, check_template, not_found
from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.labels import class_names as official_names
from smallbig_keras.labels.predictions import DATASETS as OFFICIAL

CLASSES_FILE = "classes.txt"
_ALIASES = {"train": ("train",), "validation": ("val", "validation", "validate"), "test": ("test",)}
_LAYOUT_FRAMES = """\
{root}
├── train.txt              (or train_list.txt, train_videofolder.txt, another by train_list)
├── val.txt                (the same; or validation.txt, another by val_list)
├── classes.txt            (optional, names of the classes, one a line)
├── NAME                   (or frames/NAME, rawframes/NAME)
│   ├── img_00001.jpg      (another name by image_template)
│   └── ...
└── ...
A line of a list is: NAME, number of frames, label from 0, with spaces, tabs, ',' or ';' between."""
_HINT_FRAMES = """\
Frames are extracted from videos of your own by, for instance,
    ffmpeg -i NAME.mp4 -q:v 2 NAME/img_%05d.jpg"""
_LIST_NAMES = ("{}.txt", "{}_list.txt", "{}list.txt", "{}_videofolder.txt")
_FRAME_FOLDERS = ("", "frames", "rawframes", "rawframes_train", "rawframes_val", "rawframes_test")
_LAYOUT_CSV = """\
{root}
├── train.csv
├── val.csv                (or validation.csv)
├── classes.txt            (optional, names of the classes, one a line)
└── ...                    (the videos)
A csv begins with the header path,label or path,label,num_frames. A path is taken from {root}, a
label is a name or, if all of train.csv are whole numbers, an id from 0."""
_HINT_CSV = "It is a format for videos of your own."


def read_frame_list(
    root,
    split,
    image_template="img_{:05d}.jpg",
    train_list=None,
    val_list=None,
    test_list=None,
    class_list=None,
    skip_bad_lines=False,
):
    """Reads lists of folders of frames, `name num_frames label`, as the authors' code does."""
    check_split(split)
    check_template(image_template)
    root = Path(root)
    given = {"train": train_list, "validation": val_list, "test": test_list}
    path = _find_list(root, split, given[split])
    if path is None:
        name = given[split] or f"{_ALIASES[split][0]}.txt"
        raise not_found("A dataset of frames", _LAYOUT_FRAMES, _HINT_FRAMES, root, name)
    lines = read_lines(path)
    class_names = _read_class_names(root, class_list)
    source = class_list or CLASSES_FILE
    if class_names is None:
        source = _find_list(root, "train", train_list) or path
        class_names = _count_classes(lines if source == path else read_lines(source))
    listing = Listing()
    folders = [root / name for name in _FRAME_FOLDERS if listing.names(root / name)]

    def parse(line):
        name, num_frames, label = _parse_line(line)
        _check_label(label, class_names, source)
        folder = _find_frames(listing, folders, name) or os.path.join(root, name)
        return Video(folder, label, name, num_frames, image_template)

    videos = parse_rows(path, lines, parse, skip_bad_lines)
    _check_frames(listing, videos, image_template)
    return videos, class_names


def read_csv(root, split, image_template=None, class_list=None, skip_bad_lines=False):
    """Reads csv files with the header `path,label[,num_frames]`, one for each split."""
    check_split(split)
    if image_template is not None:
        check_template(image_template)
    root = Path(root)
    path = _find_csv(root, split)
    if path is None:
        name = f"{_ALIASES[split][0]}.csv"
        raise not_found("A dataset in csv files", _LAYOUT_CSV, _HINT_CSV, root, name)
    rows = _read_rows(path, split)
    reference = _find_csv(root, "train") or path
    same = reference == path
    labels = {
        row["label"].strip()
        for _, row in (rows if same else _read_rows(reference, "train"))
        if isinstance(row, dict) and row.get("label", "").strip()
    }
    ids = all(re.fullmatch("[0-9]+", label) for label in labels)
    class_names = _read_class_names(root, class_list)
    source = reference if class_names is None else class_list or CLASSES_FILE
    if class_names is None:
        highest = max(map(int, labels), default=-1) if ids else None
        class_names = [str(i) for i in range(highest + 1)] if ids else sorted(labels)
    class_ids = {name: i for i, name in enumerate(class_names)}

    def parse(row):
        row = check_row(row)
        name, label = row["path"], row.get("label", "").strip()
        if not name.strip():
            raise SmallBigError("a path must not be empty. Received: ''")
        num_frames = row.get("num_frames", "").strip() or None
        if num_frames is not None:
            num_frames = parse_number(num_frames, "num_frames", 1)
        if split == "test" and not label:
            label = None
        elif ids:
            label = parse_number(label, "a label")
            _check_label(label, class_names, source)
        else:
            if check_class_name(label) not in class_ids:
                raise SmallBigError(
                    f"a label must be one of the {len(class_names)} classes of {source}. "
                    f"Received: {label!r:.200}"
                )
            label = class_ids[label]
        return Video(os.path.join(root, name), label, name, num_frames, image_template)

    videos = parse_rows(path, rows, parse, skip_bad_lines)
    if image_template is not None:
        _check_frames(Listing(), videos, image_template)
    return videos, class_names


def _find_list(root, split, given):
    if given is not None:
        return root / given if (root / given).is_file() else None
    names = [pattern.format(name) for name in _ALIASES[split] for pattern in _LIST_NAMES]
    paths = (root / folder / name for folder in ("", "annotations") for name in names)
    return next((path for path in paths if path.is_file()), None)


def _find_csv(root, split):
    names = [f"{name}.csv" for name in _ALIASES[split]]
    paths = (root / folder / name for folder in ("", "annotations") for name in names)
    return next((path for path in paths if path.is_file()), None)


def _read_rows(path, split):
    return read_table(path, ("path",) if split == "test" else ("path", "label"), ",;\t")


def _read_class_names(root, class_list):
    """Returns the names in a file or of a known dataset; None if there are none."""
    if class_list in OFFICIAL:
        return official_names(class_list)
    path = root / (class_list or CLASSES_FILE)
    if not path.is_file():
        if class_list is None:
            return None
        raise SmallBigError(
            f"`class_list` must be a file or one of {OFFICIAL}."
            f"{did_you_mean(class_list, OFFICIAL)} Received: {str(path)!r}"
        )
    names = parse_rows(path, read_lines(path), check_class_name)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SmallBigError(f"{path} must name each class once. Received: {sorted(twice)!r:.200}")
    return names


def _parse_line(line):
    """Splits from the right: a name may hold spaces, commas and numbers."""
    for separator in (",", ";", None):
        name, *numbers = line.rsplit(separator, 2)
        if len(numbers) == 2 and all(len(number.split()) == 1 for number in numbers):
            count = parse_number(numbers[0], "the number of frames", 1)
            return name.rstrip(), count, parse_number(numbers[1], "a label")
    raise SmallBigError(
        "a line must be a name, a number of frames and a label, with spaces, tabs, ',' or ';' "
        f"between. Received: {line!r:.200}"
    )


def _count_classes(lines):
    """Returns the ids up to the highest; damaged lines are left to the reader of that list."""
    highest = -1
    for _, line in lines:
        try:
            highest = max(highest, _parse_line(line)[2])
        except ValueError:
            continue
    return [str(i) for i in range(highest + 1)]


def _check_label(label, class_names, source):
    if label >= len(class_names):
        raise SmallBigError(
            f"a label must be from 0 to {len(class_names) - 1}, as in {source}. Received: {label}"
        )


def _find_frames(listing, folders, name):
    """Finds the folder of a name: as written, else by the last part of the path."""
    # As in the authors' code: up to the first dot, and for Kinetics the 11 letters of the video.
    short = name.rstrip("/").rpartition("/")[2].partition(".")[0]
    youtube = re.match(r"[\w-]{11}(?=_\d)", short, re.ASCII)
    for part in filter(None, (name, short, youtube and youtube[0])):
        for folder in folders:
            path = os.path.join(folder, part)
            parent, last = os.path.split(path.rstrip("/"))
            if last in listing.names(parent):
                return path
    return None


def _check_frames(listing, videos, template):
    paths = (os.path.split(video.path) for video in videos)
    there = (os.path.join(*path) for path in paths if path[1] in listing.names(path[0]))
    listing.find_template(there, template)
