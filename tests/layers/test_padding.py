"""Borders of convolutions and poolings, and shares of windows, against plain NumPy."""

import itertools

import keras
import numpy as np
import pytest

from smallbig_keras import layers
from smallbig_keras.layers.initializers import CentreIdentity
from tests.numpy_reference import kernel
from tests.numpy_reference_same import convolve_same, pool_same

to_numpy = keras.ops.convert_to_numpy
SIZES = [(4, 7, 6), (5, 6, 9), (1, 1, 2), (7, 10, 11)]


def clips_of(sizes, rng, channels=3):
    return rng.standard_normal((2, *sizes, channels)).astype("float32")


def check(layer, clips, expected):
    outputs = layer(clips)
    np.testing.assert_allclose(to_numpy(outputs), expected, rtol=1e-4, atol=1e-5)
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)
    # The same of frames, height and width that are open.
    inputs = keras.Input((None, None, None, clips.shape[-1]))
    copy = type(layer).from_config(layer.get_config())
    model = keras.Model(inputs, copy(inputs))
    model.set_weights(layer.get_weights())
    np.testing.assert_allclose(model.predict_on_batch(clips), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    "kernel_size, strides",
    [
        ((3, 3, 3), (1, 1, 1)),
        ((7, 7, 7), (2, 2, 2)),
        ((3, 7, 7), (2, 2, 2)),
        ((2, 4, 4), (1, 1, 1)),
        ((4, 2, 3), (3, 2, 1)),
    ],
)
def test_convolution_as_tensorflow_pads(sizes, kernel_size, strides, rng):
    clips = clips_of(sizes, rng)
    layer = layers.SpaceTimeConv(4, kernel_size, strides, padding="tensorflow")
    layer.build(clips.shape)
    check(layer, clips, convolve_same(clips, kernel(layer), strides))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    "size, strides",
    [
        ((3, 3, 3), (1, 1, 1)),
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
        ((4, 2, 5), (2, 2, 3)),
    ],
)
def test_maximum_as_tensorflow_pads(sizes, size, strides, rng):
    clips = clips_of(sizes, rng) - 2
    layer = layers.ClipPooling(size, strides, padding="tensorflow")
    check(layer, clips, pool_same(clips, size, strides))


@pytest.mark.parametrize("sizes", [(4, 7, 6), (5, 6, 9), (3, 3, 4)])
@pytest.mark.parametrize("size, strides", [(3, 2), (2, 2), (5, 2), (3, 3), (3, 1)])
def test_symmetric_maximum_takes_whole_windows(sizes, size, strides, rng):
    """Half a window on both sides, of an even one less, and no window beyond."""
    clips = clips_of(sizes, rng) - 2
    half = (size - 1) // 2
    widths = ((0, 0), *[(half, half)] * 3, (0, 0))
    padded = np.pad(clips, widths, constant_values=-np.inf)
    starts = [range(0, n - size + 1, strides) for n in padded.shape[1:4]]
    expected = np.empty((2, *map(len, starts), 3))
    for place in itertools.product(*map(enumerate, starts)):
        (i, t), (j, y), (k, x) = place
        cube = padded[:, t : t + size, y : y + size, x : x + size]
        expected[:, i, j, k] = cube.max((1, 2, 3))
    check(layers.ClipPooling((size,) * 3, (strides,) * 3), clips, expected)


@pytest.mark.parametrize("sizes", [(4, 7, 6), (5, 6, 9), (1, 2, 3)])
@pytest.mark.parametrize("size, strides", [(3, 2), (2, 2), (4, 2), (3, 1), (5, 3)])
def test_maximum_with_zeros(sizes, size, strides, rng):
    """Zeros in the number of `size - strides`, and windows that end outside all of these."""
    clips = clips_of(sizes, rng) - 2
    before = (size - strides) // 2
    after = size - strides - before
    padded = np.pad(clips, ((0, 0), *[(before, after)] * 3, (0, 0)))
    starts = [range(0, -(-n // strides) * strides, strides) for n in sizes]
    expected = np.empty((2, *map(len, starts), 3))
    for (i, t), (j, y), (k, x) in itertools.product(*map(enumerate, starts)):
        cube = padded[:, t : t + size, y : y + size, x : x + size]
        expected[:, i, j, k] = cube.max((1, 2, 3))
    layer = layers.ClipPooling((size,) * 3, (strides,) * 3, padding="zeros")
    check(layer, clips, expected)


@pytest.mark.parametrize("sizes", [(4, 7, 6), (2, 8, 9), (1, 1, 1), (5, 7, 7)])
@pytest.mark.parametrize("window", [(2, 7, 7), (2, None, None), (1, 3, 2), (None, None, 4)])
def test_mean_of_windows(sizes, window, rng):
    clips = clips_of(sizes, rng)
    size = [min(n, w or n) for n, w in zip(sizes, window, strict=True)]
    starts = [range(n - s + 1) for n, s in zip(sizes, size, strict=True)]
    means = [
        clips[:, t : t + size[0], y : y + size[1], x : x + size[2]].mean((1, 2, 3))
        for t, y, x in itertools.product(*starts)
    ]
    check(layers.WindowedMean(window), clips, np.mean(means, axis=0))


def test_blocks_as_channels(rng):
    clips = clips_of((4, 6, 2), rng)
    expected = np.empty((2, 2, 3, 1, 24))
    for t, y, x, colour in itertools.product(range(2), range(2), range(2), range(3)):
        channel = ((t * 2 + y) * 2 + x) * 3 + colour
        expected[..., channel] = clips[:, t::2, y::2, x::2, colour]
    check(layers.SpaceToDepth(), clips, expected)


def test_convolution_that_starts_as_the_identity(rng):
    clips = clips_of((5, 2, 3), rng, channels=4)
    start = CentreIdentity()
    check(layers.TemporalConv(4, 3, kernel_initializer=start), clips, clips)
    config = keras.saving.serialize_keras_object(start)
    assert isinstance(keras.saving.deserialize_keras_object(config), CentreIdentity)
    for shape in ((3, 1, 4, 5), (2, 1, 4, 4)):
        with pytest.raises(ValueError, match="starts as the identity has an odd kernel"):
            start(shape)


@pytest.mark.parametrize(
    "layer", [layers.ClipPooling((3, 3, 3), 2), layers.SpaceTimeConv(4, (3, 3, 3), (1, 2, 2))]
)
def test_configurations_without_a_padding_are_symmetric(layer):
    config = layer.get_config()
    assert config.pop("padding") == "symmetric"
    assert type(layer).from_config(config).get_config() == layer.get_config()
