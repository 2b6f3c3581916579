"""From what `weights=` is given to a file on this machine."""

import hashlib
import os
import pathlib
import re
import urllib.parse
from typing import NamedTuple

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.weights import fetching
from smallbig_keras.weights.description import (
    FILE as DESCRIPTION,
    WEIGHTS,
    Description,
    is_classifier,
    read_description,
)
from smallbig_keras.weights.fetching import WeightsError, WeightsNotFoundError
from smallbig_keras.weights.keras_files import KERAS_SUFFIXES
from smallbig_keras.weights.records import (
    builtin_records,
    read_record,
    record_stem,
)
from smallbig_keras.weights.state_dicts import SUFFIXES, convert

FOLDER_VARIABLE = "SMALLBIG_WEIGHTS"
MIRROR_VARIABLE = "SMALLBIG_WEIGHTS_URL"
IMAGENET = "imagenet"
HUB_VARIABLE = "HF_ENDPOINT"
_HUB = "https://huggingface.co"
FILES = (*KERAS_SUFFIXES, ".npz", *SUFFIXES)
_ARTIFACTS = (".tflite", ".onnx")
# Networks that start from ImageNet's weights.
_RESNET = re.compile(r"R\d+$")
# Files that publishers name by the beginning of their SHA-256, as torchvision does.
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.\w+")


class Found(NamedTuple):
    """A file of weights on this machine, verified, and their description, if there is one."""

    path: pathlib.Path
    description: Description | None


def find_weights(weights, model=None, weights_dir=None):
    """Finds the file of a name, path or address, and downloads it if need be.

    The name of a record comes before a file or folder of that name; `./NAME` is always a path. A
    record is looked for in `weights_dir`, in the folder that the environment's
    `SMALLBIG_WEIGHTS` names, in the cache below `KERAS_HOME`, and at the mirror that
    `SMALLBIG_WEIGHTS_URL` names (http(s), file: or gs:) or the address in the record.

    Args:
        weights: str or path. Name of a record, a file, the folder of a run or of a saved
            classifier, `hf://owner/name`, or the URL of a file or of such a folder.
        model: str. Model function that the weights are for. Defaults to `None` for the only one
            that has weights of that name.
        weights_dir: str. Folder with published files. Defaults to `None`.

    Returns:
        `Found(path, description)`: the file, verified, and its Description, or `None`.

    Raises:
        NotFoundError: there is no such file, or none is published under that name.
        DownloadError: a download failed.
        WeightsError: a file is damaged.
        SmallBigError: `weights` is none of these; the message has the nearest name.
    """
    weights = local_source(weights)
    text, bare = os.fspath(weights), _is_bare(weights)
    if text == IMAGENET and bare:
        if model is None:
            raise SmallBigError(
                "Weights of ImageNet classify pictures: name the network that starts from them. "
                f"Received: {text!r} without a model"
            )
        return Found(_find_imagenet(model, weights_dir), None)
    rows = list_weights(weights_dir)
    if bare and text in {row["name"] for row in rows}:
        return _find_record(text, model or _only_model(text, rows), weights_dir)
    path = pathlib.Path(text)
    if path.exists():
        return _find_path(path)
    if not bare or text.endswith(FILES):
        raise WeightsNotFoundError(
            "Weights must be a file that is there, a run or a saved classifier."
            f"{_nearest(path)}Received: {path}, which is not there"
        )
    return _find_record(text, model, weights_dir)


def local_source(source):
    """Returns a name or path as it is, and of a URL the path that it was downloaded to."""
    if isinstance(source, str) and "://" in source:
        return _fetch_url(source)
    return source


def is_name(source, weights_dir=None):
    """Tells whether a source is the name of a record, which comes before a path of that name."""
    names = (row["name"] for row in list_weights(weights_dir))
    return _is_bare(source) and source in (IMAGENET, *names)


def _is_bare(source):
    """Tells whether a source is one word: `./WORD` and a `pathlib.Path` are always paths."""
    return isinstance(source, str) and not {"/", os.sep} & set(source)


