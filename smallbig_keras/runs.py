"""The folder of a training run: its configuration, checkpoints and log."""

import contextlib
import csv
import json
import math
import pathlib

from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.files import replace_file

CONFIG = "config.json"
LOG = "log.csv"
# The validation videos, where a seed has chosen them.
TRAIN_LIST, VAL_LIST = "train_list.txt", "val_list.txt"
SCORE = "val_top1"
# The network of the best epoch; network and optimiser of the last epoch and of the one before.
BEST = "model.weights.h5"
LAST = "last.weights.h5"
PREVIOUS = "previous.weights.h5"
# A loss that was no finite number, and the videos of its batch.
NOT_FINITE = "not_finite.json"
# Array in `BEST` beside those of Keras: its row of the log, as JSON.
_ROW = "training/row"
# Their names in runs of version 0.1.0.
_OLD = {BEST: "best.keras", LAST: "last.keras", PREVIOUS: "previous.keras"}
# Bytes that HDF5 takes for an array, about.
_OVERHEAD = 2048
CHECKPOINTS = (*_OLD, *_OLD.values())

# Names of options in runs of version 0.1.0.
_RENAMED = {"l2": "weight_decay", "mix": "mixup_mode", "sync_norm": "sync_bn", "run": "output"}
_WITHOUT_EFFECT = {"stride": "segment", "milestones": "cosine", "short_side": "multi_scale"}
_NEEDED = {
    *("model", "variant", "options", "class_names", "frames", "size", "test_short_side"),
    *("sampling", "stride", "dataset", "data_root"),
}
_ADDED = {
    "sample": False,
    "recipe": None,
    "weights": None,
    "weights_dir": None,
    "index": None,
    "shards": None,
}


def read_config(path):
    """Reads the configuration of a run, a dict; a folder that is none is an error."""
    file = pathlib.Path(path) / CONFIG
    if not file.is_file():
        there = "" if pathlib.Path(path).exists() else ", which is not there"
        there = ", a file: name its folder" if pathlib.Path(path).is_file() else there
        there = there or f", which has no {CONFIG}"
        raise NotFoundError(
            f"A run is a folder that smallbig fit wrote, with a file {CONFIG}. "
            f"Received: {path}{there}"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SmallBigError(f"{file} must be a whole JSON file. Received: {error}") from None
    config = updated(config)
    missing = sorted(_NEEDED - set(config))
    if missing:
        raise SmallBigError(
            f"This run is of a version that cannot be read any more: train it again. Received: "
            f"{file} without {', '.join(missing)}"
        )
    written = (file.parent / VAL_LIST).resolve()
    # The folder of a run may have moved, also from another system.
    named = pathlib.PureWindowsPath(config.get("val_list") or "").name == VAL_LIST
    if named and written.is_file():
        config["val_list"] = str(written)
    return config


def updated(config):
    """Returns a configuration in today's names, also one of version 0.1.0."""
    if "data_options" not in config:
        return config
    config = {_RENAMED.get(name, name): value for name, value in config.items()}
    config = {**_ADDED, **config.pop("data_options"), **config}
    config["weights"] = config["weights"] or "none"
    if config["recipe"] == "sample":
        config |= {"sample": True, "recipe": None}
    for name, value in _WITHOUT_EFFECT.items():
        if value in (config.get("sampling"), config.get("schedule"), config.get("augmentation")):
            config[name] = None
    return config


def write_config(path, config):
    """Writes the configuration of a run, creating its folder."""
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    replace_file(path / CONFIG, lambda file: file.write_text(json.dumps(config, indent=2) + "\n"))


def find_checkpoint(path, checkpoint=BEST):
    """Returns the file of a checkpoint of a run; raises `NotFoundError` if it is not there."""
    for name in (checkpoint, _OLD[checkpoint]):
        if (file := pathlib.Path(path) / name).is_file():
            return file
    raise NotFoundError(
        f"A run has its checkpoint {checkpoint} after the first epoch. Received: {path}"
    )


def save_checkpoint(model, file, keep=None, include_optimizer=True, extend=None):
    """Writes a checkpoint, the old one kept as `keep`; a reader sees the old or the new one.

    `extend(file)` adds to the open `h5py.File` what Keras reads past.
    """
    variables = list(model.variables)
    if include_optimizer:
        variables += model.optimizer.variables
    else:
        import keras

        model = keras.Model(model.input, model.output, name=model.name)
    size = sum(math.prod(variable.shape) * _bytes(variable) for variable in variables)

    def write(path):
        import h5py

        model.save_weights(path)
        if extend is not None:
            with h5py.File(path, "r+") as written:
                extend(written)

    replace_file(file, write, keep, size + _OVERHEAD * len(variables))


def save_best(model, path, row):
    """Writes the network of the best epoch so far, with its row of the log."""
    import numpy as np

    def extend(file):
        file[_ROW] = np.frombuffer(json.dumps(row).encode(), np.uint8)

    save_checkpoint(model, pathlib.Path(path) / BEST, include_optimizer=False, extend=extend)


def read_best(path):
    """Returns the row of the log of the weights in `BEST`, a dict, or `None` without any."""
    import h5py

    file = pathlib.Path(path) / BEST
    if file.is_file():
        # A damaged file says nothing, and is written anew after the next epoch that is better.
        damage = (OSError, RuntimeError, KeyError, ValueError)
        with contextlib.suppress(*damage), h5py.File(file, "r") as read:
            if _ROW in read:
                return json.loads(read[_ROW][()].tobytes())
    return best_row(read_log(path))


def _bytes(variable):
    return 8 if variable.dtype.endswith("64") else 4


def last_checkpoints(path):
    """Returns the files from which a run can continue, the newest first."""
    files = []
    for name in (LAST, PREVIOUS):
        with contextlib.suppress(NotFoundError):
            files.append(find_checkpoint(path, name))
    return files


def read_log(path):
    """Reads the log of a run: a list of dicts, one an epoch."""
    file = pathlib.Path(path) / LOG
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]


def best_row(rows):
    """Returns the row of the best epoch: the highest accuracy, of equal ones the lowest loss."""
    return max(rows, key=lambda row: (row[SCORE], -row.get("val_loss", 0)), default=None)


def write_log(path, rows):
    """Writes the log of a run."""

    def write(temporary):
        with temporary.open("w", newline="") as lines:
            # Rows of an older version may have fewer columns.
            names = dict.fromkeys(name for row in rows for name in row)
            writer = csv.DictWriter(lines, names, restval=math.nan)
            writer.writeheader()
            writer.writerows(rows)

    replace_file(pathlib.Path(path) / LOG, write)
