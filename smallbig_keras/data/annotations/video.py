"""What is known of a video before it is opened, and the errors of annotation files."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from smallbig_keras.errors import NotFoundError, SmallBigError

SPLITS = ("train", "validation", "test")
_SHOWN = 10


class DatasetNotFoundError(NotFoundError):
    """A data set, or a part of it, is not where it was looked for."""


class AnnotationWarning(UserWarning):
    """Lines or files of a data set were left out; the message counts and names them."""


@dataclass(frozen=True)
class Video:
    """A video and what it shows.

    Args:
        path: str. The video file, or the folder of its frames where `template` is set; it is not
            looked at before it is decoded.
        label: int or None. Class id, None where the split has no labels.
        id: str. Name of the video in its data set.
        num_frames: int or None. Frames, where the annotations tell. Defaults to `None`.
        template: str or None. Name of a frame by its number from 1, a `str.format` template like
            `img_{:05d}.jpg`; None for a video file. Defaults to `None`.
    """

    path: str
    label: int | None
    id: str
    num_frames: int | None = None
    template: str | None = None


def check_split(split):
    """Checks the name of a split.

    Args:
        split: str. `"train"`, `"validation"` or `"test"`.

    Raises:
        ValueError: it is another word.
    """
    if split not in SPLITS:
        raise SmallBigError(f"`split` must be one of {SPLITS}. Received: split={split!r}")


def check_template(template):
    """Checks the template of the names of frames.

    Args:
        template: str. A `str.format` template for a number.

    Returns:
        The template.

    Raises:
        ValueError: it takes no number, or gives all numbers the same name.
    """
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


def not_found(title, layout, hint, root, files):
    """Makes the error for a data set that is not there.

    Args:
        title: str. Name of the data set.
        layout: str. The folders and files expected, with `{root}` for the root.
        hint: str. How to get the data.
        root: path. Where it was looked for.
        files: str. The file or folder that is missing.

    Returns:
        `DatasetNotFoundError`.
    """
    root = Path(root)
    missing = f"no {files} in it" if root.is_dir() else "there is no such folder"
    drawn = layout.replace("{root}", str(root))
    return DatasetNotFoundError(
        f"{title} is expected in this layout:\n\n{drawn}\n\n{hint}\n\nReceived: {root} ({missing})"
    )


def shorten(items):
    """Lists the first ten.

    Args:
        items: list of str.

    Returns:
        str, with the number of those left out.
    """
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def warn(message):
    """Warns with an `AnnotationWarning`.

    Args:
        message: str.
    """
    warnings.warn(message, AnnotationWarning, stacklevel=2)
