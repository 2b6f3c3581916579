"""Weights of every kind of file into a model."""

import pathlib

from smallbig_keras import runs
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.weights.keras_files import KERAS_SUFFIXES, count_keras_classes, load_keras
from smallbig_keras.weights.layouts import find_layout
from smallbig_keras.weights.layouts.resnet import AUTHORS
from smallbig_keras.weights.ports import port_resnet, port_state_dict
from smallbig_keras.weights.state_dicts import SUFFIXES, read_converted, read_state_dict


def load_weights(model, path):
    """Loads weights into a model, all or none. Nothing in a file is run.

    A classifier for another number of classes is left out; anything else that is missing,
    unexpected or of another shape is an error.

    Args:
        model: functional `keras.Model` of this package.
        path: str or pathlib.Path. A file of Keras (`.keras`, `.weights.h5` or `.h5`, of a model
            that was trained or not), the folder of a run, a checkpoint of one of the codes that
            `port_state_dict` knows (`.pth`, `.pt`, `.pyth`, `.ckpt`, `.pth.tar`,
            `.safetensors`), or what was converted from torchvision's (`.npz`).

    Returns:
        LoadReport.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if the weights are not those of the model; the differences are listed.
        CheckpointError: if a checkpoint is damaged or not safe to read.
        ValueError: if the file is of another kind.
    """
    path = _find_file(path)
    if path.suffix in SUFFIXES:
        return port_state_dict(model, read_state_dict(path), str(path))
    if path.suffix == ".npz":
        return port_resnet(model, read_converted(path), str(path))
    return load_keras(model, path)


def count_classes(path):
    """Counts the classes of the classifier in a file of weights.

    Args:
        path: str or pathlib.Path. Any file that `load_weights` takes.

    Returns:
        int, or `None` if the file has no classifier.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if the file is damaged.
        CheckpointError: if a checkpoint is damaged or not safe to read.
        ValueError: if the file is of another kind.
    """
    path = _find_file(path)
    if path.suffix in SUFFIXES:
        state = read_state_dict(path)
        layout = find_layout(state) or AUTHORS
        kernel, classes_axis = state.get(f"{layout.classifier}.weight"), 0
    elif path.suffix == ".npz":
        kernel, classes_axis = read_converted(path).get("fc.weight"), -1
    else:
        return count_keras_classes(path)
    # A classifier may be a convolution of single pixels.
    return kernel.shape[classes_axis] if kernel is not None and kernel.ndim >= 2 else None


def _find_file(path):
    """Returns the file of weights that a path names, after a look at its suffix."""
    path = pathlib.Path(path)
    if path.is_dir():
        path = pathlib.Path(runs.find_checkpoint(path))
    if not path.is_file():
        raise NotFoundError(f"Weights must be a file that is there. Received: {path}")
    suffixes = (*KERAS_SUFFIXES, *SUFFIXES, ".npz")
    if path.suffix not in suffixes:
        raise SmallBigError(f"Weights are a run or {', '.join(suffixes)}. Received: {path}")
    return path
