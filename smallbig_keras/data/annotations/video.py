"""A video of a dataset, and the errors and warnings that all readers share."""

import dataclasses
import os
import re
import string
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from smallbig_keras.errors import NotFoundError, SmallBigError, did_you_mean

SPLITS = ("train", "validation", "test")
_SHOWN = 10


class DatasetNotFoundError(NotFoundError):
    """A dataset, or a part of it, is not where it was looked for."""


class AnnotationWarning(UserWarning):
    """Lines or files of a dataset were left out; the message counts and names them."""


@dataclasses.dataclass(frozen=True)
class Video:
    """A video and its class.

    Args:
        path: str. The video file, or the folder of its frames where `template` is set. Nothing
            looks at it before it is decoded.
        label: int or None. Class id, None where the split has no labels.
        id: str. Name of the video in its dataset.
        num_frames: int or None. Frames, where the annotations tell. Defaults to `None`.
        template: str or None. Name of a frame by its number, a `str.format` template like
            `img_{:05d}.jpg`; None for a video file. Defaults to `None`.
    """

    path: str
    label: int | None
    id: str
    num_frames: int | None = None
    template: str | None = None


def as_videos(videos, class_names=None):
    """Returns a list of `Video` from a list of paths, of `(path, label)` pairs and of `Video`s.

    A label is a class id, or a name of `class_names`, which then must have all of them.
    """
    one = isinstance(videos, str | bytes | os.PathLike | dict | Video)
    if one or not hasattr(videos, "__iter__"):
        raise SmallBigError(
            "`videos` must be a list of paths, of (path, label) pairs or of `Video`s, also for a "
            f"single one. Received: {videos!r:.200}"
        )
    ids = None if class_names is None else {name: id for id, name in enumerate(class_names)}
    return [
        _as_video(item, f"item {number} is {item!r:.200}", ids)
        for number, item in enumerate(videos)
    ]


def _as_video(item, received, ids):
    """Returns the `Video` of an item of a list; `ids` are the class ids by name, or `None`."""
    if isinstance(item, Video):
        label = _class_id(item.label, received, ids)
        return item if label is item.label else dataclasses.replace(item, label=label)
    is_pair = isinstance(item, tuple | list) and len(item) == 2
    path, label = item if is_pair else (item, None)
    path = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(path, str):
        raise SmallBigError(
            "`videos` must be a list of paths, of (path, label) pairs or of `Video`s. "
            f"Received: {received}"
        )
    return Video(path, _class_id(label, received, ids), Path(path).name)


def _class_id(label, received, ids):
    """Returns the class id of a label as an int, `None` for no label."""
    if label is None:
        return None
    if isinstance(label, str):
        if ids is None:
            raise SmallBigError(f"A label that is a name needs `class_names`. Received: {received}")
        if label not in ids:
            raise SmallBigError(
                f"A label must be one of `class_names`.{did_you_mean(label, ids)} "
                f"Received: {received}"
            )
        return ids[label]
    is_int = isinstance(label, int | np.integer) and not isinstance(label, bool)
    if not is_int or not 0 <= label < (2**31 if ids is None else len(ids)):
        classes = "" if ids is None else f" below the {len(ids)} of `class_names`"
        raise SmallBigError(
            f"A label must be a class id from 0{classes}, or a name. Received: {received}"
        )
    return int(label)


def check_split(split):
    """Checks the name of a split."""
    if split not in SPLITS:
        raise SmallBigError(
            f"`split` must be one of {SPLITS}.{did_you_mean(split, SPLITS)} "
            f"Received: split={split!r}"
        )


def check_template(template):
    """Returns a template of frame names, if it gives different numbers different names."""
    try:
        names = {template.format(number) for number in (1, 2)}
    except (AttributeError, IndexError, KeyError, ValueError):
        names = set()
    if len(names) < 2:
        raise SmallBigError(
            "The template of frame names must be a str.format template of the frame's number, "
            f"such as 'img_{{:05d}}.jpg'. Received: {template!r}"
        )
    return template


def frame_numbers(names, template):
    """Returns the numbers of the frames among names of files, a set."""
    pieces = string.Formatter().parse(template)
    number = ("([0-9]+)", "")
    pattern = (re.escape(text) + number[field is None] for text, field, *_ in pieces)
    matches = map(re.compile("".join(pattern)).fullmatch, names)
    pairs = ((int(match[1]), match[0]) for match in matches if match)
    # "1.jpg" is not the name of frame 1 by "{:05d}.jpg".
    return {number for number, name in pairs if template.format(number) == name}


def not_found(title, layout, hint, root, files):
    """Returns the error for missing `files`: the layout drawn, and how to get the dataset."""
    root = Path(root)
    missing = f"no {files} in it" if root.is_dir() else "there is no such folder"
    drawn = layout.replace("{root}", str(root))
    return DatasetNotFoundError(
        f"{title} is expected in this layout:\n\n{drawn}\n\n{hint}\n\nReceived: {root} ({missing})"
    )


def class_counts(labels, class_names):
    """Counts the videos of each class.

    Args:
        labels: iterable of int. The class ids of the videos.
        class_names: list of str.

    Returns:
        dict of int by name, in the order of `class_names`.
    """
    counts = Counter(labels)
    return {name: counts[label] for label, name in enumerate(class_names)}


def shorten(items):
    """Joins the first ten strings and counts the others."""
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def warn(message):
    """Warns with an `AnnotationWarning`."""
    warnings.warn(message, AnnotationWarning, stacklevel=2)
