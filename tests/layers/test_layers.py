"""Each layer against NumPy, in eval mode with random weights."""

import inspect

import keras
import numpy as np
import pytest

from smallbig_keras import layers
from tests import numpy_reference as reference

to_numpy = keras.ops.convert_to_numpy

CLIPS = (2, 4, 7, 6, 8)


@pytest.fixture
def clips(rng):
    return rng.standard_normal(CLIPS).astype("float32")


def close(actual, expected):
    np.testing.assert_allclose(to_numpy(actual), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("size", [6, 7])
def test_frame_conv(clips, size, kernel_size, strides):
    clips = clips[:, :, :size, :size]
    layer = layers.FrameConv(5, kernel_size, strides)
    outputs = layer(clips)
    close(outputs, reference.convolve(clips, reference.kernel(layer), strides))
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_temporal_conv(clips, kernel_size):
    layer = layers.TemporalConv(5, kernel_size)
    outputs = layer(clips)
    kernel = reference.kernel(layer)[:, :, None]
    close(outputs, reference.convolve(clips, kernel))
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)


@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize(
    "size",
    [(3, 1, 1), (3, 3, 3), (3, 5, 5), (3, 7, 7), (None, 3, 3), (None, 1, 1), (1, 3, 3), (5, 3, 1)],
)
def test_pooling(clips, size, mode):
    layer = layers.ClipPooling(size, mode=mode)
    outputs = layer(clips)
    close(outputs, reference.pool(clips, size, mode))
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)


@pytest.mark.parametrize("size", [6, 7])
def test_strided_pooling_of_negative_values(clips, size):
    clips = -np.abs(clips[:, :, :size, :size]) - 1
    outputs = layers.ClipPooling((1, 3, 3), strides=2)(clips)
    close(outputs, reference.pool(clips, (1, 3, 3), strides=2))


@pytest.mark.parametrize("normalization", ["individual", "single"])
@pytest.mark.parametrize("share_weights", [True, False])
@pytest.mark.parametrize(
    "kernel_size, strides, pool_size, pool",
    [(1, 1, (3, 1, 1), "max"), (3, 2, (3, 3, 3), "avg"), (1, 1, (None, 3, 3), "max")],
)
def test_smallbig_unit(
    clips, randomize, kernel_size, strides, pool_size, pool, share_weights, normalization
):
    layer = layers.SmallBigUnit(
        5, kernel_size, strides, pool_size, pool, share_weights, normalization, activation="relu"
    )
    layer.build(clips.shape)
    randomize(layer)
    outputs = layer(clips)

    big_conv = layer.conv if share_weights else layer.big_conv
    small = reference.convolve(clips, reference.kernel(layer.conv), strides)
    big = reference.convolve(
        reference.pool(clips, pool_size, pool), reference.kernel(big_conv), strides
    )
    if normalization == "single":
        expected = reference.norm_layer(small + big, layer.norm)
    else:
        expected = reference.norm_layer(small, layer.norm) + reference.norm_layer(
            big, layer.big_norm
        )
    close(outputs, np.maximum(expected, 0))
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)


@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("share_weights", [True, False])
def test_extra_unit(clips, randomize, pool, share_weights):
    layer = layers.SmallBigExtraUnit(4, pool, share_weights)
    layer.build(clips.shape)
    randomize(layer)
    reduce, expand = reference.kernel(layer.reduce)[0, 0], reference.kernel(layer.expand)[0, 0]
    big_reduce = reduce if share_weights else reference.kernel(layer.big_reduce)[0, 0]
    context = getattr(clips, {"max": "max", "avg": "mean"}[pool])((1, 2, 3), keepdims=True)
    weighed = (clips @ reduce) * reference.sigmoid(context @ big_reduce)
    close(layer(clips), clips + reference.norm_layer(weighed @ expand, layer.norm))


def test_squeeze_excite_unit(clips, randomize):
    layer = layers.SqueezeExciteUnit(4)
    layer.build(clips.shape)
    randomize(layer)
    reduce, expand = reference.kernel(layer.reduce)[0, 0], reference.kernel(layer.expand)[0, 0]
    hidden = clips.max((1, 2, 3), keepdims=True) @ reduce + reference.bias(layer.reduce)
    attention = reference.sigmoid(np.maximum(hidden, 0) @ expand + reference.bias(layer.expand))
    close(layer(clips), clips + reference.norm_layer(clips * attention, layer.norm))


@pytest.mark.parametrize(
    "unit", [layers.NonLocalBlock, layers.SmallBigExtraUnit, layers.SqueezeExciteUnit]
)
def test_new_residual_unit_passes_the_clip_on(clips, unit):
    np.testing.assert_array_equal(to_numpy(unit()(clips)), clips)


