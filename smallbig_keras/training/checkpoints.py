"""Checkpoints of a training: weights, optimiser, place in the epoch, and whose they are."""

import json
import math
from typing import NamedTuple

import keras
import numpy as np

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError
from smallbig_keras.options import command_line
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.hdf5 import CHECKSUM, checksum, read_numbers
from smallbig_keras.weights.keras_files import load_training_state

# Group of a file beside those of Keras, which reads past it.
_GROUP = "training"
_PLACE, _TALLIES, _SEEDS, _FACTS = "place", "tallies", "seeds", "facts"
# Facts of a run that its checkpoints repeat.
_COMPARED = {"class_names": "classes", "videos": "videos", "dtype": "--dtype"}


class Place(NamedTuple):
    """Where a training is: whole epochs, and steps of the next one."""

    epoch: int = 0
    step: int = 0


def save(model, run, place, config, tallies=None):
    """Writes the newest checkpoint of a run; the one before it is kept.

    Args:
        model: `ClipTrainer`, compiled and built.
        run: path. The folder of the run.
        place: Place. The steps that are done.
        config: dict. Options and facts of the run.
        tallies: list of arrays. Values of `model.tallies` at that place. Defaults to `None`, as
            they are now.
    """
    facts = json.dumps({name: config.get(name) for name in _COMPARED})
    added = {
        _PLACE: np.array(place, np.int64),
        _TALLIES: np.array(values(model.tallies) if tallies is None else tallies, np.float64),
        _SEEDS: np.array(values(model.seeds), np.int64),
        # Text would be no number, and files of numbers alone are read.
        _FACTS: np.frombuffer(facts.encode(), np.uint8),
    }

    def extend(file):
        for name, array in added.items():
            file[f"{_GROUP}/{name}"] = array
        file[CHECKSUM] = checksum(read_numbers(file, math.inf))

    runs.save_checkpoint(model, run / runs.LAST, keep=run / runs.PREVIOUS, extend=extend)


def values(variables):
    """Returns the values of variables, a list of arrays."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def restore(model, run, config, steps):
    """Sets a model to the newest whole checkpoint of a run.

    Args:
        model: `ClipTrainer`, compiled.
        run: path. The folder of the run.
        config: dict. Options and facts of the run.
        steps: int. Steps of an epoch.

    Returns:
        `(Place, tallies)`; tallies for `model.tallies`, or `None` at the begin of an epoch.

    Raises:
        WeightsError: if no checkpoint is whole.
        SmallBigError: if it is that of other classes or videos, or of another precision.
    """
    files = runs.last_checkpoints(run)
    for file in files:
        try:
            added = load_training_state(model, file, f"{_GROUP}/")
            break
        except WeightsError as error:
            if file == files[-1]:
                raise WeightsError(f"A run continues from a whole checkpoint. {error}") from None
            print(f"{file} is not whole, the checkpoint before it is taken")
    if f"{_GROUP}/{_PLACE}" not in added:
        # Of an older version, which wrote one after every epoch.
        return Place(int(model.optimizer.iterations.numpy()) // steps), None
    arrays = {name: added[f"{_GROUP}/{name}"] for name in (_PLACE, _TALLIES, _SEEDS, _FACTS)}
    _compare(json.loads(arrays[_FACTS].tobytes()), config, file)
    place = Place(*map(int, arrays[_PLACE]))
    for variable, value in zip(model.seeds, arrays[_SEEDS], strict=True):
        variable.assign(value)
    return place, list(arrays[_TALLIES]) if place.step else None


def _compare(facts, config, file):
    """Checks that a checkpoint is of the training that its run describes."""
    for name, word in _COMPARED.items():
        if facts[name] != config.get(name):
            command = command_line("smallbig fit", {"weights": str(file.parent)})
            raise SmallBigError(
                f"A checkpoint continues the training that wrote it, with its {word}: bring "
                f"{runs.CONFIG} back as it was, or begin a run with {command} ... "
                f"Received: {file} of {name}={_short(facts[name])} in a run of "
                f"{_short(config.get(name))}"
            )


def _short(value):
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
