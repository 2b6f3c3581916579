"""Something-Something V1 and V2."""

import json
import re
from pathlib import Path

from smallbig_keras.data.annotations.listing import VIDEO_SUFFIXES, Listing
from smallbig_keras.data.annotations.text_files import (
    LineParser,
    check_class_name,
    parse_rows,
    read_json,
    read_lines,
)
from smallbig_keras.data.annotations.video import Video, check_split, not_found
from smallbig_keras.errors import SmallBigError
from smallbig_keras.labels import class_names as official_names

_V2 = "something-something-v2-"
_LAYOUT_V2 = """\
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
_HINT_V2 = """\
Something-Something V2 is given out by Qualcomm after registration. A small sample set in the same
layout is made by
    smallbig prepare sample --out DIR
or on the fly by
    smallbig fit --sample"""
_FOLDERS_V2 = (
    *("20bn-something-something-v2", "videos", "20bn-something-something-v2-frames"),
    *("rawframes", "frames"),
)
_V1 = "something-something-v1-"
_LAYOUT_V1 = """\
{root}
├── 20bn-something-something-v1
│   ├── 1
│   │   ├── 00001.jpg
│   │   └── ...
│   └── ...
├── something-something-v1-labels.csv
├── something-something-v1-train.csv
├── something-something-v1-validation.csv
└── something-something-v1-test.csv       (only for the test split)
The csv files may also lie in {root}/labels or {root}/annotations."""
_HINT_V1 = """\
Something-Something V1 was given out by TwentyBN, now Qualcomm, after registration: csv files and
an archive in 25 parts, which are joined before they are unpacked."""
_FOLDERS_V1 = ("20bn-something-something-v1", "rawframes", "frames")


def read_sthv1(root, split, image_template=None, skip_bad_lines=False):
    """Reads Something-Something V1: folders of frames, and csv files of `id;label`."""
    # No header and no quotes: a label may hold commas and semicolons. Class names keep the
    # published order, which is not sorted.
    check_split(split)
    root = Path(root)
    path = _find_v1(root, "labels")
    class_names = parse_rows(path, read_lines(path), _unique(check_class_name))
    official = official_names("sthv1")
    if set(class_names) == set(official):
        class_names = official
    class_ids = {name: i for i, name in enumerate(class_names)}

    def parse(line):
        name, separator, label = line.partition(";")
        name = _check_id(name.strip())
        if split == "test":
            return name, None
        if not separator or label.strip() not in class_ids:
            raise SmallBigError(
                f"a line must be an id, a semicolon and one of the {len(class_names)} classes of "
                f"{_V1}labels.csv. Received: {line!r:.200}"
            )
        return name, class_ids[label.strip()]

    path = _find_v1(root, split)
    lines = LineParser(skip_bad_lines)
    entries = lines.parse(path, read_lines(path), _unique(parse, key=lambda entry: entry[0]))
    lines.warn()
    return _locate(root, _FOLDERS_V1, entries, image_template, "{:05d}.jpg"), class_names


def read_sthv2(root, split, image_template=None, skip_bad_lines=False):
    """Reads the annotations of Something-Something V2.

    The class of a video is the entry of `labels.json` for its template without brackets, as
    published with the dataset.

    Args:
        root: str or path. Folder with `20bn-something-something-v2/{id}.webm` and the json files,
            which may have Qualcomm's or 20BN's names and lie in `labels/` or in `root`. For a
            video that is not there, `{id}.mp4` or a folder of frames `{id}` is taken, from the
            same folder, `videos/`, `20bn-something-something-v2-frames/`, `rawframes/` or
            `frames/`.
        split: str. `"train"`, `"validation"` or `"test"` (videos without labels).
        image_template: str. Name of a frame by its number; where given, folders of frames are
            read and videos not. Defaults to `None`: both are looked for.
        skip_bad_lines: bool. Whether damaged entries are left out, with an `AnnotationWarning`
            that counts and names them. Defaults to `False`.

    Returns:
        `(videos, class_names)`: a list of `Video` in the order of the file, and the names of the
        classes in the order of their ids.

    Raises:
        DatasetNotFoundError: the folder or a json file is missing; the message draws the layout.
        SmallBigError: a json file is damaged, and the message names file, entry and line; or
            frames are named otherwise.
    """
    check_split(split)
    root = Path(root)
    class_names = _read_classes(_find_v2(root, "labels"))
    path = _find_v2(root, split)
    text, entries = read_json(path, list, "a list of videos")
    class_ids = {name: i for i, name in enumerate(class_names)}
    parse = _unique(lambda entry: _parse(entry, split, class_ids), key=lambda entry: entry[0])
    lines = LineParser(skip_bad_lines)
    entries = lines.parse(
        path,
        list(enumerate(entries)),
        parse,
        lambda index: f"entry {index} (line {_line_of(text, index)})",
    )
    lines.warn()
    return _locate(root, _FOLDERS_V2, entries, image_template), class_names


def _find_v1(root, name):
    for folder in (root, root / "labels", root / "annotations"):
        if (folder / f"{_V1}{name}.csv").is_file():
            return folder / f"{_V1}{name}.csv"
    title = "Something-Something V1"
    raise not_found(title, _LAYOUT_V1, _HINT_V1, root, f"{_V1}{name}.csv")


def _find_v2(root, name):
    for folder in (root / "labels", root):
        for file in (f"{name}.json", f"{_V2}{name}.json"):
            if (folder / file).is_file():
                return folder / file
    raise not_found("Something-Something V2", _LAYOUT_V2, _HINT_V2, root, f"{name}.json")


def _locate(root, folders, entries, template, default=None):
    """Makes videos of `(line, (id, label))`; with a template, given or default, of folders."""
    listing = Listing()
    suffixes = (".webm", *VIDEO_SUFFIXES) if template is None and default is None else ()
    filled = [root / name for name in folders if listing.names(root / name)]
    paths = [_find(listing, filled, name, suffixes) for _, (name, _) in entries]
    frames = (str(path) for path in paths if path and path.suffix not in suffixes)
    template = listing.find_template(frames, template) or default
    videos = []
    for (_, (name, label)), path in zip(entries, paths, strict=True):
        if path is None:
            path = root / folders[0] / (f"{name}.webm" if suffixes else name)
        frames = None if path.suffix in suffixes else template
        videos.append(Video(str(path), label, name, template=frames))
    return videos


def _find(listing, folders, name, suffixes):
    for suffix in (*suffixes, ""):
        for folder in folders:
            if name + suffix in listing.names(folder):
                return folder / (name + suffix)
    return None


def _unique(parse, key=lambda value: value):
    """Returns a parser that refuses a second value of the same key."""
    seen = set()

    def parse_new(value):
        parsed = parse(value)
        if key(parsed) in seen:
            raise SmallBigError(f'a name or "id" must not occur twice. Received: {key(parsed)!r}')
        seen.add(key(parsed))
        return parsed

    return parse_new


def _check_id(name):
    # The id becomes a file name: nothing in it may lead out of the folder.
    if not re.fullmatch(r"[\w-]+", name):
        raise SmallBigError(
            f'an "id" must be of letters, digits, "_" and "-". Received: {name!r:.200}'
        )
    return name


def _read_classes(path):
    _, table = read_json(path, dict, "an object of class name to id")
    try:
        ids = {int(value): name for name, value in table.items()}
    except (TypeError, ValueError) as error:
        raise SmallBigError(f"{path}: an id must be an integer. Received: {error}") from None
    if not table or sorted(ids) != list(range(len(table))):
        raise SmallBigError(
            f"{path}: the ids of {len(table)} classes must be 0 to {len(table) - 1}, each once. "
            f"Received: {sorted(table.values(), key=str)[:10]}"
        )
    return [ids[i] for i in range(len(ids))]


def _parse(entry, split, class_ids):
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise SmallBigError(f'an entry must be an object with an "id". Received: {entry!r:.200}')
    name = _check_id(name)
    if split == "test":
        return name, None
    template = entry.get("template")
    if not isinstance(template, str):
        raise SmallBigError(f'an entry must have a "template". Received: {entry!r:.200}')
    label = class_ids.get(template.replace("[", "").replace("]", ""))
    if label is None:
        raise SmallBigError(
            f'"template" without brackets must be a class of labels.json. '
            f"Received: {template!r:.200}"
        )
    return name, label


def _line_of(text, index):
    """Returns the line of the list's entry `index`; json.loads keeps no positions."""
    decoder = json.JSONDecoder()
    end = text.index("[") + 1
    for _ in range(index + 1):
        start = re.compile(r"[\s,]*").match(text, end).end()
        _, end = decoder.raw_decode(text, start)
    return text.count("\n", 0, start) + 1