LAYERS = [
    layers.ClipPooling((None, 3, 3), mode="avg"),
    layers.ClipPooling((3, 4, 3), (2, 3, 1), padding="tensorflow"),
    layers.ClipPooling((3, 2, 3), (2, 2, 2), padding="zeros"),
    layers.CoSTConv(8, 5, 2, "a"),
    layers.CoSTConv(8),
    layers.FrameConv(8, 3, 2, use_bias=True, activation="relu"),
    layers.FrameConv(8, 3, 2, groups=8),
    layers.FusedBatchNormalization(momentum=0.8, gamma_initializer="zeros"),
    layers.NonLocalBlock(),
    layers.NonLocalBlock("dot_product", False, "after", False),
    layers.SmallBigExtraUnit(2, "avg", False),
    layers.SmallBigUnit(8, 3, 2, (3, 5, 5), "avg", False, "single", "relu"),
    layers.SpaceTimeConv(8, (5, 3, 1), (2, 1, 2), "ones"),
    layers.SpaceTimeConv(8, (2, 4, 3), (1, 2, 2), padding="tensorflow"),
    layers.SqueezeExciteUnit(2, "avg"),
    layers.TemporalConv(8, 5, 2),
    layers.TemporalConv(8, 5, groups=8),
    layers.TemporalShift(4),
    layers.TimePooling(4),
    layers.WindowPooling(3),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_configuration_and_shapes(layer, clips, randomize):
    """A layer from its configuration with the same weights computes the same."""
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == f"smallbig_keras>{type(layer).__name__}"
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == layer.get_config()
    for one in (layer, copy):
        one.build(clips.shape)
        randomize(one)
    outputs = copy(clips)
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(layer(clips)))
    assert tuple(outputs.shape) == layer.compute_output_shape(clips.shape)
    symbolic = layer.compute_output_shape((None, None, None, None, 8))
    assert len(symbolic) == 5 and symbolic[-1] == 8


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_policies(layer, policy, clips, randomize):
    layer = type(layer).from_config({**layer.get_config(), "dtype": policy})
    full = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    for one in (layer, full):
        one.build(clips.shape)
        randomize(one)
    training = has_training(layer)
    outputs = layer(clips.astype("float16"), **training)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    outputs = to_numpy(keras.ops.cast(outputs, "float32"))
    np.testing.assert_allclose(outputs, to_numpy(full(clips, **training)), rtol=0.1, atol=0.15)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_float64_is_computed_in_float64(layer, clips, randomize):
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is asked for")
    results = {}
    for dtype in ("float32", "float64"):
        copy = type(layer).from_config({**layer.get_config(), "dtype": dtype})
        copy.build(clips.shape)
        results[dtype] = to_numpy(randomize(copy)(clips.astype("float64")))
        assert {keras.backend.standardize_dtype(w.dtype) for w in copy.weights} <= {dtype}
    assert results["float64"].dtype == "float64"
    np.testing.assert_allclose(results["float64"], results["float32"], rtol=1e-3, atol=1e-4)


def has_training(layer):
    return {"training": True} if "training" in inspect.signature(layer.call).parameters else {}


NAMES = {
    layers.SmallBigUnit: (
        *("filters", "kernel_size", "strides", "pool_size", "pool", "share_weights"),
        "normalization",
    ),
    layers.SmallBigExtraUnit: ("ratio", "pool", "share_weights"),
    layers.SqueezeExciteUnit: ("ratio", "pool"),
    layers.ClipPooling: ("pool_size", "strides", "mode", "padding"),
    layers.TimePooling: ("pool_size",),
    layers.WindowPooling: ("window",),
    layers.FrameConv: ("filters", "kernel_size", "strides"),
    layers.TemporalConv: ("filters", "kernel_size", "strides"),
    layers.SpaceTimeConv: ("filters", "kernel_size", "strides", "padding"),
    layers.CoSTConv: ("filters", "kernel_size", "strides", "fusion"),
    layers.TemporalShift: ("divisor",),
    layers.NonLocalBlock: ("mode", "scale", "pool", "use_bias"),
}
ALLOWED = [(layers.NonLocalBlock, "pool", None)]
WRONG = [
    (layer, name, value)
    for layer, names in NAMES.items()
    for name in names
    for value in (None, -1, 2.5, "8", [], {})
    if (layer, name, value) not in ALLOWED
]


@pytest.mark.parametrize("layer, name, value", WRONG)
def test_wrong_values_are_reported_by_their_name(layer, name, value):
    with pytest.raises(ValueError, match=f"`{name}`.*Received:? {name}="):
        layer(**{**needed(layer), name: value})


