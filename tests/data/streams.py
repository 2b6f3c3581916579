"""The batches of `clip_dataset`, as arrays."""

import numpy as np

from smallbig_keras.data import clip_dataset


def stream(videos, **options):
    options = {"frames": 4, "size": 24, "batch_size": 3, "training": True, **options}
    dataset = clip_dataset(videos, **options)
    return [(clips.numpy(), labels.numpy()) for clips, labels in dataset]


def assert_same(one, other):
    assert len(one) == len(other) > 0
    for (clips, labels), (other_clips, other_labels) in zip(one, other, strict=True):
        np.testing.assert_array_equal(labels, other_labels)
        np.testing.assert_array_equal(clips, other_clips)
