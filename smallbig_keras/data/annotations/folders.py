"""Videos of one's own in a folder for each class."""

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
It is a format for videos of your own. Put clips that are cut from one video into the same split."""


def read_folder(root, split, image_template=None):
    """Reads videos in a folder for each class; those in `test/` itself have no labels."""
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
    # Test videos without labels lie where the folders of the classes would be.
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
                key = f"{inside}/{file}" if inside else file
                videos.append(Video(path, label, key, template=image_template))
            else:
                others.append(path)
    kind = "video files" if image_template is None else "folders of frames"
    if not videos:
        raise SmallBigError(
            f"{folder} must hold {kind} in a folder for each class. "
            f"Received: {shorten([repr(path) for path in others]) or 'empty folders'}"
        )
    if others:
        names = shorten([repr(path) for path in others])
        warn(f"{len(others)} in {folder} are no {kind} and left out: {names}")
    if image_template is not None:
        listing.find_template((video.path for video in videos), image_template)
    return videos, class_names


def _not_found(root, missing):
    return not_found("A dataset in folders", _LAYOUT, _HINT, root, missing)


def _find(root, split):
    return next((root / name for name in _NAMES[split] if (root / name).is_dir()), None)


def _visible(listing, folder, folders=False):
    names = sorted(name for name in listing.names(folder) if not name.startswith("."))
    return [name for name in names if (folder / name).is_dir()] if folders else names


def _is_clip(path, image_template):
    return is_video(os.fspath(path)) if image_template is None else os.path.isdir(path)
