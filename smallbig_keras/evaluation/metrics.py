"""Accuracies and the confusion of classes, in NumPy.

Of classes with equal scores the one with the lower id comes first, so that every number is the
same wherever it is computed.
"""

import numpy as np

from smallbig_keras.errors import SmallBigError


def label_ranks(scores, labels):
    """Finds the place of the true class among the classes by score.

    Args:
        scores: float array of shape `(videos, classes)`.
        labels: int array of shape `(videos,)`, from 0.

    Returns:
        int64 array of shape `(videos,)`: the number of classes before the true one, 0 where it is
        the prediction.

    Raises:
        SmallBigError: shapes do not fit, a label is no class, or a score is not finite.

    Example:

    >>> label_ranks([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], [2, 1])
    array([1, 1])
    """
    scores, labels = _check(scores, labels)
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    before = (scores == true) & (np.arange(scores.shape[1]) < labels[:, None])
    return np.sum((scores > true) | before, axis=1, dtype=np.int64)


def top_k_accuracy(scores, labels, k=1):
    """Computes the share of videos whose true class is among the `k` best.

    Args:
        scores: float array of shape `(videos, classes)`.
        labels: int array of shape `(videos,)`.
        k: int. Defaults to `1`.

    Returns:
        float.
    """
    return float(np.mean(label_ranks(scores, labels) < k))


def class_accuracy(scores, labels, k=1):
    """Computes the top-k accuracy of each class.

    Args:
        scores: float array of shape `(videos, classes)`.
        labels: int array of shape `(videos,)`.
        k: int. Defaults to `1`.

    Returns:
        float64 array of shape `(classes,)`, NaN where a class has no video.
    """
    hits = label_ranks(scores, labels) < k
    classes = np.shape(scores)[1]
    videos = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, hits, minlength=classes)
    return np.divide(right, videos, out=np.full(classes, np.nan), where=videos > 0)


def mean_class_accuracy(scores, labels):
    """Computes the mean of the top-1 accuracies of the classes that have videos.

    Args:
        scores: float array of shape `(videos, classes)`.
        labels: int array of shape `(videos,)`.

    Returns:
        float.
    """
    return float(np.nanmean(class_accuracy(scores, labels)))


def confusion_matrix(scores, labels):
    """Counts videos by true and by predicted class.

    Args:
        scores: float array of shape `(videos, classes)`.
        labels: int array of shape `(videos,)`.

    Returns:
        int64 array of shape `(classes, classes)`, `[true, predicted]`.
    """
    scores, labels = _check(scores, labels)
    matrix = np.zeros((scores.shape[1],) * 2, np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    return matrix


def _check(scores, labels):
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not scores.size:
        raise SmallBigError(
            "Scores must be (videos, classes) and labels (videos,), of at least one video. "
            f"Received: scores of shape {scores.shape}, labels of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise SmallBigError(
            f"Labels must be from 0 to {scores.shape[1] - 1}. "
            f"Received: {labels.min()} to {labels.max()}"
        )
    # Comparisons with NaN are false: a model that gives nothing else would be always right.
    if not np.isfinite(scores).all():
        raise SmallBigError("Scores must be finite. Received: NaN or infinity")
    return scores, labels
