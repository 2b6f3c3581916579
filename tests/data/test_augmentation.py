from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras.data import augmentation

SEEDS = [(0, i) for i in range(300)]


def clip(height=30, width=41, frames=2):
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def bilinear(values, length, axis):
    """Half-pixel centres, edges repeated."""
    source = values.shape[axis]
    place = np.clip((np.arange(length) + 0.5) * source / length - 0.5, 0, source - 1)
    low = np.floor(place).astype(int)
    weight = (place - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    high = np.minimum(low + 1, source - 1)
    return values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight


@pytest.mark.parametrize(
    "height, width, size, shape",
    [(30, 41, 17, (17, 23)), (41, 30, 17, (23, 17)), (30, 41, 64, (64, 87)), (30, 30, 8, (8, 8))],
)
def test_short_side_resize(height, width, size, shape):
    source = clip(height, width)
    resized = augmentation.short_side_resize(source, size).numpy()
    assert resized.shape == (2, *shape, 3) and resized.dtype == np.float32
    expected = bilinear(bilinear(source.astype(float), shape[0], 1), shape[1], 2)
    np.testing.assert_allclose(resized, expected, atol=2e-3)


def test_antialias_averages():
    stripes = np.zeros((1, 32, 32, 3), np.uint8)
    stripes[:, :, ::4] = 200
    smooth = augmentation.short_side_resize(stripes, 8, antialias=True).numpy()
    assert np.abs(smooth[:, :, 1:-1] - 50).max() < 1
    assert np.abs(augmentation.short_side_resize(stripes, 8).numpy() - 50).max() > 40


def test_random_short_side_draws_every_size():
    draw = tf.function(lambda seed: tf.shape(augmentation.random_short_side(clip(), seed, 5, 8))[1])
    sizes = [int(draw(tf.constant(seed))) for seed in SEEDS]
    assert set(sizes) == {5, 6, 7, 8}
    assert sizes == [int(draw(tf.constant(seed))) for seed in SEEDS]


def test_random_crop_draws_every_place():
    source = clip(6, 8)
    draw = tf.function(lambda seed: augmentation.random_crop(source, 4, seed))
    places = set()
    for seed in SEEDS:
        view = draw(tf.constant(seed)).numpy()
        found = [
            (y, x)
            for y in range(3)
            for x in range(5)
            if np.array_equal(view, source[:, y : y + 4, x : x + 4])
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 15


def test_centre_crop():
    source = clip(7, 10)
    np.testing.assert_array_equal(augmentation.centre_crop(source, 4), source[:, 1:5, 3:7])
    np.testing.assert_array_equal(augmentation.centre_crop(source, 7), source[:, :, 1:8])


@pytest.mark.parametrize("crop", [augmentation.centre_crop, augmentation.random_crop])
def test_crop_must_fit(crop):
    seed = () if crop is augmentation.centre_crop else ((0, 0),)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received: size=8"):
        crop(clip(7, 10), 8, *seed)


def test_horizontal_flip():
    source = clip()
    draw = tf.function(lambda y, s: augmentation.horizontal_flip(source, y, s, [0, 2, 1]))
    flips = 0
    for seed in SEEDS:
        views = [draw(tf.constant(label), tf.constant(seed)) for label in (0, 1, 2, -1)]
        labels = [int(label) for _, label in views]
        mirrored = np.array_equal(views[0][0], source[:, :, ::-1])
        assert labels == ([0, 2, 1, -1] if mirrored else [0, 1, 2, -1])
        assert mirrored or np.array_equal(views[0][0], source)
        flips += mirrored
    # Five standard deviations.
    assert abs(flips - 150) < 44
    _, label = augmentation.horizontal_flip(source, tf.constant(1), (0, 0))
    assert int(label) == 1


def test_left_right_pairs_of_something_something():
    path = Path(smallbig_keras.__file__).parent / "labels" / "sthv2.txt"
    names = path.read_text("utf-8").splitlines()
    assert len(names) == 174
    mirrored = augmentation.left_right_label_map(names)
    pairs = {(i, other) for i, other in enumerate(mirrored) if i < other}
    assert pairs == {(86, 87), (93, 94), (166, 167)}
    assert [mirrored[other] for other in mirrored] == list(range(174))


def test_left_right_needs_both_classes():
    assert augmentation.left_right_label_map(["turn left", "leftover", "rightover"]) == [0, 1, 2]
