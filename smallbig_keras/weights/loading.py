"""Weights of every kind of file into a model."""

import pathlib
import warnings

import keras

from smallbig_keras import runs
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.weights.checkpoints import SUFFIXES, read_state_dict
from smallbig_keras.weights.ports import port_resnet, port_state_dict
from smallbig_keras.weights.report import assign
from smallbig_keras.weights.resolution import read_converted
from smallbig_keras.weights.sources import WeightsError


def load_weights(model, path):
    """Loads weights into a model, all or none.

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
        WeightsError: if the weights are not those of the model; all differences are listed.
        CheckpointError: if a checkpoint is damaged or not safe to read.
        ValueError: if the file is of another kind.
    """
    path = pathlib.Path(path)
    if path.suffix in SUFFIXES:
        return port_state_dict(model, read_state_dict(path), str(path))
    if path.suffix == ".npz":
        return port_resnet(model, read_converted(path), str(path))
    if path.is_dir():
        return _copy(model, runs.open_checkpoint(runs.find_checkpoint(path)), str(path))
    if not path.is_file():
        raise NotFoundError(f"Weights must be a file that is there. Received: {path}")
    if path.suffix == ".keras":
        return _copy(model, runs.open_checkpoint(path), str(path))
    if path.name.endswith(".weights.h5"):
        return _load_h5(model, path)
    raise SmallBigError(
        f"Weights are .keras, .weights.h5, a run, or {', '.join(SUFFIXES)}. Received: {path}"
    )


def _copy(model, source, name):
    """Copies the variables of another Keras model by their paths."""
    arrays, new, skipped = {}, [], {}
    found = {variable.path: variable for variable in source.weights}
    for variable in model.weights:
        other = found.pop(variable.path, None)
        if _is_classifier(variable) and (other is None or other.shape != variable.shape):
            new.append(variable.path)
            if other is not None:
                skipped[variable.path] = _other_classes(other.shape[-1], variable.shape[-1])
        else:
            value = None if other is None else keras.ops.convert_to_numpy(other)
            arrays[variable.path] = variable.path, value
    for path in found:
        skipped[path] = "the model has no classifier" if path.startswith("classifier/") else ""
    return assign(model, arrays, name, new, skipped)


def _load_h5(model, path):
    count, classes = _size_of_h5(path)
    source = _with_classes(model, classes)
    has_head = any(layer.name == "classifier" for layer in source.layers)
    try:
        # Keras does not look at what is in the file beside what it takes.
        ignored = 0 if has_head or classes is None else 2
        if count - ignored != len(source.weights):
            raise ValueError(f"{count} variables in the file, {len(source.weights)} in the model")
        with warnings.catch_warnings():
            # Keras warns where it leaves variables as they were.
            warnings.simplefilter("error")
            source.load_weights(path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        raise WeightsError(
            f"Weights must be those of {model.name} with the same variant and options "
            f"({error}). Received: {path}"
        ) from None
    return _copy(model, source, str(path))


def _is_classifier(variable):
    return variable.path.startswith("classifier/")


def _other_classes(found, wanted):
    return f"{found} classes, the model has {wanted}"


def _size_of_h5(path):
    """Number of variables in a file of Keras, and classes of its dense layer or None."""
    import h5py

    shapes = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    try:
        with h5py.File(path) as file:
            file.visititems(note)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"Weights must be a whole HDF5 file ({error}). Received: {path}"
        ) from None
    return len(shapes), shapes.get("layers/dense/vars/1", (None,))[0]


def _with_classes(model, classes):
    """A twin of the network, with that many classes if it has a classifier."""
    config = model.get_config()
    for layer in config["layers"]:
        if layer["config"]["name"] == "classifier" and classes is not None:
            layer["config"]["units"] = classes
    return type(model).from_config(config)
