"""Names of weights: the networks that have some, and the folders that hold files of them."""

import os
import pathlib

from smallbig_keras.errors import SmallBigError
from smallbig_keras.weights import fetching, records
from smallbig_keras.weights.fetching import WeightsNotFoundError

FOLDER_VARIABLE = "SMALLBIG_WEIGHTS"
IMAGENET = "imagenet"
# The networks that names of datasets mean alone, as in the recipes of training.
_NETWORKS = {"k400": "SmallBigR50", "sthv2": "SmallBigSlowOnlyR50"}


def folders(weights_dir=None):
    """Returns the folders in which files are looked for, in that order."""
    named = (weights_dir, os.environ.get(FOLDER_VARIABLE))
    return [*(pathlib.Path(folder) for folder in named if folder), fetching.cache_folder()]


def builtin_record(name, model):
    """Returns the record of the package for a name and a network, or `None`."""
    found = (r for r in records.builtin_records() if (r.name, r.model) == (name, model))
    return next(found, None)


def stand_in(name, model):
    """Returns the record of the trunk that a name means until a network has its own, or `None`."""
    found = (r for r in records.builtin_records() if (r.stands_for, r.model) == (name, model))
    return next(found, None)


def find_record(name, model=None, weights_dir=None):
    """Returns the record that a name means for a network, the trunk's where that stands in."""
    model = model or only_model(name, weights_dir)
    rows = (r for r in list_weights(weights_dir) if (r["name"], r["model"]) == (name, model))
    row = next(rows, None)
    if row is not None and row["file"]:
        return records.WeightsRecord(**{field: row[field] for field in records.FIELDS})
    return stand_in(name, model)


def find_here(record, folder):
    """Returns the file of a record in a folder, or `None`.

    A file that its publisher keeps in a folder may lie in one of that name, or without.
    """
    paths = (folder / record.file, folder / pathlib.PurePath(record.file).name)
    return next((path for path in paths if path.is_file()), None)


def list_weights(weights_dir=None):
    """Lists the weights that names are kept for. JSON files that are no records are skipped.

    Args:
        weights_dir: str. Folder with published files. Defaults to `None`.

    Returns:
        list of dicts, one a model and name: the fields of the record, `published` (whether it
        can be downloaded) and `available` (whether it is on this machine).

    Example:

    >>> [row["model"] for row in list_weights() if row["name"] == "k400-slow"]
    ['SlowOnlyR50', 'SmallBigSlowOnlyR50']
    """
    found = {(r.name, r.model): r for r in records.builtin_records()}
    builtin = {key: record for key, record in found.items() if record.file}
    available = set()
    for folder in folders(weights_dir):
        for file in sorted(folder.glob("*.json")):
            try:
                record = records.read_record(file)
            except SmallBigError:
                continue
            found[record.name, record.model] = record
            if record.file and find_here(record, folder):
                available.add((record.name, record.model))
        for key, record in builtin.items():
            # A publisher's file needs no record beside it; ImageNet's is kept converted.
            converted = folder / f"{record.stem}.npz"
            if find_here(record, folder) or (key[0] == IMAGENET and converted.is_file()):
                available.add(key)
    return [
        {
            **vars(record),
            "published": record.url is not None,
            "available": key in available,
        }
        for key, record in sorted(found.items())
    ]


def networks_of(name, weights_dir=None):
    """Returns the networks that have weights of a name, or others that it means, a set."""
    rows = (row for row in list_weights(weights_dir) if row["name"] == name and row["file"])
    return {row["model"] for row in rows} | {
        r.model for r in records.builtin_records() if r.stands_for == name
    }


def names_of(model=None, weights_dir=None):
    """Returns the names that have weights for a network, or for any, a set."""
    rows = (row for row in list_weights(weights_dir) if row["file"])
    named = {row["name"] for row in rows if model in (None, row["model"])}
    meant = {r.stands_for for r in records.builtin_records() if model in (None, r.model)}
    return (named | meant) - {None}


def only_model(name, weights_dir=None):
    """Returns the network that the name of weights means alone.

    That is the one with weights of our own or the user's on this machine; else of a dataset's
    name that of its recipe; else of a publisher's name the first network that its file fits.

    Raises:
        SmallBigError: several networks have weights of that name on this machine, or none has.
    """
    rows = [row for row in list_weights(weights_dir) if row["name"] == name]
    own = sorted(row["model"] for row in rows if row["available"] and not row["publisher"])
    if len(own) == 1:
        return own[0]
    if own:
        raise SmallBigError(
            f"Several networks have weights {name!r}: name one as model (--model), "
            f"{', '.join(own)}. Received: {name!r} alone"
        )
    if name in _NETWORKS:
        return _NETWORKS[name]
    fitting = [r.model for r in records.builtin_records() if r.name == name and r.file]
    if fitting:
        return fitting[0]
    named = [row["model"] for row in rows]
    if len(named) == 1:
        return named[0]
    raise WeightsNotFoundError(
        f"No {name!r} weights are published, of {', '.join(named)} or any other network. "
        f"Received: {name!r}"
    )
