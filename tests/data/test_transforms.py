import numpy as np
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras.data import ClipConfig, transforms

SEEDS = [(0, i) for i in range(300)]


def clip(height=30, width=41, frames=2):
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def bilinear(values, length, axis):
    """A triangle over the neighbours, or over the pixels that one covers; its part in the frame."""
    scale = values.shape[axis] / length
    centres = (np.arange(length)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(values.shape[axis]) + 0.5 - centres)
    weights = np.maximum(0, 1 - distance / max(1, scale))
    weights /= weights.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)


@pytest.mark.parametrize(
    "height, width, size, shape",
    [(30, 41, 17, (17, 23)), (41, 30, 17, (23, 17)), (30, 41, 64, (64, 87)), (30, 30, 8, (8, 8))],
)
def test_short_side_resize(height, width, size, shape):
    source = clip(height, width)
    resized = transforms.short_side_resize(source, size).numpy()
    assert resized.shape == (2, *shape, 3) and resized.dtype == np.float32
    expected = bilinear(bilinear(source.astype(float), shape[0], 1), shape[1], 2)
    np.testing.assert_allclose(resized, expected, atol=2e-3)


def test_random_crop_draws_every_place():
    source = clip(6, 8)
    draw = tf.function(lambda seed: transforms.random_crop(source, 4, seed, 6, 6))
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


@pytest.mark.parametrize("height, width", [(100, 133), (133, 100)])
def test_random_crop_draws_every_short_side(height, width):
    """Two ramps: their slopes and where they stand tell the square of the source."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    source = np.stack([np.stack([y, x, x], axis=-1)] * 2)
    draw = tf.function(lambda seed: transforms.random_crop(source, 40, seed, 50, 64))
    sides = set()
    for seed in SEEDS:
        view = draw(tf.constant(seed)).numpy()
        assert view.shape == (2, 40, 40, 3) and np.array_equal(view[0], view[1])
        middle = view[0, 5:-5, 5:-5].astype(np.float64)
        for ramp, extent in ((middle[:, 0, 0], height), (middle[0, :, 1], width)):
            step, first = np.polyfit(np.arange(len(ramp)), ramp, 1)
            start = first + 0.5 - 5.5 * step
            # Means of pixels: a ramp is straight within a part of one.
            assert -0.2 < start and start + 40 * step < extent + 0.2
            assert abs(step * 40 - round(step * 40)) < 0.2
            sides.add(round(step * 40))
    assert sides == {np.floor(40 * 100 / short + 0.5) for short in range(50, 65)}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mean": (0.45, 0.4, 0.5), "std": (0.225, 0.2, 0.25)},
        {"mean": (0.45, 0.4, 0.5), "channel_order": "bgr"},
    ],
)
def test_normalize_is_preprocess_input(values):
    views, clips = np.float32(clip()), ClipConfig(**values)
    normalized = transforms.normalize(tf.constant(views), clips)
    np.testing.assert_array_equal(normalized, smallbig_keras.preprocess_input(views, **values))
    dynamic = tf.function(
        lambda frames: transforms.normalize(frames, clips),
        input_signature=[tf.TensorSpec((None, None, 41, 3))],
    )
    # A graph multiplies by the inverse instead of dividing.
    np.testing.assert_allclose(dynamic(views), normalized, rtol=3e-7)


def test_blue_comes_first_where_the_network_takes_it_so():
    views = np.float32(clip())
    rgb = smallbig_keras.preprocess_input(views, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    bgr = smallbig_keras.preprocess_input(views, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bgr")
    np.testing.assert_array_equal(bgr[..., 0], rgb[..., 2])
    np.testing.assert_array_equal(bgr[..., ::-1], rgb)
    with pytest.raises(ValueError, match="`channel_order` must be one of rgb, bgr. Received: 'x'"):
        smallbig_keras.preprocess_input(views, channel_order="x")


@pytest.mark.parametrize("height, width", [(40, 80), (80, 40)])
def test_frames_that_lose_their_ratio(height, width):
    """Ramps from edge to edge: a square of 32 of 40 pixels is four fifths of either side."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    source = np.stack([np.stack([y / height, x / width, x], axis=-1)] * 2)
    rule = ClipConfig(frames=2, size=32, short_side=40, keep_aspect=False)
    resized = transforms.resize_frames(source, rule)
    assert resized.shape == (2, 40, 40, 3)
    crops = [transforms.centre_crop(resized, 32).numpy()]
    crops += [transforms.random_crop(source, 32, s, 40, 40, squash=True) for s in SEEDS[:4]]
    for crop in crops:
        assert crop.shape == (2, 32, 32, 3)
        down, across = np.diff(crop[0, 4:-4, 0, 0]), np.diff(crop[0, 0, 4:-4, 1])
        np.testing.assert_allclose([down.mean(), across.mean()], 1 / 40, rtol=2e-2)


