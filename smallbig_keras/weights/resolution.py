"""From what `weights=` is given to a file on this machine."""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError
from smallbig_keras.weights import files
from smallbig_keras.weights.checkpoints import SUFFIXES, read_state_dict
from smallbig_keras.weights.records import builtin_records, read_record, record_stem
from smallbig_keras.weights.reference_names import to_keras_layout
from smallbig_keras.weights.sources import WeightsError, WeightsNotFoundError

FOLDER_VARIABLE = "SMALLBIG_WEIGHTS"
MIRROR_VARIABLE = "SMALLBIG_WEIGHTS_URL"
IMAGENET = "imagenet"
_FILES = (".keras", ".h5", ".npz", *SUFFIXES)


def find_weights(weights, model, weights_dir=None):
    """Finds the file of a name or path, and downloads it if need be.

    A name is looked for in `weights_dir`, in the folder that the environment's
    `SMALLBIG_WEIGHTS` names, in the cache below `KERAS_HOME`, and at the mirror that
    `SMALLBIG_WEIGHTS_URL` names (http(s), file: or gs:) or the address in the record.

    Args:
        weights: str or path. Name of a record, a file, or the folder of a run.
        model: str. Model function that the weights are for.
        weights_dir: str. Folder with published files. Defaults to `None`.

    Returns:
        `(path, record)`: the file, verified, and its WeightsRecord, the Network of a run, or
        `None`.

    Raises:
        FileNotFoundError: if there is no such file, or none is published under that name.
        WeightsError: if a download failed or a file is damaged.
    """
    path = pathlib.Path(weights)
    if path.is_dir() or path.name.endswith(_FILES) or len(path.parts) > 1:
        if not path.exists():
            raise WeightsNotFoundError(
                f"`weights` must be a file or a run's folder that is there. Received: {path}"
            )
        if (path / runs.CONFIG).is_file():
            return path, _network_of_run(path)
        record = path.with_name(f"{path.name.removesuffix('.weights.h5')}.json")
        known = path.name.endswith(".weights.h5") and record.is_file()
        return path, read_record(record) if known else None
    name = str(weights)
    if name == IMAGENET:
        return _find_imagenet(model, weights_dir), None
    return _find_record(name, model, weights_dir)


class Network(NamedTuple):
    """The network that a run trained, as its configuration tells; fields as in WeightsRecord."""

    name: str
    model: str
    variant: str
    options: dict
    classes: int
    input_shape: list


def _network_of_run(path):
    config = runs.read_config(path)
    return Network(
        str(path),
        config["model"],
        config["variant"],
        config["options"],
        len(config["class_names"]),
        [config["frames"], config["size"], config["size"], 3],
    )


def _folders(weights_dir):
    named = (weights_dir, os.environ.get(FOLDER_VARIABLE))
    return [*(pathlib.Path(folder) for folder in named if folder), files.cache_folder()]


def _find_record(name, model, weights_dir):
    stem = record_stem(model, name)
    for folder in _folders(weights_dir):
        if (folder / f"{stem}.json").is_file():
            record = read_record(folder / f"{stem}.json")
            path = folder / record.file
            if path.is_file():
                files.check_sha256(path, record.sha256)
                return path, record
    cache = files.cache_folder()
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        base = mirror.rstrip("/")
        # A record without its file may be an old one.
        (cache / f"{stem}.json").unlink(missing_ok=True)
        record_file = files.fetch(f"{base}/{stem}.json", cache / f"{stem}.json")
        record = read_record(record_file)
        path = files.fetch(f"{base}/{record.file}", cache / record.file, record.sha256)
        return path, record
    records = {(r.name, r.model): r for r in builtin_records()}
    record = records.get((name, model))
    if record is None:
        names = sorted({n for n, m in records if m == model} | {IMAGENET})
        raise SmallBigError(
            f"`weights` of {model} must be None, a path, or one of {', '.join(names)}. "
            f"Received: weights={name!r}"
        )
    if record.url is None:
        raise WeightsNotFoundError(_not_published(name, model, weights_dir))
    return files.fetch(record.url, cache / record.file, record.sha256), record


