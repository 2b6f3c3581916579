"""Depthwise convolutions and the window of a head against NumPy written from their definitions."""

import keras
import numpy as np
import pytest

from smallbig_keras import layers
from tests import numpy_reference as reference
from tests.layers.definitions import CLIPS, check, to_numpy


@pytest.fixture
def clips(rng):
    return rng.standard_normal(CLIPS).astype("float32")


def convolve_each(clips, kernel, strides):
    """Each channel, a clip of its own, by its kernel `(t, h, w, 1, 1)`."""
    each = [
        reference.convolve(clips[..., [c]], kernel[..., [c]], strides)
        for c in range(clips.shape[-1])
    ]
    return np.concatenate(each, axis=-1)


@pytest.mark.parametrize("height, width", [(6, 6), (7, 5), (1, 2)])
@pytest.mark.parametrize("size, strides", [(3, 1), (3, 2), ((5, 3), 1), (3, (2, 1)), (1, 1)])
def test_depthwise_over_space(clips, height, width, size, strides):
    clips = clips[:, :, :height, :width]
    layer = layers.FrameConv(8, size, strides, groups=8)
    layer.build(clips.shape)
    assert layer.kernel.shape[2:] == (1, 8)
    steps = (1, *((strides, strides) if isinstance(strides, int) else strides))
    check(layer, clips, convolve_each(clips, reference.kernel(layer)[None], steps))
    macs = np.prod(layer.compute_output_shape(clips.shape)[1:]) * np.prod(layer.kernel_size)
    assert layer.count_macs(clips.shape) == macs


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("size, strides", [(3, 1), (5, 1), (3, 2)])
def test_depthwise_over_time(clips, frames, size, strides):
    clips = clips[:, :frames]
    layer = layers.TemporalConv(8, size, strides, groups=8, use_bias=True)
    layer.build(clips.shape)
    layer.bias.assign(np.arange(8))
    kernel = reference.kernel(layer)[:, None]
    check(layer, clips, convolve_each(clips, kernel, (strides, 1, 1)) + np.arange(8))


@pytest.mark.parametrize("options", [{"groups": 4}, {"groups": 8, "dilation_rate": 2}])
def test_groups_of_other_kinds(clips, options):
    """Groups of several channels, and steps that the depthwise operation does not have."""
    layer = layers.FrameConv(8, 3, **options)
    layer.build(clips.shape)
    outputs, groups = to_numpy(layer(clips)), options["groups"]
    for group in range(groups):
        part = slice(8 // groups * group, 8 // groups * (group + 1))
        alone = layers.FrameConv(8 // groups, 3, **{**options, "groups": 1})
        alone.build((*CLIPS[:-1], 8 // groups))
        alone.set_weights([to_numpy(layer.kernel)[..., part]])
        expected = to_numpy(alone(clips[..., part]))
        np.testing.assert_allclose(outputs[..., part], expected, rtol=1e-4, atol=1e-5)


def means_of_windows(clips, window):
    rows, columns = (range(max(n - window, 0) + 1) for n in clips.shape[2:4])
    means = [
        [clips[:, :, y : y + window, x : x + window].mean((1, 2, 3)) for x in columns] for y in rows
    ]
    return np.moveaxis(np.array(means), 2, 0)[:, None]


@pytest.mark.parametrize("window", [1, 2, 6, 7, 9])
@pytest.mark.parametrize("height, width", [(7, 6), (1, 6), (7, 1)])
def test_window_pooling(clips, window, height, width):
    clips = clips[:, :, :height, :width]
    expected = means_of_windows(clips, window)
    check(layers.WindowPooling(window), clips, expected)
    for shape in ((None, None, None, 8), (5, None, width, 8), (5, height, None, 8)):
        model = keras.Sequential([keras.Input(shape), layers.WindowPooling(window)])
        assert model.output_shape[1] == 1 and model.output_shape[-1] == 8
        found = model.predict(clips, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_window_pooling_takes_clips():
    with pytest.raises(ValueError, match="takes clips .* Received: shape="):
        layers.WindowPooling().build((None, 8, 8, 3))