def test_centre_crop():
    source = clip(7, 10)
    np.testing.assert_array_equal(transforms.centre_crop(source, 4), source[:, 1:5, 3:7])
    np.testing.assert_array_equal(transforms.centre_crop(source, 7), source[:, :, 1:8])


@pytest.mark.parametrize(
    "height, width, places",
    [
        (7, 12, [(1, 0), (1, 3), (1, 7)]),
        (12, 7, [(0, 1), (3, 1), (7, 1)]),
        (8, 8, [(1, 0), (1, 1), (1, 3)]),
    ],
)
def test_three_crops(height, width, places):
    source = clip(height, width)
    crops = transforms.three_crops(source, 5)
    assert crops.shape == (3, 2, 5, 5, 3)
    for crop, (y, x) in zip(crops, places, strict=True):
        np.testing.assert_array_equal(crop, source[:, y : y + 5, x : x + 5])
    np.testing.assert_array_equal(crops[1], transforms.centre_crop(source, 5))


def test_ten_crops():
    source = clip(7, 12)
    crops = transforms.ten_crops(source, 5).numpy()
    places = [(0, 0), (0, 7), (2, 0), (2, 7), (1, 3)]
    expected = [source[:, y : y + 5, x : x + 5] for y, x in places]
    np.testing.assert_array_equal(crops, [*expected, *(crop[:, :, ::-1] for crop in expected)])


def tsn_crops(height, width, size):
    """Every crop of GroupMultiScaleCrop, as top, left, height, width."""
    base = min(height, width)
    sides = [int(base * scale) for scale in (1, 0.875, 0.75, 0.66)]
    sides = [size if abs(side - size) < 3 else side for side in sides]
    crops = set()
    for i, h in enumerate(sides):
        for j, w in enumerate(sides):
            if abs(i - j) <= 1:
                y, x = (height - h) // 4, (width - w) // 4
                corners = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
                sides_of_the_room = [(0, 2), (4, 2), (2, 0), (2, 4)]
                quarters = [(1, 1), (1, 3), (3, 1), (3, 3)]
                for a, b in corners + sides_of_the_room + quarters:
                    crops.add((a * y, b * x, h, w))
    return crops


@pytest.mark.parametrize("height, width, size", [(60, 81, 44), (90, 64, 32)])
def test_multi_scale_crop(height, width, size):
    # Two ramps: where they stand in the result tells the rectangle.
    y, x = np.mgrid[:height, :width].astype(np.float32)
    source = np.stack([np.stack([y, x, x], axis=-1)] * 2)
    draw = tf.function(lambda seed: transforms.multi_scale_crop(source, size, seed))
    found = set()
    for i in range(900):
        view = draw(tf.constant((1, i))).numpy()
        assert view.shape == (2, size, size, 3) and np.array_equal(view[0], view[1])
        middle = view[0, 5:-5, 5:-5].astype(np.float64)
        assert np.abs(middle[..., 1] - middle[..., 2]).max() < 1e-4
        place = []
        for ramp in (middle[:, 0, 0], middle[0, :, 1]):
            step = (ramp[-1] - ramp[0]) / (len(ramp) - 1)
            place.append((ramp[0] + 0.5 - 5.5 * step, step * size))
        found.add(tuple(np.round([place[0][0], place[1][0], place[0][1], place[1][1]]).astype(int)))
    expected = tsn_crops(height, width, size)
    assert found <= expected and len(found) > 0.9 * len(expected)


def test_multi_scale_crop_stays_inside():
    # A side of 21 would snap to 22, more than there is.
    view = transforms.multi_scale_crop(clip(21, 40), 22, (0, 0), scales=(1,))
    assert view.shape == (2, 22, 22, 3)
    assert transforms.multi_scale_crop(clip(1, 1), 4, (0, 0)).shape == (2, 4, 4, 3)


@pytest.mark.parametrize("crop", ["centre_crop", "three_crops", "ten_crops"])
def test_crop_must_fit(crop):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received: size=8"):
        getattr(transforms, crop)(clip(7, 10), 8)


def test_horizontal_flip():
    source = clip()
    draw = tf.function(lambda y, s: transforms.horizontal_flip(source, y, s, [0, 2, 1]))
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
    _, label = transforms.horizontal_flip(source, tf.constant(1), (0, 0))
    assert int(label) == 1