def needed(layer):
    """The arguments that a layer has no default of."""
    # Of the method: that of the class was once lost in a worker that ran other tests before.
    parameters = list(inspect.signature(layer.__init__).parameters.items())[1:]
    required = [name for name, one in parameters if one.default is one.empty]
    return {n: v for n, v in {"filters": 8, "kernel_size": 3}.items() if n in required}


@pytest.mark.parametrize("layer", [layer for layer in NAMES if "Pooling" not in layer.__name__])
@pytest.mark.parametrize("shape", [(None, 8, 8, 16), (None, 4, 8, 8, None)])
def test_a_layer_that_cannot_be_built_names_itself(layer, shape):
    with pytest.raises(ValueError, match="'mine' takes clips .*Received: shape=") as error:
        layer(name="mine", **needed(layer)).build(shape)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: layers.SmallBigUnit(8, pool_size=3), "`pool_size` must be three odd ints"),
        (lambda: layers.SmallBigUnit(8, pool="sum"), "`pool` must be .*pool='sum'"),
        (lambda: layers.SmallBigUnit(8, pool="Max"), "Did you mean 'max'"),
        (lambda: layers.ClipPooling((2, 3, 3)), "three odd ints"),
        (lambda: layers.ClipPooling((3, None, 3)), "three odd ints"),
        (lambda: layers.ClipPooling((3, 3)), "three odd ints"),
        (lambda: layers.ClipPooling(mode="sum"), "'max' or 'avg'"),
        (lambda: layers.ClipPooling(strides=2, mode="avg"), "`strides` must be"),
        (lambda: layers.ClipPooling((2, 3, 3), (1, 2, 2)), "three odd ints"),
        (lambda: layers.ClipPooling(mode="avg", padding="tensorflow"), "`padding` 'symmetric'"),
        (lambda: layers.ClipPooling((1, 3, 3), (2, 2, 2), padding="zeros"), "at most the size"),
        (lambda: layers.ClipPooling((None, 3, 3), (2, 2, 2)), "1 over all frames"),
        (lambda: layers.FrameConv(4, 2), "must be odd"),
        (lambda: layers.FrameConv(4, 3, data_format="channels_first"), "channels_last"),
        (lambda: layers.TemporalConv(4, (3, 3)), "one pixel"),
        (lambda: layers.SmallBigUnit(4, normalization="none"), "'individual' or 'single'"),
        (lambda: layers.SmallBigExtraUnit(0), "`ratio` must be"),
        (lambda: layers.SmallBigExtraUnit(pool="sum"), "`pool` must be"),
        (lambda: layers.SmallBigExtraUnit(9).build(CLIPS), "at least that many"),
        (lambda: layers.FusedBatchNormalization(axis=1), "must be -1"),
        (lambda: layers.SpaceTimeConv(4, (2, 3, 3)), "`kernel_size` must be 3 odd ints"),
        (lambda: layers.SpaceTimeConv(4, (3, 3)), "`kernel_size` must be 3 odd ints"),
        (lambda: layers.SpaceTimeConv(4, strides=(1, 2)), "`strides` must be 3 ints"),
        (lambda: layers.SpaceTimeConv(4, strides=(0, 1, 1)), "`strides` must be 3 ints"),
        (
            lambda: layers.SpaceTimeConv(4, (1, 3, 3), (2, 1, 1), padding="tensorflow"),
            "as its stride",
        ),
        (lambda: layers.SpaceToDepth().build((None, 4, 7, 8, 3)), "an even number"),
        (lambda: layers.WindowedMean((2, 7)), "`window` must be three ints"),
        (lambda: layers.WindowedMean((2, 7, 0)), "`window` must be three ints"),
        (lambda: layers.CoSTConv(4, 2), "`kernel_size` must be odd"),
        (lambda: layers.CoSTConv(4, fusion="c"), "'a' or 'b'"),
        (lambda: layers.TemporalShift(1), "`divisor` must be at least 2"),
        (lambda: layers.TemporalShift(9).build(CLIPS), "at least that many"),
        (lambda: layers.NonLocalBlock("embedded_gausian"), "Did you mean 'embedded_gaussian'"),
        (lambda: layers.NonLocalBlock(pool="max"), "'before' or 'after' or None"),
        (lambda: layers.TimePooling(3).build(CLIPS), "must be a multiple of it"),
        (lambda: layers.TimePooling().build((None, 8, 8, 3)), "takes clips"),
        (lambda: layers.FrameConv(4, 3).build((None, 8, 8, 3)), "takes clips"),
        (lambda: layers.ClipPooling().build((None, 8, 8, 3)), "takes clips"),
    ],
)
def test_bad_arguments(make, rule):
    with pytest.raises(ValueError, match=rule) as error:
        make()
    assert "Received: " in str(error.value)
