"""Videos of one's own in a folder for each class."""

import os
from pathlib import Path

from smallbig_keras import runs
from smallbig_keras.data.annotations.listing import Listing, is_video
from smallbig_keras.data.annotations.splitting import (
    check_split_options,
    choose_validation,
    read_val_list,
)
from smallbig_keras.data.annotations.text_files import check_class_name
from smallbig_keras.data.annotations.video import (
    SPLITS,
    Video,
    check_split,
    check_template,
    class_counts,
    frame_numbers,
    not_found,
    shorten,
    warn,
)
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.options import flag

_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "validate", "valid"),
    "test": ("test", "testing"),
}
_LAYOUT = """\
{root}
├── CLASS                  (or train/CLASS, and validation videos in val/CLASS)
│   ├── NAME.mp4           (any video file; with image_template a folder of frames)
│   └── ...
├── ...
└── test                   (optional, read as the test split)"""
_HINT = """\
It is a format for videos of your own. Without val/, a part of each class is for validation, see
val_share (--val-share). Put clips that are cut from one video into the same split."""
# Systems and archivers leave these.
_LITTER = ("thumbs.db", "desktop.ini", "__macosx")
# Folders that commands make, by their name or by a file in them: one without clips is no class.
_OUTPUTS = ("runs", "evaluation")
_OUTPUT_FILES = {runs.CONFIG, "classifier.json", "shards.json", ".lock"}


def read_folder(
    root,
    split,
    image_template=None,
    val_list=None,
    val_share=None,
    split_seed=None,
    allow_empty_classes=False,
):
    """Reads videos in a folder for each class; those in `test/` itself have no labels."""
    check_split(split)
    if image_template is not None:
        check_template(image_template)
    choice = {"val_list": val_list, "val_share": val_share, "split_seed": split_seed}
    check_split_options(**choice)
    tree = _Tree(root, image_template)
    given = [name for name, value in choice.items() if value is not None]
    if given and tree.folders["validation"]:
        raise OptionError(
            f"`{given[0]}` ({flag(given[0])}) has no effect with a folder of validation videos: "
            "leave it out. "
            f"Received: {choice[given[0]]} and {tree.folders['validation']}"
        )
    folder = tree.folders[split] or (tree.classes if split != "test" else None)
    reference = tree.classes or folder
    class_names = tree.class_names(reference) if folder else []
    if not class_names:
        tree.check_place(reference or tree.root)
        raise not_found("A dataset in folders", _LAYOUT, _HINT, root, tree.missing(split))
    for name in class_names:
        check_class_name(name)
    # Test videos without labels lie where the folders of the classes would be.
    videos, others = tree.read(folder, class_names, flat=split == "test" and reference != folder)
    if not videos:
        tree.check_place(folder)
        hint = "; image_template (--image-template NAME) reads folders of frames"
        hint = "" if image_template else hint
        raise SmallBigError(
            f"{folder} must hold {tree.kind} in a folder for each class{hint}. "
            f"Received: {shorten([repr(path) for path in others]) or 'empty folders'}"
        )
    training, validation = videos, videos
    if split != "test" and not tree.folders["validation"]:
        if val_list is None:
            chosen = choose_validation(videos, class_names, val_share, split_seed)
        else:
            chosen = read_val_list(tree.root / val_list, tree.root, videos)
        training = [video for video in videos if video.id not in chosen]
        validation = [video for video in videos if video.id in chosen]
    if folder == tree.classes and not allow_empty_classes:
        tree.check_counts(training, class_names)
    if others:
        names = shorten([repr(path) for path in others])
        warn(f"{len(others)} in {folder} are no {tree.kind} of a class and left out: {names}")
    if image_template is not None:
        tree.listing.find_template((video.path for video in videos), image_template)
    return (training if split == "train" else validation), class_names


def has_validation(root):
    """Tells if a dataset in folders has one for the validation videos."""
    return _Tree(root).folders["validation"] is not None


