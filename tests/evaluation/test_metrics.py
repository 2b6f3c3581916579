"""Metrics against numbers worked out by hand and against Keras."""

import keras
import numpy as np
import pytest

from smallbig_keras.evaluation import (
    class_accuracy,
    confusion_matrix,
    label_ranks,
    mean_class_accuracy,
    top_k_accuracy,
)

# Predicted: 0, 2, 1, 1, 2. Class 3 has no video and is never predicted.
SCORES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.3, 0.1, 0.5, 0.1],
        [0.0, 0.6, 0.3, 0.1],
        [0.1, 0.4, 0.2, 0.3],
        [0.2, 0.1, 0.4, 0.3],
    ],
    np.float32,
)
LABELS = np.array([0, 0, 1, 2, 2])


def test_by_hand():
    assert label_ranks(SCORES, LABELS).tolist() == [0, 1, 0, 2, 0]
    assert top_k_accuracy(SCORES, LABELS) == pytest.approx(3 / 5)
    assert top_k_accuracy(SCORES, LABELS, 2) == pytest.approx(4 / 5)
    assert top_k_accuracy(SCORES, LABELS, 5) == 1
    np.testing.assert_array_equal(class_accuracy(SCORES, LABELS), [0.5, 1, 0.5, np.nan])
    np.testing.assert_array_equal(class_accuracy(SCORES, LABELS, 2), [1, 1, 0.5, np.nan])
    assert mean_class_accuracy(SCORES, LABELS) == pytest.approx(2 / 3)
    assert confusion_matrix(SCORES, LABELS).tolist() == [
        [1, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]


def test_of_equal_scores_the_lower_class_comes_first():
    scores = [[0.25, 0.25, 0.25, 0.25]] * 4
    assert label_ranks(scores, [0, 1, 2, 3]).tolist() == [0, 1, 2, 3]
    assert confusion_matrix(scores, [0, 1, 2, 3])[:, 0].tolist() == [1, 1, 1, 1]
    assert top_k_accuracy(scores, [0, 1, 2, 3], 2) == 0.5


def test_agrees_with_keras(rng):
    scores = rng.dirichlet(np.ones(20), 200).astype("float32")
    labels = rng.integers(20, size=200)
    for k in (1, 5):
        metric = keras.metrics.SparseTopKCategoricalAccuracy(k)
        metric.update_state(labels, scores)
        assert top_k_accuracy(scores, labels, k) == pytest.approx(float(metric.result()))


@pytest.mark.parametrize(
    "scores, labels, rule",
    [
        (SCORES, LABELS[:3], "must be .videos, classes.*Received: .*(5, 4).*(3,)"),
        (SCORES[0], LABELS, "must be .videos, classes"),
        (SCORES[:0], LABELS[:0], "at least one video"),
        (SCORES, [0, 0, 1, 2, 4], "from 0 to 3. Received: 0 to 4"),
        (SCORES, [0, 0, 1, 2, -1], "from 0 to 3. Received: -1 to 2"),
        (np.where(SCORES == 0, np.nan, SCORES), LABELS, "finite"),
    ],
)
def test_errors(scores, labels, rule):
    with pytest.raises(ValueError, match=rule):
        label_ranks(scores, labels)
