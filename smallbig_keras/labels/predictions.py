"""From scores to class names."""

import importlib.resources
import os
import pathlib

import numpy as np

from smallbig_keras.errors import NotFoundError, SmallBigError

DATASETS = ("hmdb51", "k400", "sthv1", "sthv2", "ucf101")


def class_names(dataset):
    """Returns the class names of a dataset in label order.

    Args:
        dataset: str. `"k400"`, `"sthv1"`, `"sthv2"`, `"ucf101"` or `"hmdb51"`.

    Returns:
        list of str.

    Raises:
        ValueError: if the dataset is unknown.

    Example:

    >>> len(class_names("sthv2"))
    174
    """
    if dataset not in DATASETS:
        raise SmallBigError(f"`dataset` must be one of {DATASETS}. Received: {dataset=}")
    file = importlib.resources.files("smallbig_keras.labels") / f"{dataset}.txt"
    return file.read_text(encoding="utf-8").splitlines()


def read_class_names(names):
    """Returns class names: those of a dataset, the lines of a file, or a sequence as it is."""
    if not isinstance(names, str | os.PathLike):
        return names
    if names in DATASETS:
        return class_names(names)
    file = pathlib.Path(names)
    if not file.is_file():
        raise NotFoundError(
            f"Class names are those of a dataset, {', '.join(DATASETS)}, or the lines of a file "
            f"that is there. Received: {names}"
        )
    return file.read_text(encoding="utf-8").splitlines()


def decode_predictions(scores, top=5, dataset="k400", labels=None):
    """Turns scores into the names of the best classes.

    Args:
        scores: array or tensor `(batch, classes)`. Probabilities or logits, also those that a
            model returns on any backend of Keras.
        top: int. Classes to return for each clip, at least 1; all if there are fewer. Defaults
            to `5`.
        dataset: str. Dataset whose class names are used. Defaults to `"k400"`.
        labels: sequence of str. Class names to use in place of a dataset's. Defaults to
            `None`.

    Returns:
        A list for each clip of `(name, score)`, best first.

    Raises:
        ValueError: if the scores are not `(batch, classes)` of that many classes, or `top` is
            no int of at least 1.

    Example:

    >>> decode_predictions(np.array([[0.1, 0.9]]), top=1, labels=["left", "right"])
    [[('right', 0.9)]]
    """
    if isinstance(labels, str):
        raise SmallBigError(
            "`labels` must be a sequence of class names; a dataset's name goes into `dataset`. "
            f"Received: {labels=}"
        )
    if not isinstance(top, int | np.integer) or isinstance(top, bool) or top < 1:
        raise SmallBigError(f"`top` must be an int of at least 1. Received: {top=}")
    names = class_names(dataset) if labels is None else list(labels)
    scores = _to_array(scores)
    if scores.ndim != 2 or scores.shape[1] != len(names):
        source = f"{dataset=}" if labels is None else "`labels`"
        classes = f"the {scores.shape[1]} classes" if scores.ndim == 2 else "your classes"
        raise SmallBigError(
            f"`scores` must be `(batch, {len(names)})`, one column for each class of {source}. "
            f"Received: shape={scores.shape}\n"
            f"Name {classes} with labels=[...], or choose dataset= from {', '.join(DATASETS)}."
        )
    # As floats: the negative of an unsigned integer is no order.
    best = np.argsort(-scores.astype("float64"), axis=1, kind="stable")[:, :top]
    return [
        [(names[index], float(row[index])) for index in indices]
        for row, indices in zip(scores, best, strict=True)
    ]


def _to_array(scores):
    if not isinstance(scores, np.ndarray | list | tuple):
        # A tensor of PyTorch that needs gradients is no array by itself.
        import keras

        scores = keras.ops.convert_to_numpy(scores)
    return np.asarray(scores)
