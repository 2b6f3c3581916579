"""Lists of videos of one's own, and of other tools: of folders of frames, and of video files."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from smallbig_keras.data.annotations.class_ids import ClassIds, parse_label
from smallbig_keras.data.annotations.listing import Listing, is_video
from smallbig_keras.data.annotations.text_files import (
    LineParser,
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
_LIST_NAMES = ("{}.txt", "{}_list.txt", "{}list.txt", "{}_videofolder.txt")


@dataclass(frozen=True)
class _Kind:
    """A kind of lists: how errors name it, names of its files, folders of what is listed."""

    title: str
    layout: str
    hint: str
    list_names: tuple
    folders: tuple
    template: str | None = None


_FRAMES = _Kind(
    "A dataset of frames",
    """\
{root}
├── train.txt              (or train_list.txt, train_videofolder.txt, another by train_list)
├── val.txt                (the same; or validation.txt, another by val_list)
├── classes.txt            (optional, names of the classes, one a line)
├── NAME                   (or frames/NAME, rawframes/NAME, rawframes_train/NAME)
│   ├── img_00001.jpg      (another name by image_template)
│   └── ...
└── ...
A line of a list is: NAME, number of frames, label from 0; a space, a tab, ',' or ';' between.""",
    """\
Frames are extracted from videos of your own by, for instance,
    ffmpeg -i NAME.mp4 -q:v 2 NAME/img_%05d.jpg""",
    _LIST_NAMES,
    ("", "frames", "rawframes_{}", "rawframes"),
    "img_{:05d}.jpg",
)
_VIDEOS = _Kind(
    "A dataset in csv files",
    """\
{root}
├── train.csv              (or train.txt, another by train_list)
├── val.csv                (or validation.csv, val.txt, another by val_list)
├── classes.txt            (optional, names of the classes, one a line)
└── ...                    (the videos; or in videos, videos_train, videos_val)
A csv begins with the header path,label or path,label,num_frames. A path is taken from {root}, a
label is a name or, if all of train.csv are whole numbers, an id from 0.
Without a header a line is: path, label from 0; a space, a tab, ',' or ';' between.""",
    "It is a format for videos of your own.",
    ("{}.csv", *_LIST_NAMES),
    ("", "videos_{}", "videos"),
)


def _read(
    kind,
    root,
    split,
    image_template=None,
    train_list=None,
    val_list=None,
    test_list=None,
    class_list=None,
    first_label=0,
    allow_empty_classes=False,
    skip_bad_lines=False,
):
    """Reads lists of a kind, one for each split."""
    check_split(split)
    template = image_template or kind.template
    if template is not None:
        check_template(template)
    root = Path(root)
    given = {"train": train_list, "validation": val_list, "test": test_list}
    path = _find_list(kind, root, split, given[split])
    if path is None:
        name = given[split] or kind.list_names[0].format(_ALIASES[split][0])
        raise not_found(kind.title, kind.layout, kind.hint, root, name)
    lines = LineParser(skip_bad_lines)
    entries, numbers = _read_entries(kind, path, split, lines)
    reference = _find_list(kind, root, "train", train_list) or path
    training = entries
    if reference != path:
        # Its damaged lines are counted where the training split is read.
        others = LineParser(skip_bad_lines)
        training, numbers = _read_entries(kind, reference, "train", others)
    labels = [(line, label) for line, (*_, label) in training if label]
    known = _read_class_names(root, class_list)
    class_ids = ClassIds(reference, labels, known, first_label, allow_empty_classes, numbers)
    listing, find = Listing(), _find_frames if kind is _FRAMES else _find
    folders = _find_folders(listing, kind, root, split)

    def make(entry):
        name, num_frames, label = entry
        label = None if split == "test" and not label else class_ids(label)
        where = find(listing, folders, name) or os.path.join(root, name)
        return Video(where, label, name, num_frames, template)

    videos = [video for _, video in lines.parse(path, entries, make)]
    lines.warn()
    if template is not None:
        _check_frames(listing, videos, template)
    return videos, class_ids.names


# Lines `name num_frames label`, as the authors' code and mmaction2 have them.
read_frame_list = functools.partial(_read, _FRAMES)
# Tables `path,label[,num_frames]`, and lines `path label` as mmaction2 and PySlowFast have them.
read_csv = functools.partial(_read, _VIDEOS)


def _find_list(kind, root, split, given):
    if given is not None:
        return root / given if (root / given).is_file() else None
    names = [name.format(alias) for alias in _ALIASES[split] for name in kind.list_names]
    paths = (root / folder / name for folder in ("", "annotations") for name in names)
    return next((path for path in paths if path.is_file()), None)


def _find_folders(listing, kind, root, split):
    """Returns the folders that names may begin in; those of the split come before others."""
    splits = (alias for other in (split, *_ALIASES) for alias in _ALIASES[other])
    names = dict.fromkeys(name.format(alias) for alias in splits for name in kind.folders)
    return [root / name for name in names if listing.names(root / name)]


def _read_entries(kind, path, split, lines):
    """Returns `[(line, (name, num_frames, label)), ...]` and whether labels must be numbers."""
    rows, parse = read_lines(path), _parse_frames if kind is _FRAMES else _parse_video
    numbers = kind is _FRAMES or (rows and _split(rows[0][1], 1)[-1].isdecimal())
    if not numbers:
        rows = read_table(path, ("path",) if split == "test" else ("path", "label"), ",;\t")
        parse = _parse_row
    return lines.parse(path, rows, parse), numbers


def _split(line, count):
    """Splits off the last fields of a line: a name may hold spaces, commas and numbers."""
    ways = []
    for separator in (",", ";", None):
        name, *fields = line.rsplit(separator, count)
        if len(fields) == count and all(len(field.split()) == 1 for field in fields):
            ways.append([name.rstrip(), *(field.strip() for field in fields)])
    numbers = (way for way in ways if all(map(str.isdecimal, way[1:])))
    return next(numbers, ways[0] if ways else [line])


def _parse_frames(line):
    name, *fields = _split(line, 2)
    if not fields:
        raise SmallBigError(
            "a line must be a name, a number of frames and a label, with spaces, tabs, ',' or ';' "
            f"between. Received: {line!r:.200}"
        )
    if is_video(fields[0]):
        raise SmallBigError(
            "a line must have the number of frames before the label; a list of video files is for "
            f"the dataset 'csv' (--dataset csv). Received: {line!r:.200}"
        )
    count = parse_number(fields[0], "the number of frames", 1)
    parse_label(fields[1])
    return name, count, fields[1]


def _parse_video(line):
    name, *fields = _split(line, 1)
    frames = _split(line, 2)[1:]
    if not (name and fields) or (frames and all(field.isdecimal() for field in frames)):
        raise SmallBigError(
            "a line must be a path and a label, with a space, a tab, ',' or ';' between; a list of "
            "folders, with numbers of frames, is for the dataset 'frames' (--dataset frames). "
            f"Received: {line!r:.200}"
        )
    parse_label(fields[0])
    if len(name) > 2 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('""', '"')
    return name, None, fields[0]


def _parse_row(row):
    row = check_row(row)
    name, label = row["path"], row.get("label", "").strip()
    if not name.strip():
        raise SmallBigError("a path must not be empty. Received: ''")
    num_frames = row.get("num_frames", "").strip() or None
    if num_frames is not None:
        num_frames = parse_number(num_frames, "num_frames", 1)
    return name, num_frames, label


def _read_class_names(root, class_list):
    """Returns the names in a file or of a known dataset, and their source; None without any."""
    if class_list in OFFICIAL:
        return official_names(class_list), class_list
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
    return names, class_list or CLASSES_FILE


def _find(listing, folders, name):
    """Finds what a name stands for, as it is written."""
    for folder in folders:
        path = os.path.join(folder, name)
        parent, last = os.path.split(path.rstrip("/"))
        if last in listing.names(parent):
            return path
    return None


def _find_frames(listing, folders, name):
    """Finds a folder of frames: as written, else by the last part of the path."""
    # As in the authors' code: up to the first dot, and for Kinetics the 11 letters of the video.
    short = name.rstrip("/").rpartition("/")[2].partition(".")[0]
    youtube = re.match(r"[\w-]{11}(?=_\d)", short, re.ASCII)
    parts = filter(None, (name, short, youtube and youtube[0]))
    return next(filter(None, (_find(listing, folders, part) for part in parts)), None)


def _check_frames(listing, videos, template):
    paths = (os.path.split(video.path) for video in videos)
    there = (os.path.join(*path) for path in paths if path[1] in listing.names(path[0]))
    listing.find_template(there, template)
