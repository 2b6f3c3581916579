"""From scores to class names."""

import importlib.resources

import numpy as np

from smallbig_keras.errors import SmallBigError

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


def decode_predictions(scores, top=5, dataset="k400", labels=None):
    """Turns scores into the names of the best classes.

    Args:
        scores: array `(batch, classes)`. Probabilities or logits.
        top: int. Classes to return for each clip; all if there are fewer. Defaults to `5`.
        dataset: str. Dataset whose class names are used. Defaults to `"k400"`.
        labels: sequence of str. Class names to use in place of a dataset's. Defaults to
            `None`.

    Returns:
        A list for each clip of `(name, score)`, best first.

    Raises:
        ValueError: if the scores are not `(batch, classes)` of that many classes.

    Example:

    >>> decode_predictions(np.array([[0.1, 0.9]]), top=1, labels=["left", "right"])
    [[('right', 0.9)]]
    """
    if isinstance(labels, str):
        raise SmallBigError(
            "`labels` must be a sequence of class names; a dataset's name goes into `dataset`. "
            f"Received: {labels=}"
        )
    names = class_names(dataset) if labels is None else list(labels)
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise SmallBigError(
            f"`scores` must be `(batch, {len(names)})`, one column a class. "
            f"Received: shape={scores.shape}"
        )
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(names[index], float(row[index])) for index in indices]
        for row, indices in zip(scores, best, strict=True)
    ]
