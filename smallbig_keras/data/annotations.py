"""Which videos a data set holds, and their classes."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "validation", "test")
_PREFIX = "something-something-v2-"
_LAYOUT = """\
{root}
├── 20bn-something-something-v2
│   ├── 1.webm
│   └── ...
└── labels
    ├── labels.json        (or something-something-v2-labels.json)
    ├── train.json         (or something-something-v2-train.json)
    ├── validation.json    (or something-something-v2-validation.json)
    └── test.json          (or something-something-v2-test.json; only for the test split)
The json files may also lie in {root} itself."""
_HINT = """\
Something-Something V2 is given out by Qualcomm after registration. A small sample set in the same
layout is made by
    python training/prepare.py sample --out DIR
or on the fly by
    python training/fit.py --dataset sthv2 --sample"""


class DatasetNotFoundError(FileNotFoundError):
    """A data set, or a part of it, is not where it was looked for."""


@dataclass(frozen=True)
class Video:
    """A video file and what it shows.

    Args:
        path: str. The file; it is not looked at before it is decoded.
        label: int or None. Class id, None where the split has no labels.
        id: str. Name of the video in its data set.
    """

    path: str
    label: int | None
    id: str


def read_sthv2(root, split):
    """Reads the annotations of Something-Something V2.

    The class of a video is the entry of `labels.json` for its template without brackets, as
    published with the data set.

    Args:
        root: str or path. Folder with `20bn-something-something-v2/{id}.webm` and the json files,
            which may have Qualcomm's or 20BN's names and lie in `labels/` or in `root`.
        split: str. `"train"`, `"validation"` or `"test"` (videos without labels).

    Returns:
        `(videos, class_names)`: a list of `Video` in the order of the file, and the names of the
        classes in the order of their ids.

    Raises:
        DatasetNotFoundError: the folder or a json file is missing; the message draws the layout.
        ValueError: a json file is damaged; the message names file, entry and line.
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    root = Path(root)
    class_names = _read_classes(_find(root, "labels"))
    path = _find(root, split)
    text, entries = _read_json(path, list, "a list of videos")
    if not entries:
        raise ValueError(f"{path} must list at least one video. Received: an empty list")
    class_ids = {name: i for i, name in enumerate(class_names)}
    seen = set()
    videos = []
    for index, entry in enumerate(entries):
        try:
            video = _parse(entry, split, class_ids, root / "20bn-something-something-v2")
            if video.id in seen:
                raise ValueError(f'"id" must not occur twice. Received: {video.id!r}')
        except ValueError as error:
            line = _line_of(text, index)
            raise ValueError(f"{path}, entry {index} (line {line}): {error}") from None
        seen.add(video.id)
        videos.append(video)
    return videos, class_names


def _find(root, name):
    for folder in (root / "labels", root):
        for file in (f"{name}.json", f"{_PREFIX}{name}.json"):
            if (folder / file).is_file():
                return folder / file
    missing = f"no {name}.json in it" if root.is_dir() else "there is no such folder"
    raise DatasetNotFoundError(
        "Something-Something V2 is expected in this layout:\n\n"
        f"{_LAYOUT.format(root=root)}\n\n{_HINT}\n\nReceived: {root} ({missing})"
    )


def _read_json(path, kind, expected):
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a JSON file in UTF-8. Received: {error}") from None
    if not isinstance(value, kind):
        raise ValueError(f"{path} must hold {expected}. Received: {type(value).__name__}")
    return text, value


def _read_classes(path):
    _, table = _read_json(path, dict, "an object of class name to id")
    try:
        ids = {int(value): name for name, value in table.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: an id must be an integer. Received: {error}") from None
    if not table or sorted(ids) != list(range(len(table))):
        raise ValueError(
            f"{path}: the ids of {len(table)} classes must be 0 to {len(table) - 1}, each once. "
            f"Received: {sorted(table.values(), key=str)[:10]}"
        )
    return [ids[i] for i in range(len(ids))]


def _parse(entry, split, class_ids, folder):
    name = entry.get("id") if isinstance(entry, dict) else None
    # The id becomes a file name: nothing in it may lead out of the folder.
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise ValueError(
            'an entry must be an object with an "id" of letters, digits, "_" and "-". '
            f"Received: {entry!r:.200}"
        )
    label = None
    if split != "test":
        template = entry.get("template")
        if not isinstance(template, str):
            raise ValueError(f'an entry must have a "template". Received: {entry!r:.200}')
        label = class_ids.get(template.replace("[", "").replace("]", ""))
        if label is None:
            raise ValueError(
                f'"template" without brackets must be a class of labels.json. '
                f"Received: {template!r:.200}"
            )
    return Video(str(folder / f"{name}.webm"), label, name)


def _line_of(text, index):
    """Line of the list's entry `index`; json.loads keeps no positions."""
    decoder = json.JSONDecoder()
    end = text.index("[") + 1
    for _ in range(index + 1):
        start = re.compile(r"[\s,]*").match(text, end).end()
        _, end = decoder.raw_decode(text, start)
    return text.count("\n", 0, start) + 1
