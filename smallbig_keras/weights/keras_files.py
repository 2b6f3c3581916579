"""Weights in Keras' files: `.keras`, `.weights.h5` and `.h5`, read as names and numbers.

Nothing in a file is run: Keras' own readers, which build what a file describes, are not used.
The arrays in the file are compared with the model's variables by name and shape, and only those
that fit are read.
"""

import contextlib
import json
import pathlib
import re

import numpy as np

from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.weights.archives import DAMAGE, open_archive, open_member
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.hdf5 import CHECKSUM, checksum, read_numbers
from smallbig_keras.weights.report import assign, read_fitting

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# The configuration of our largest network has 0.2 MB.
_MOST_CONFIG = 50_000_000
_CLASSIFIER = {"layers/dense/vars/0": "classifier/kernel", "layers/dense/vars/1": "classifier/bias"}
_OPTIMIZER = "optimizer/vars/"


def read_config(path):
    """Reads the configuration in a `.keras` file as data; nothing is built or imported from it.

    Args:
        path: str or pathlib.Path. The file.

    Returns:
        dict, the content of its `config.json`.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if the file is damaged or no `.keras` file.
    """
    _check_file(path)
    try:
        with open_archive(path) as archive:
            size = archive.getinfo(_CONFIG).file_size
            if size > _MOST_CONFIG:
                raise ValueError(f"{_CONFIG} has {size:,} bytes, {_MOST_CONFIG:,} are read")
            config = json.loads(archive.read(_CONFIG))
        if not isinstance(config, dict):
            raise ValueError(f"{_CONFIG} is no JSON object")
    except DAMAGE as error:
        raise _damaged(path, error) from None
    return config


def load_keras(model, path):
    """Loads a file of Keras into a model; as `load_weights`, which documents it."""
    with _open(path) as numbers:
        found, expected = _weights(numbers), _expected(model, numbers)
        arrays, new, skipped = {}, [], {}
        for name, variable in expected.items():
            array = found.pop(name, None)
            shape = tuple(variable.shape)
            if variable.path.startswith("classifier/") and _is_other_classifier(array, shape):
                new.append(variable.path)
                if array is not None:
                    classes = f"{array.shape[-1]} classes, the model has {shape[-1]}"
                    skipped[variable.path] = classes
            else:
                arrays[variable.path] = variable.path, array
        for name in found:
            is_classifier = name.startswith("classifier/")
            skipped[name] = "the model has no classifier" if is_classifier else ""
        return assign(model, arrays, f"{path}{_model_name(path)}", new, skipped)


def _is_other_classifier(array, shape):
    """Tells whether a file lacks this part of a classifier, or has it for other classes."""
    return array is None or (
        len(array.shape) == len(shape)
        and array.shape[:-1] == shape[:-1]
        and array.shape[-1] != shape[-1]
    )


def load_training_state(model, path, prefix=None):
    """Sets the weights and the optimizer's variables of a compiled model, all or none.

    Args:
        model: compiled `keras.Model`, the same as the one that was saved.
        path: str or pathlib.Path. What `model.save_weights` or `model.save` wrote.
        prefix: str. Begin of the names of other arrays to return. Defaults to `None`, no other.

    Returns:
        dict of arrays by name.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if the file is damaged, or not of this model with this optimizer; the
            differences are listed.
        ValueError: if the model is not compiled.
    """
    if getattr(model, "optimizer", None) is None:
        raise SmallBigError(
            "Only a compiled model has a state of training: call `compile` first. "
            f"Received: {model.name}"
        )
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with _open(path) as numbers:
        written = numbers.pop(CHECKSUM, None)
        if written is not None and int(np.asarray(written)) != checksum(numbers):
            raise _damaged(path, "its numbers have changed since they were written")
        found = _weights(numbers)
        found.update((k, v) for k, v in numbers.items() if k.startswith(_OPTIMIZER))
        expected = _expected(model, numbers)
        expected.update(
            (f"{_OPTIMIZER}{i}", variable) for i, variable in enumerate(model.optimizer.variables)
        )
        pairs = read_fitting(
            {n: (variable, variable.path, found.pop(n, None)) for n, variable in expected.items()},
            dict.fromkeys(found, ""),
            f"This state of training is not that of {model.name} with its optimizer "
            f"{model.optimizer.name}. Received: {path}",
        )
        others = {k: np.asarray(v) for k, v in numbers.items() if prefix and k.startswith(prefix)}
        for variable, array in pairs:
            variable.assign(array)
    return others