def _find_path(path):
    """Finds the weights and the description of a path that is there."""
    if path.is_dir():
        if not is_classifier(path):
            raise SmallBigError(
                f"A folder of weights is a run or a saved classifier, with {DESCRIPTION}. "
                f"Received: {path}, which has none"
            )
        description, file = read_description(path), runs.find_checkpoint(path)
        if description.sha256:
            fetching.check_sha256(file, description.sha256)
        return Found(file, description)
    if path.suffix in _ARTIFACTS:
        raise WeightsError(
            "An artifact has no weights of a Keras model: take the run that it was exported from. "
            f"Received: {path}"
        )
    if path.name in runs.CHECKPOINTS and is_classifier(path.parent):
        return Found(path, read_description(path.parent))
    notes = path.with_name(f"{path.name.removesuffix('.weights.h5')}.json")
    if path.name.endswith(".weights.h5") and notes.is_file():
        record = read_record(notes)
        fetching.check_sha256(path, record.sha256)
        return Found(path, record.description)
    return Found(path, None)


def _fetch_url(url):
    """Downloads a file, or the folder of a classifier, into the cache; returns its path."""
    if url.startswith("hf://"):
        name = url.removeprefix("hf://").strip("/")
        if len(name.split("/")) != 2:
            raise SmallBigError(
                f"A classifier on the Hugging Face Hub is hf://owner/name. Received: {url}"
            )
        url = f"{os.environ.get(HUB_VARIABLE) or _HUB}/{name}/resolve/main"
    url = url.rstrip("/")
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    folder = fetching.cache_folder() / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if name.endswith((*FILES, *_ARTIFACTS)):
        digits = _DIGITS.search(name)
        return fetching.fetch(url, folder / name, digits and digits[1])
    _fetch_json(f"{url}/{DESCRIPTION}", folder / DESCRIPTION)
    description = read_description(folder)
    fetching.fetch(f"{url}/{WEIGHTS}", folder / WEIGHTS, description.sha256)
    return folder


