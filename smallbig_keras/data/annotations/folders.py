"""One folder a class."""

import os
from pathlib import Path

from smallbig_keras.data.annotations.listing import Listing, is_video
from smallbig_keras.data.annotations.text_files import check_class_name
from smallbig_keras.data.annotations.video import (
    Video,
    check_split,
    check_template,
    not_found,
    shorten,
    warn,
)
from smallbig_keras.errors import SmallBigError

_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "validate", "valid"),
    "test": ("test", "testing"),
}
_LAYOUT = """\
{root}
├── train                  (or training)
│   ├── CLASS
│   │   ├── NAME.mp4       (any video file; with image_template a folder of frames)
│   │   └── ...
│   └── ...
└── val                    (or validation)
    ├── CLASS
    └── ..."""
_HINT = """\
It is a format for videos of your own. Which of them are for training and which for validation
is for you to say: clips cut from one video belong on the same side."""


def read_folder(root, split, image_template=None):
    """Reads videos that lie in one folder for each class.

    Names that begin with a dot are passed over. Files without the ending of a video are left out
    with an `AnnotationWarning` that counts them and names the first ten.

    Args:
        root: str or path. Folder with `train/CLASS/NAME.mp4`, ... and `val/CLASS/...`.
        split: str. `"train"`, `"validation"` or `"test"`; the videos of the last may lie in
            `test/` itself, without labels.
        image_template: str. Name of a frame by its number from 1, where videos are folders of
            frames. Defaults to `None`: videos are files.

    Returns:
        `(videos, class_names)`: a list of `Video`, sorted by class and name, and the names of the
        folders for training, sorted; without these, those of the split.

    Raises:
        DatasetNotFoundError: there is no folder for the split, or none of a class in it; the
            message draws the layout.
        ValueError: a class is not among those for training, or there are no videos. Or frames
            are named otherwise.
    """
    check_split(split)
    if image_template is not None:
        check_template(image_template)
    root = Path(root)
    listing = Listing()
    folder = _find(root, split)
    reference = _find(root, "train") or folder
    if folder is None:
        wanted = " or ".join(f"{name}/" for name in _NAMES[split])
        raise _not_found(root, f"folder {wanted}")
    # Test videos without labels lie beside each other, where the classes would be.
    flat = split == "test" and reference != folder
    class_names = _visible(listing, reference, folders=True)
    if not class_names:
        raise _not_found(root, f"folder of a class in {reference.name}/")
    for name in class_names:
        check_class_name(name)
    class_ids = {name: i for i, name in enumerate(class_names)}
    videos, others = [], []
    for name in _visible(listing, folder):
        if name in class_ids:
            label, inside, names = class_ids[name], name, _visible(listing, folder / name)
        elif flat and _is_clip(folder / name, image_template):
            label, inside, names = None, "", [name]
        elif (folder / name).is_dir():
            raise SmallBigError(
                f"A class must be one of the {len(class_names)} of {reference}. "
                f"Received: {str(folder / name)!r}"
            )
        else:
            others.append(os.path.join(folder, name))
            continue
        for file in names:
            path = os.path.join(folder, inside, file)
            if _is_clip(path, image_template):
                key = os.path.join(inside, file)
                videos.append(Video(path, label, key, template=image_template))
            else:
                others.append(path)
    kind = "video files" if image_template is None else "folders of frames"
    if not videos:
        raise SmallBigError(
            f"{folder} must hold {kind} in folders of their classes. "
            f"Received: {shorten([repr(path) for path in others]) or 'empty folders'}"
        )
    if others:
        names = shorten([repr(path) for path in others])
        warn(f"{len(others)} in {folder} are no {kind} and left out: {names}")
    if image_template is not None:
        listing.find_template((video.path for video in videos), image_template)
    return videos, class_names


def _not_found(root, missing):
    return not_found("A data set in folders", _LAYOUT, _HINT, root, missing)


def _find(root, split):
    return next((root / name for name in _NAMES[split] if (root / name).is_dir()), None)


def _visible(listing, folder, folders=False):
    names = sorted(name for name in listing.names(folder) if not name.startswith("."))
    return [name for name in names if (folder / name).is_dir()] if folders else names


def _is_clip(path, image_template):
    return is_video(os.fspath(path)) if image_template is None else os.path.isdir(path)
