"""Weights of every kind of file into a model."""

import contextlib
import json
import pathlib
import warnings
import zipfile
import zlib

import keras

from smallbig_keras import runs
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.ports import port_resnet, port_state_dict
from smallbig_keras.weights.report import assign
from smallbig_keras.weights.state_dicts import SUFFIXES, read_converted, read_state_dict


def load_weights(model, path):
    """Loads weights into a model, all or none. Nothing in a file is run.

    A classifier for another number of classes is left out; anything else that is missing,
    unexpected or of another shape is an error.

    Args:
        model: functional `keras.Model` of this package.
        path: str or pathlib.Path. A `.keras` or `.weights.h5` file, the folder of a run, a
            checkpoint of the authors' code or of torchvision's ResNet (`.pth`, `.pt`, `.pyth`
            or `.safetensors`), or what was converted from one (`.npz`).

    Returns:
        LoadReport.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if the weights are not those of the model; the differences are listed.
        CheckpointError: if a checkpoint is damaged or not safe to read.
        ValueError: if the file is of another kind.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return load_weights(model, runs.find_checkpoint(path))
    if not path.is_file():
        raise NotFoundError(f"Weights must be a file that is there. Received: {path}")
    if path.suffix in SUFFIXES:
        return port_state_dict(model, read_state_dict(path), str(path))
    if path.suffix == ".npz":
        return port_resnet(model, read_converted(path), str(path))
    if path.name.endswith((".keras", ".weights.h5")):
        return _copy(model, _read_keras(model, path), str(path))
    raise SmallBigError(
        f"Weights are .keras, .weights.h5, a run, or {', '.join(SUFFIXES)}. Received: {path}"
    )


def _read_keras(model, path):
    """Reads a file of Keras into a twin of the network; from a `.keras` file, numbers only."""
    shapes, name = _variables(path)
    classes = shapes.get("layers/dense/vars/1", (None,))[0]
    twin = _twin(model, classes)
    try:
        # Keras does not look at what is in the file beside what it takes.
        ignored = 2 if classes is not None and not _has_classifier(twin) else 0
        if len(shapes) - ignored != len(twin.weights):
            raise ValueError(
                f"{len(shapes)} variables in the file, {len(twin.weights)} in the model"
            )
        with warnings.catch_warnings():
            # Keras warns where it leaves variables as they were.
            warnings.simplefilter("error", UserWarning)
            twin.load_weights(path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        raise WeightsError(
            f"These weights are not those of {model.name} with its variant and options "
            f"({error}). Received: {path}{name and f', a {name}'}"
        ) from None
    return twin


def _variables(path):
    """Returns the shapes of the layers' variables by name, and the model's name if it is there."""
    import h5py

    shapes, name = {}, ""

    def note(key, item):
        # Beside the layers' weights there are the optimizer's and states of random generators.
        is_weight = key.startswith("layers/") and "/seed_generator/" not in key
        if is_weight and isinstance(item, h5py.Dataset):
            shapes[key] = item.shape

    try:
        with contextlib.ExitStack() as stack:
            file = path
            if path.suffix == ".keras":
                archive = stack.enter_context(zipfile.ZipFile(path))
                # Readers that seek, as HDF5's does, are not told of damaged bytes.
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
                name = json.loads(archive.read("config.json"))["config"].get("name", "")
                file = stack.enter_context(archive.open("model.weights.h5"))
            stack.enter_context(h5py.File(file)).visititems(note)
    except (
        *(OSError, RuntimeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error),
        *(ValueError, KeyError, TypeError, AttributeError),
    ) as error:
        raise WeightsError(f"Weights must be whole ({error}). Received: {path}") from None
    return shapes, name


def _twin(model, classes):
    """Builds the same network for that many classes, or without a classifier."""
    config = model.get_config()
    for layer in config["layers"]:
        if layer["config"]["name"] == "classifier" and classes is not None:
            layer["config"]["units"] = classes
    twin = type(model).from_config(config)
    if classes is None and _has_classifier(twin):
        return keras.Model(twin.input, twin.get_layer("classifier").input)
    return twin


def _has_classifier(model):
    return any(layer.name == "classifier" for layer in model.layers)


def _copy(model, source, name):
    """Copies the variables of another Keras model by their paths."""
    arrays, new, skipped = {}, [], {}
    found = {variable.path: variable for variable in source.weights}
    for variable in model.weights:
        other = found.pop(variable.path, None)
        is_classifier = variable.path.startswith("classifier/")
        if is_classifier and (other is None or other.shape != variable.shape):
            new.append(variable.path)
            if other is not None:
                classes = f"{other.shape[-1]} classes, the model has {variable.shape[-1]}"
                skipped[variable.path] = classes
        else:
            value = None if other is None else keras.ops.convert_to_numpy(other)
            arrays[variable.path] = variable.path, value
    for path in found:
        skipped[path] = "the model has no classifier" if path.startswith("classifier/") else ""
    return assign(model, arrays, name, new, skipped)
