"""Validation videos of a dataset without such a folder: chosen by seed, or listed in a file."""

import functools
import hashlib
import json
import os
import unicodedata
from collections import defaultdict
from pathlib import Path

from smallbig_keras import runs
from smallbig_keras.data.annotations.text_files import read_lines
from smallbig_keras.data.annotations.video import shorten
from smallbig_keras.errors import NotFoundError, OptionError, SmallBigError, did_you_mean
from smallbig_keras.files import replace_file
from smallbig_keras.options import flag

VAL_SHARE = 0.2


def check_split_options(val_list, val_share, split_seed):
    """Checks the options of a split; `None` stands for one that is not given."""
    if val_share is not None and not 0 < val_share < 1:
        raise SmallBigError(
            f"`val_share` (--val-share) must be above 0 and below 1. Received: {val_share}"
        )
    if split_seed is not None and split_seed < 0:
        raise SmallBigError(
            f"`split_seed` (--split-seed) must be at least 0. Received: {split_seed}"
        )
    for name, value in (("val_share", val_share), ("split_seed", split_seed)):
        if val_list is not None and value is not None:
            raise OptionError(
                f"`{name}` ({flag(name)}) has no effect with `val_list` (--val-list), which names "
                f"the validation videos: leave one of them out. Received: {value}"
            )


def choose_validation(videos, class_names, val_share=None, split_seed=None):
    """Chooses the validation videos of each class, by a hash of seed and name.

    A video that is added later moves at most one other of its class, and the order in which a
    system lists files does not matter.

    Args:
        videos: list of `Video`, with labels.
        class_names: list of str.
        val_share: float. The share of each class, rounded, but one video at least for either
            split. Defaults to `None`, 0.2.
        split_seed: int. Another number gives another split. Defaults to `None`, 0.

    Returns:
        set of str, the ids of the videos.
    """
    share = VAL_SHARE if val_share is None else val_share
    by_label = defaultdict(list)
    for video in videos:
        by_label[video.label].append(video.id)
    single = [class_names[label] for label, ids in sorted(by_label.items()) if len(ids) == 1]
    if single:
        raise SmallBigError(
            "A split by seed needs two videos of each class: add videos, or name the validation "
            "videos with val_list (--val-list FILE), which may have none of a class. "
            f"Received: one video of {shorten([repr(name) for name in single])}"
        )

    def order(name):
        # A Mac may write the accents of a name in another form.
        text = unicodedata.normalize("NFC", f"{split_seed or 0}/{name}")
        return hashlib.sha256(os.fsencode(text)).digest(), name

    chosen = set()
    for ids in by_label.values():
        count = min(max(1, round(share * len(ids))), len(ids) - 1)
        chosen.update(sorted(ids, key=order)[:count])
    return chosen


def write_list(names, path):
    """Writes the ids of videos to a file from which `read_list` reads them.

    A line is the id of a video, in folders `CLASS/NAME`. A name that a line would not keep, with a
    line break or a space at an end for instance, is written as a JSON string.

    Args:
        names: list of str.
        path: str or path. The file.
    """

    def line(name):
        plain = name.isprintable() and name == name.strip() and name[:1] not in ("", '"')
        return name if plain else json.dumps(name)

    text = "".join(f"{line(name)}\n" for name in names)
    # Line ends are the same on every system.
    replace_file(Path(path), lambda file: file.write_bytes(text.encode("utf-8")))


def read_list(path):
    """Reads the ids of videos, a list of str, from a file of `write_list`."""
    return [_unquote(line) for _, line in read_lines(path)]


def read_val_list(path, root, videos):
    """Reads the ids of the validation videos, a set, from a file with one of `videos` a line."""
    if not path.is_file():
        raise NotFoundError(
            "`val_list` (--val-list) must be a file: its path absolute, or from the folder of the "
            f"dataset; a command also looks in the working directory. Received: {path}"
        )
    names = {video.id for video in videos}
    by_form = {unicodedata.normalize("NFC", name): name for name in names}
    real = functools.cache(os.path.realpath)

    def place(video):
        folder, file = os.path.split(video)
        return real(folder), file

    by_place = {place(video.path): video.id for video in videos}

    def find(line):
        for text in (_unquote(line), line, line.strip()):
            found = text if text in names else by_form.get(unicodedata.normalize("NFC", text))
            if found:
                return found
        try:
            return by_place.get(place(os.path.join(root, line.strip())))
        except ValueError:
            # Not a path on this system.
            return None

    chosen = set()
    for number, line in read_lines(path):
        name = find(line)
        if name is None:
            # The videos of a run were there.
            is_run = (path.parent / runs.CONFIG).is_file()
            hint = " It is gone." if is_run else _nearest(line.strip(), names)
            raise SmallBigError(
                f"{path}, line {number}: a line must be CLASS/NAME of a video in {root}, or its "
                f"path.{hint} Received: {line!r:.200}"
            )
        chosen.add(name)
    if not chosen:
        raise SmallBigError(f"{path} must list at least one video. Received: no line")
    return chosen


def _nearest(line, names):
    """Offers a class, or a video of the class in a line: all videos would take long to compare."""
    folder = line.partition("/")[0]
    near = [name for name in names if name.startswith(f"{folder}/")]
    if near:
        return did_you_mean(line, sorted(near))
    return did_you_mean(folder, sorted({name.partition("/")[0] for name in names}))


def _unquote(line):
    """The text of a JSON string; any other line as it is."""
    try:
        text = json.loads(line) if line.startswith('"') else line
    except (ValueError, RecursionError):
        return line
    return text if isinstance(text, str) else line