def count_keras_classes(path):
    """Returns the classes of the classifier in a file of Keras, or `None` if there is none."""
    with _open(path) as numbers:
        found = _weights(numbers)
        shapes = [found[n].shape for n in sorted(_CLASSIFIER.values(), reverse=True) if n in found]
    if not shapes:
        return None
    if len({shape[-1:] for shape in shapes}) > 1 or not shapes[0]:
        raise WeightsError(
            f"A classifier must have as many biases as columns. Received: {path} with {shapes}"
        )
    return shapes[0][-1]


@contextlib.contextmanager
def _open(path):
    """Yields the checked arrays of a file by name; whatever is wrong with it is one error."""
    import h5py

    _check_file(path)
    with contextlib.ExitStack() as stack:
        try:
            file, size = path, pathlib.Path(path).stat().st_size
            if _is_archive(path):
                archive = stack.enter_context(open_archive(path))
                file = stack.enter_context(open_member(path, archive, _WEIGHTS))
                size = archive.getinfo(_WEIGHTS).file_size
            numbers = read_numbers(stack.enter_context(h5py.File(file, "r")), size)
        except DAMAGE as error:
            raise _damaged(path, error) from None
        try:
            yield numbers
        except SmallBigError:
            raise
        except (OSError, RuntimeError) as error:
            # Compressed numbers are found damaged when they are read.
            raise _damaged(path, error) from None


def _check_file(path):
    if not pathlib.Path(path).is_file():
        raise NotFoundError(f"Weights must be a file that is there. Received: {path}")


def _is_archive(path):
    # The content decides: a file may have been renamed.
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


def _damaged(path, error):
    return WeightsError(
        f"Weights must be whole, and numbers alone ({error}). Save or fetch them anew. "
        f"Received: {path}"
    )


def _model_name(path):
    """Returns what an error adds to the path: the name of the model in a `.keras` file."""
    config = read_config(path).get("config") if _is_archive(path) else None
    name = config.get("name") if isinstance(config, dict) else None
    # A name of a stranger's file must not draw on the user's terminal.
    return f", a {name}" if isinstance(name, str) and name.isidentifier() else ""


def _is_layered(numbers):
    """Tells whether arrays are named as Keras 3 does in weights, not as in `.h5` of old."""
    return any(name.startswith("layers/") for name in numbers)


def _weights(numbers):
    """Returns the layers' arrays by name, without what optimizers, metrics and seeds left."""
    if _is_layered(numbers):
        return {
            _CLASSIFIER.get(name, name): array
            for name, array in numbers.items()
            if name.startswith("layers/") and "/seed_generator/" not in name
        }
    # `LAYER/PATH`, where PATH is that of the variable; Keras 2 adds `:0`.
    whole = any(name.startswith("model_weights/") for name in numbers)
    prefix = "model_weights/" if whole else ""
    found = {}
    for name, array in numbers.items():
        if name.startswith(prefix):
            path = name.removeprefix(prefix).partition("/")[2].removesuffix(":0")
            # A second array for a variable is unexpected.
            found[name if path in found else path] = array
    return found


def _expected(model, numbers):
    """Maps the names that a file of this form must have to the variables of the model."""
    if not _is_layered(numbers):
        return {variable.path: variable for variable in model.weights}
    return {_CLASSIFIER.get(name, name): v for name, v in _layered_names(model).items()}


def _layered_names(model):
    """Maps Keras 3's names of weights to variables: `layers/CLASS_NUMBER/SUBLAYER/vars/INDEX`."""
    names, counts = {}, {}
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        number = counts[kind] = counts.get(kind, -1) + 1
        prefix = f"layers/{kind}_{number}" if number else f"layers/{kind}"
        if hasattr(layer, "layers"):
            inner = _layered_names(layer)
            names.update((f"{prefix}/{name}", variable) for name, variable in inner.items())
            continue
        # Sublayers of our layers are named as the attributes that hold them.
        indices = {}
        for variable in layer.weights:
            owner = variable.path.rpartition("/")[0].removeprefix(layer.path).strip("/")
            index = indices[owner] = indices.get(owner, -1) + 1
            names["/".join(filter(None, (prefix, owner, "vars", str(index))))] = variable
    return names


def _snake_case(name):
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