def _not_published(name, model, weights_dir):
    stem = record_stem(model, name)
    looked = ", ".join(str(folder) for folder in _folders(weights_dir))
    return (
        f"No {name!r} weights of {model} are published, neither by the paper's authors nor by us.\n"
        f"Looked for {stem}.json in: {looked}; {MIRROR_VARIABLE} is not set.\n"
        f"1. Train: python training/fit.py, then training/prepare.py publish RUN --name {name}.\n"
        f"2. Convert: {model}(weights='FILE.pth') takes a checkpoint of the authors' code.\n"
        f"3. Point to a folder that has them: {FOLDER_VARIABLE}=DIR. Received: weights={name!r}"
    )


def _find_imagenet(model, weights_dir):
    """The file of torchvision's ResNet, converted; the download is not kept beside it."""
    depth = "C2DR101" if "R101" in model else "C2DR50"
    (record,) = (r for r in builtin_records() if (r.name, r.model) == (IMAGENET, depth))
    for folder in _folders(weights_dir):
        for path in (folder / f"{record.stem}.npz", folder / record.file):
            if path.is_file():
                if path.suffix == ".pth":
                    files.check_sha256(path, record.sha256)
                return path
    mirror = os.environ.get(MIRROR_VARIABLE)
    url = f"{mirror.rstrip('/')}/{record.file}" if mirror else record.url
    try:
        downloaded = files.fetch(url, files.cache_folder() / record.file, record.sha256)
    except (WeightsError, WeightsNotFoundError) as error:
        raise type(error)(
            f"{error}\nWithout a network: put {record.file} into a folder and set "
            f"{FOLDER_VARIABLE} to it, or take weights=None."
        ) from error
    return _convert(downloaded, downloaded.with_name(f"{record.stem}.npz"))


def _convert(source, target):
    state = read_state_dict(source)
    temporary = target.with_name(f".writing-{os.getpid()}-{target.name}")
    arrays = {k: to_keras_layout(v) for k, v in state.items() if "num_batches" not in k}
    np.savez(temporary, **arrays)
    os.replace(temporary, target)
    source.unlink(missing_ok=True)
    return target


def read_converted(path):
    """Reads what was converted from torchvision's file.

    Args:
        path: pathlib.Path. A `.npz` file.

    Returns:
        dict of torchvision's names to arrays in the layout of Keras.

    Raises:
        WeightsError: if the file is damaged.
    """
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except Exception as error:
        # NumPy and zipfile raise many kinds for damaged bytes.
        raise WeightsError(
            f"Converted weights must be whole; delete them. Received: {path} ({error})"
        ) from None


def list_weights(weights_dir=None):
    """Lists the weights that names are kept for.

    Args:
        weights_dir: str. Folder with published files. Defaults to `None`.

    Returns:
        list of dicts, one a model and name: the fields of the record, `published` (whether it
        can be downloaded) and `available` (whether it is on this machine).

    Example:

    >>> {row["name"] for row in list_weights() if row["published"]}
    {'imagenet'}
    """
    records = {(r.name, r.model): r for r in builtin_records()}
    available = set()
    for folder in _folders(weights_dir):
        for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            record = read_record(file)
            records[record.name, record.model] = record
            if (folder / record.file).is_file():
                available.add((record.name, record.model))
        for (name, model), record in records.items():
            if name == IMAGENET and any(
                (folder / f).is_file() for f in (f"{record.stem}.npz", record.file)
            ):
                available.add((name, model))
    return [
        {
            **{k: v for k, v in vars(record).items()},
            "published": record.url is not None,
            "available": key in available,
        }
        for key, record in sorted(records.items())
    ]
