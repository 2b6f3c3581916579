"""Kinetics-400: csv files of YouTube clips, and the videos as several tools lay them out."""

import os
import re
from pathlib import Path

from smallbig_keras.data.annotations.listing import Listing, is_video
from smallbig_keras.data.annotations.text_files import (
    LineParser,
    check_class_name,
    check_row,
    read_table,
)
from smallbig_keras.data.annotations.video import Video, check_split, not_found
from smallbig_keras.errors import SmallBigError
from smallbig_keras.labels import class_names as official_names

_LAYOUT = """\
{root}
├── annotations            (or in {root} itself)
│   ├── train.csv
│   ├── val.csv            (or validate.csv)
│   └── test.csv           (only for the test split)
├── train                  (or videos_train, videos/train)
│   ├── 0wR5jVB-WPk_000417_000427.mp4
│   ├── ...                (or in a folder for each class: train/air drumming/...)
├── val                    (or videos_val, videos/val)
└── replacement            (optional, files that take the place of damaged ones)
A csv begins with label,youtube_id,time_start,time_end,split"""
_HINT = """\
Kinetics-400 is a list of YouTube clips, published by DeepMind. The CVD Foundation hosts csv files
and videos and has scripts to download them: github.com/cvdfoundation/kinetics-dataset"""
_FOLDERS = ("annotations", "", "kinetics400", "annotations/kinetics400")
_PREFIXES = ("", "kinetics_", "kinetics400_", "kinetics-400_", "kinetics_400_")
_SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("val", "validate", "validation"),
    "test": ("test",),
}
_VIDEO_FOLDERS = ("{}", "videos_{}", "videos/{}", "{}_256", "kinetics_400_{}")
_REPLACEMENTS = ("replacement_for_corrupted_k400", "replacement")
_COLUMNS = ("youtube_id", "time_start", "time_end")


def read_k400(root, split, skip_bad_lines=False):
    """Reads the csv files of Kinetics-400 and finds the videos by name, wherever tools put them."""
    check_split(split)
    root = Path(root)
    path = _find_csv(root, split)
    if path is None:
        file = f"{_SPLIT_NAMES[split][0]}.csv"
        raise not_found("Kinetics-400", _LAYOUT, _HINT, root, file)
    lines = LineParser(skip_bad_lines)
    clips = _read_csv(path, split, lines)
    reference = _find_csv(root, "train") or path
    training = clips
    if reference != path:
        # Its damaged rows are counted where the training split is read.
        training = _read_csv(reference, "train", LineParser(skip_bad_lines))
    class_names = _class_names(training)
    class_ids = {name: i for i, name in enumerate(class_names)}
    listing = Listing()
    files = _index(listing, root, split)
    expected = _expected(listing, root, split)

    def make(clip):
        label, key, start, end = clip
        class_id = None
        if label is not None:
            class_id = class_ids.get(label, class_ids.get(label.replace("_", " ")))
            if class_id is None:
                raise SmallBigError(
                    f"a label must be one of the {len(class_names)} classes of {reference}. "
                    f"Received: {label!r}"
                )
        name = f"{key}_{start:06d}_{end:06d}"
        stems = (name, f"{key}_{start}_{end}", f"{key}_{start:06d}", f"{key}_{start}", key)
        paths = next((files[stem] for stem in stems if stem in files), None)
        return Video(_choose(paths, label) if paths else expected(label, name), class_id, name)

    videos = [video for _, video in lines.parse(path, clips, make)]
    lines.warn()
    return videos, class_names


def _find_csv(root, split):
    for folder in _FOLDERS:
        for name in _SPLIT_NAMES[split]:
            for prefix in _PREFIXES:
                path = root / folder / f"{prefix}{name}.csv"
                if path.is_file():
                    return path
    return None


def _read_csv(path, split, lines):
    """Returns `[(line, (label or None, id, start, end)), ...]`; a column `is_cc` may follow."""
    columns = _COLUMNS if split == "test" else ("label", *_COLUMNS)

    def parse(row):
        row = check_row(row)
        key = row["youtube_id"].strip()
        # The id becomes a file name; it may begin with "-" and hold "_".
        if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            hint = ", which a spreadsheet writes for an id" if key == "#NAME?" else ""
            raise SmallBigError(
                f'youtube_id must be of letters, digits, "-" and "_". Received: {key!r:.200}{hint}'
            )
        label = row.get("label", "")
        if split == "test" and not label.strip():
            label = None
        else:
            label = check_class_name(label)
        return label, key, _seconds(row, "time_start"), _seconds(row, "time_end")

    return lines.parse(path, read_table(path, columns), parse)


def _seconds(row, column):
    try:
        # Copies that went through a table of floats have "59.0".
        seconds = int(float(row[column]))
    except (ValueError, OverflowError):
        seconds = -1
    if seconds < 0:
        raise SmallBigError(f"{column} must be seconds from 0. Received: {row[column]!r:.200}")
    return seconds


def _class_names(clips):
    labels = {label for _, (label, *_) in clips if label is not None}
    official = official_names("k400")
    if {label.replace("_", " ") for label in labels} <= set(official):
        return official
    return sorted(labels)


def _split_folders(root, split):
    for name in _SPLIT_NAMES[split]:
        for pattern in _VIDEO_FOLDERS:
            folder = root / pattern.format(name)
            if folder.is_dir():
                yield folder


def _index(listing, root, split):
    """Returns the paths of the video files by name without ending; replacements come first."""
    folders = list(_split_folders(root, split)) or [root / "videos", root]
    files, replaced = {}, {}
    tables = [(files, folder) for folder in folders]
    tables += [(replaced, root / name) for name in _REPLACEMENTS]
    for table, folder in tables:
        for name in sorted(listing.names(folder)):
            if is_video(name):
                _add(table, folder, name)
                continue
            # A name without the ending of a video may be the folder of a class.
            inside = os.path.join(folder, name)
            for file in filter(is_video, sorted(listing.names(inside))):
                _add(table, inside, file)
    return {**files, **replaced}


def _add(table, folder, name):
    table.setdefault(name.rpartition(".")[0], []).append(f"{folder}/{name}")


def _choose(paths, label):
    """Returns the file in the folder of the class, else the first of that name."""
    inside = (path for path in paths if _letters(Path(path).parent.name) == _letters(label))
    return paths[0] if len(paths) == 1 else next(inside, paths[0])


def _expected(listing, root, split):
    """Returns a function of label and name: the path at which a missing clip is expected."""
    folder = next(_split_folders(root, split), root / _SPLIT_NAMES[split][0])
    names = {_letters(name): name for name in listing.names(folder) if not is_video(name)}

    def path(label, name):
        inside = [names.get(_letters(label), label)] if names and label else []
        return os.path.join(folder, *inside, f"{name}.mp4")

    return path


def _letters(name):
    """Leaves out what tools change in the folder names of classes: spaces, quotes, brackets."""
    return re.sub(r"[\W_]", "", name or "").casefold()