class _Tree:
    """The folders of a dataset.

    Args:
        root: str or path.
        template: str or None. Name of a frame, where videos are folders of frames. Defaults to
            `None`.

    `folders` is a dict of those of the splits, None where there is none; `classes` is the one with
    the folders of the classes of the training videos.
    """

    def __init__(self, root, template=None):
        self.root, self.template, self.listing = Path(root), template, Listing()
        self.kind = "video files" if template is None else "folders of frames"
        self.folders = {split: self._find(split) for split in SPLITS}
        self.classes = self.folders["train"]
        if not (self.classes or self.folders["validation"]) and self.class_names(self.root):
            self.classes = self.root

    def class_names(self, folder):
        """Returns the names of the folders in a folder, without those that are no class."""
        names = [name for name in self._names(folder) if (folder / name).is_dir()]
        if folder != self.root:
            return names
        return [
            name
            for name in names
            if name.casefold() not in _NAMES["test"] and not self._is_output(folder / name)
        ]

    def read(self, folder, class_names, flat):
        """Returns the videos of a folder of classes, and the paths that are left out."""
        class_ids = {name: i for i, name in enumerate(class_names)}
        videos, others = [], []
        for name in self._names(folder):
            path = folder / name
            if name in class_ids:
                label, inside, names = class_ids[name], name, self._names(path)
            elif flat and self._is_clip(path):
                label, inside, names = None, "", [name]
            elif path.is_dir():
                if folder == self.root:
                    continue
                raise SmallBigError(
                    f"A class must be one of the {len(class_names)} of {self.classes}. "
                    f"Received: {str(path)!r}"
                )
            else:
                # Beside the folders of classes, notes and lists are at home.
                if folder != self.root or is_video(name):
                    others.append(str(path))
                continue
            for file in names:
                path = os.path.join(folder, inside, file)
                if self._is_clip(path):
                    key = f"{inside}/{file}" if inside else file
                    videos.append(Video(path, label, key, template=self.template))
                else:
                    others.append(path)
        return videos, others

    def check_counts(self, training, class_names):
        """Refuses classes without a training video."""
        counts = class_counts((video.label for video in training), class_names)
        empty = [name for name, count in counts.items() if not count]
        if empty:
            held = [repr(name) for name in self._names(self.classes / empty[0])]
            raise SmallBigError(
                "Each class must have a training video: add one, take the folder away, or set "
                "allow_empty_classes=True (--allow-empty-classes). "
                f"Received: none of {shorten(list(map(repr, empty)))}; "
                f"{str(self.classes / empty[0])!r} holds {shorten(held) or 'nothing'}"
            )

    def check_place(self, folder):
        """Says where else a folder without a video of a class belongs, or the videos in it."""
        names = self.listing.names(self.root)
        if "classifier.json" in names or {runs.CONFIG, runs.LOG} <= names:
            raise SmallBigError(
                "A dataset (--data-root) is a folder of videos; a run or a saved classifier is a "
                "source of weights (--weights). "
                f"Received: {self.root}"
            )
        videos = [name for name in self._names(folder) if is_video(name)]
        if videos:
            raise SmallBigError(
                f"Videos must lie in a folder for each class, as {folder / 'CLASS' / videos[0]}. "
                f"Received: {shorten(list(map(repr, videos)))} in {folder} itself"
            )

    def missing(self, split):
        """Describes the folder that a split lacks."""
        if self.folders[split] or not (split == "test" or self.folders["validation"]):
            folder = self.folders[split] or self.folders["train"]
            return "folder of a class" + (f" in {folder.name}/" if folder else "")
        return f"folder {' or '.join(f'{name}/' for name in _NAMES[split])}"

    def _find(self, split):
        found = (self.listing.find(self.root, name) for name in _NAMES[split])
        folders = (self.root / name for name in found if name)
        return next((folder for folder in folders if folder.is_dir()), None)

    def _names(self, folder):
        names = self.listing.names(folder)
        return sorted(n for n in names if n[0] != "." and n.casefold() not in _LITTER)

    def _is_clip(self, path):
        return is_video(os.fspath(path)) if self.template is None else os.path.isdir(path)

    def _is_output(self, folder):
        names = self.listing.names(folder)
        if folder.name not in _OUTPUTS and not names & _OUTPUT_FILES:
            return False
        if self.template is None:
            return not any(map(is_video, names))
        frames = (self.listing.names(folder / name) for name in names)
        return not any(frame_numbers(names, self.template) for names in frames)
