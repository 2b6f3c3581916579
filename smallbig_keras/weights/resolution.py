"""From what `weights=` is given to a file on this machine."""

import os
import pathlib
from typing import NamedTuple

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.weights import fetching
from smallbig_keras.weights.fetching import WeightsError, WeightsNotFoundError
from smallbig_keras.weights.records import builtin_records, read_record, record_stem
from smallbig_keras.weights.state_dicts import SUFFIXES, convert

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
        DownloadError: if a download failed.
        WeightsError: if a file is damaged.
    """
    path = pathlib.Path(weights)
    if (path / runs.CONFIG).is_file():
        return path, _network_of_run(path)
    if path.name.endswith(_FILES) or len(path.parts) > 1:
        if not path.exists():
            raise WeightsNotFoundError(
                f"`weights` must be a file or a run's folder that is there. Received: {path}"
            )
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
    """Returns the folders in which files are looked for, in that order."""
    named = (weights_dir, os.environ.get(FOLDER_VARIABLE))
    return [*(pathlib.Path(folder) for folder in named if folder), fetching.cache_folder()]


def _find_record(name, model, weights_dir):
    stem = record_stem(model, name)
    for folder in _folders(weights_dir):
        if (folder / f"{stem}.json").is_file():
            record = read_record(folder / f"{stem}.json")
            if record.file and (path := folder / record.file).is_file():
                fetching.check_sha256(path, record.sha256)
                return path, record
    rows = [row for row in list_weights(weights_dir) if row["model"] == model]
    names = {IMAGENET, *(row["name"] for row in rows)}
    hint = "" if name in names else did_you_mean(name, names)
    cache = fetching.cache_folder()
    if mirror := os.environ.get(MIRROR_VARIABLE, "").rstrip("/"):
        record = _fetch_record(f"{mirror}/{stem}.json", cache / f"{stem}.json", hint)
        return fetching.fetch(f"{mirror}/{record.file}", cache / record.file, record.sha256), record
    record = {(r.name, r.model): r for r in builtin_records()}.get((name, model))
    if record is None:
        raise SmallBigError(
            f"`weights` of {model} must be None, a path, or one of {', '.join(sorted(names))}."
            f"{hint} Received: weights={name!r}"
        )
    if record.url is None:
        looked = ", ".join(str(folder) for folder in _folders(weights_dir))
        raise WeightsNotFoundError(
            f"No {name!r} weights of {model} are published. Received: weights={name!r}, and no "
            f"{stem}.json in {looked}; {MIRROR_VARIABLE} is not set\n"
            f"Train them (smallbig fit, smallbig publish RUN --name {name} --out DIR) and set "
            f"{FOLDER_VARIABLE}=DIR.\n"
            "Or give a checkpoint of the authors' code, FILE.pth, or start from random weights: "
            "weights=None, --weights none."
        )
    return fetching.fetch(record.url, cache / record.file, record.sha256), record


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

    >>> {row["name"] for row in list_weights() if row["published"]}
    {'imagenet'}
    """
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
        for (name, model), record in records.items():
            if name == IMAGENET and any(
                (folder / f).is_file() for f in (f"{record.stem}.npz", record.file)
            ):
                available.add((name, model))
    return [
        {
            **vars(record),
            "published": record.url is not None,
            "available": key in available,
        }
        for key, record in sorted(records.items())
    ]