def _fetch_json(url, file):
    """Downloads a small file anew; without a network, the one from before is taken."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        fetching.fetch(url, fresh)
        os.replace(fresh, file)
    except fetching.DownloadError:
        if not file.is_file():
            raise


def _nearest(path):
    """Offers the nearest name beside a path that is not there."""
    names = os.listdir(path.parent) if path.parent.is_dir() else []
    return f"{did_you_mean(path.name, names)} "


def _only_model(name, rows):
    """Returns the one network that has weights of a name, those on this machine first."""
    rows = [row for row in rows if row["name"] == name]
    for state in ("available", "published"):
        models = [row["model"] for row in rows if row[state]]
        if len(models) == 1:
            return models[0]
        if models:
            break
    named = sorted(models or [row["model"] for row in rows])
    if len(named) == 1:
        return named[0]
    if not models:
        raise WeightsNotFoundError(
            f"No {name!r} weights are published, of {', '.join(named)} or any other network. "
            f"Received: {name!r}"
        )
    raise SmallBigError(
        f"Several networks have weights {name!r}: name one as model (--model), "
        f"{', '.join(named)}. Received: {name!r} alone"
    )


def _folders(weights_dir):
    """Returns the folders in which files are looked for, in that order."""
    named = (weights_dir, os.environ.get(FOLDER_VARIABLE))
    return [*(pathlib.Path(folder) for folder in named if folder), fetching.cache_folder()]


def _find_record(name, model, weights_dir):
    stem = record_stem(model, name)
    known = {(r.name, r.model): r for r in builtin_records()}.get((name, model))
    for folder in _folders(weights_dir):
        note = folder / f"{stem}.json"
        record = read_record(note) if note.is_file() else known
        if record and record.file and (path := folder / record.file).is_file():
            fetching.check_sha256(path, record.sha256)
            return Found(path, record.description)
    rows = list_weights(weights_dir)
    names = {row["name"] for row in rows if model in (None, row["model"])}
    if model is None or _RESNET.search(model):
        names.add(IMAGENET)
    hint = "" if name in names else did_you_mean(name, names)
    cache = fetching.cache_folder()
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    if mirror and model:
        try:
            record = _fetch_record(f"{mirror}/{stem}.json", cache / f"{stem}.json", hint)
        except WeightsNotFoundError:
            # A mirror of a publisher's files has no records of ours.
            if known is None or not known.file:
                raise
            record = known
        file = fetching.fetch(f"{mirror}/{record.file}", cache / record.file, record.sha256)
        return Found(file, record.description)
    if known is None:
        of = f" of {model}" if model else ""
        raise WeightsNotFoundError(
            f"Weights{of} must be a path, a URL, or one of {', '.join(sorted(names))}."
            f"{hint} Received: {name}, which is not there"
        )
    if known.url is None:
        looked = ", ".join(str(folder) for folder in _folders(weights_dir))
        raise WeightsNotFoundError(
            f"No {name!r} weights of {model} are published. Received: weights={name!r}, and no "
            f"{stem}.json in {looked}; {MIRROR_VARIABLE} is not set\n"
            f"Train them (smallbig fit, smallbig publish RUN --name {name} --out DIR) and set "
            f"{FOLDER_VARIABLE}=DIR.\n"
            "Or give a checkpoint of the authors' code, FILE.pth, or start from random weights: "
            "weights=None, --weights none."
        )
    file = fetching.fetch(known.url, cache / known.file, known.sha256)
    return Found(file, known.description)


def _fetch_record(url, file, hint):
    """Downloads a record; one that is there without its file may be an old one."""
    new = file.with_suffix(".new")
    # Others read the old one meanwhile.
    with fetching.locked(file.with_suffix("")):
        new.unlink(missing_ok=True)
        try:
            fetching.fetch(url, new)
        except WeightsNotFoundError as error:
            raise WeightsNotFoundError(f"{error}{hint}") from error
        try:
            record = read_record(new)
            if not record.file:
                raise SmallBigError(f"A published record must name its file. Received: {new}")
        except SmallBigError as error:
            # A proxy's page of HTML, for one, must not stay in the cache.
            new.unlink(missing_ok=True)
            raise WeightsError(f"{error}, from {url}") from error
        os.replace(new, file)
        return record


def _find_imagenet(model, weights_dir):
    """Finds the file of torchvision's ResNet, converted; the download is not kept beside it."""
    depth = "C2DR101" if "R101" in model else "C2DR50"
    (record,) = (r for r in builtin_records() if (r.name, r.model) == (IMAGENET, depth))
    for folder in _folders(weights_dir):
        for path in (folder / f"{record.stem}.npz", folder / record.file):
            if path.is_file():
                if path.suffix == ".pth":
                    fetching.check_sha256(path, record.sha256)
                return path
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    url = f"{mirror}/{record.file}" if mirror else record.url
    target = fetching.cache_folder() / f"{record.stem}.npz"
    # Not the name above: another process would take the file while this one removes it.
    download = target.with_suffix(".pth")
    with fetching.locked(target):
        if not target.is_file():
            try:
                fetching.fetch(url, download, record.sha256)
            except (WeightsError, WeightsNotFoundError) as error:
                raise type(error)(
                    f"{error}\nWithout a network: put {record.file} into a folder and set "
                    f"{FOLDER_VARIABLE} to it, or start from random weights: weights=None, "
                    "--weights none."
                ) from error
            convert(download, target)
        download.unlink(missing_ok=True)
    return target


def list_weights(weights_dir=None):
    """Lists the weights that names are kept for. JSON files that are no records are skipped.

    Args:
        weights_dir: str. Folder with published files. Defaults to `None`.

    Returns:
        list of dicts, one a model and name: the fields of the record, `published` (whether it
        can be downloaded) and `available` (whether it is on this machine).

    Example:

    >>> sorted({row["name"] for row in list_weights() if row["published"]})
    ['imagenet', 'k400']
    """
    builtin = {(r.name, r.model) for r in builtin_records() if r.file}
    records = {(r.name, r.model): r for r in builtin_records()}
    available = set()
    for folder in _folders(weights_dir):
        for file in sorted(folder.glob("*.json")):
            try:
                record = read_record(file)
            except SmallBigError:
                continue
            records[record.name, record.model] = record
            if record.file and (folder / record.file).is_file():
                available.add((record.name, record.model))
        for key, record in records.items():
            # A publisher's file needs no record beside it; ImageNet's is kept converted.
            files = (record.file, f"{record.stem}.npz") if record.name == IMAGENET else ()
            files = files or (record.file,) * (key in builtin)
            if any(file and (folder / file).is_file() for file in files):
                available.add(key)
    return [
        {
            **vars(record),
            "published": record.url is not None,
            "available": key in available,
        }
        for key, record in sorted(records.items())
    ]
