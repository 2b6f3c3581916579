"""The layers that look through time against NumPy written from their definitions."""

import keras
import numpy as np
import pytest

from smallbig_keras import layers
from tests import numpy_reference as reference
from tests.layers.definitions import CLIPS, check, to_numpy


@pytest.fixture
def clips(rng):
    return rng.standard_normal(CLIPS).astype("float32")


@pytest.mark.parametrize("frames", [1, 4, 5])
@pytest.mark.parametrize("height, width", [(6, 7), (7, 6), (1, 1)])
@pytest.mark.parametrize(
    "kernel_size, strides",
    [
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (1, 2, 2)),
        ((5, 7, 7), (2, 2, 2)),
        ((1, 3, 1), (3, 1, 2)),
        ((3, 1, 5), (2, 3, 1)),
    ],
)
def test_space_time_conv(clips, frames, height, width, kernel_size, strides):
    clips = clips[:, :frames, :height, :width]
    layer = layers.SpaceTimeConv(4, kernel_size, strides)
    layer.build(clips.shape)
    check(layer, clips, reference.convolve(clips, reference.kernel(layer), strides))


def test_space_time_conv_of_one_frame_is_a_frame_conv(clips):
    layer, same = layers.SpaceTimeConv(4, (1, 3, 3), (1, 2, 2)), layers.FrameConv(4, 3, 2)
    same.build(clips.shape)
    layer.build(clips.shape)
    layer.set_weights([w[None] for w in same.get_weights()])
    check(layer, clips, to_numpy(same(clips)))


@pytest.mark.parametrize("frames", [1, 4, 5])
@pytest.mark.parametrize("height, width", [(6, 7), (7, 5), (1, 2)])
@pytest.mark.parametrize("kernel_size, strides", [(3, 1), (3, 2), (5, 1), (1, 2), (5, 3)])
@pytest.mark.parametrize("fusion", ["a", "b"])
def test_cost_conv(clips, randomize, frames, height, width, kernel_size, strides, fusion):
    clips = clips[:, :frames, :height, :width]
    layer = layers.CoSTConv(4, kernel_size, strides, fusion)
    layer.build(clips.shape)
    randomize(layer)
    views = reference.cost_views(clips, reference.kernel(layer), strides)
    if fusion == "a":
        shares = reference.softmax(to_numpy(layer.alpha).T, axis=0)[:, None]
    else:
        # Of every view and channel the strongest value, mixed over channels and over views.
        strongest = np.stack([view.max((1, 2, 3)) for view in views])
        mixed = strongest @ to_numpy(layer.channel_kernel)
        shares = np.einsum("vbc,vw->wbc", mixed, to_numpy(layer.view_kernel))
        shares = reference.softmax(shares, axis=0)
    views = zip(shares, views, strict=True)
    check(layer, clips, sum(np.reshape(share, (-1, 1, 1, 1, 4)) * view for share, view in views))


def test_new_cost_conv_takes_most_of_the_view_of_space():
    layer = layers.CoSTConv(4, fusion="a")
    layer.build(CLIPS)
    expected = np.repeat([[0.7, -0.7, -0.7]], 4, axis=0)
    np.testing.assert_allclose(to_numpy(layer.alpha), expected, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("channels, divisor", [(8, 8), (8, 4), (7, 3), (8, 2)])
def test_temporal_shift(clips, frames, channels, divisor):
    clips = clips[:, :frames, :, :, :channels]
    check(layers.TemporalShift(divisor), clips, reference.shift(clips, divisor))


@pytest.mark.parametrize("frames, size", [(4, 2), (4, 1), (4, 4), (5, 5), (3, 3)])
@pytest.mark.parametrize("height, width", [(7, 6), (1, 1)])
def test_time_pooling(clips, frames, size, height, width):
    clips = -np.abs(clips[:, :frames, :height, :width])
    check(layers.TimePooling(size), clips, reference.pool_time(clips, size))


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_open_frames_that_are_no_multiple_end_in_an_error(batch):
    """No frame is dropped, and no frames of two clips become one."""
    model = keras.Sequential([keras.Input((None, 2, 2, 3)), layers.TimePooling()])
    assert tuple(model(np.zeros((batch, 6, 2, 2, 3))).shape) == (batch, 3, 2, 2, 3)
    for run in (model, model.predict_on_batch):
        with pytest.raises(ValueError, match="multiple of it. Received: 5 frames"):
            run(np.zeros((batch, 5, 2, 2, 3), "float32"))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a graph of TensorFlow")
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_frames_that_stay_open_to_the_end_are_an_error_in_a_graph(batch):
    import tensorflow as tf

    layer = layers.TimePooling()
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, None, 3))])
    assert graph(np.zeros((batch, 6, 2, 2, 3), "float32")).shape == (batch, 3, 2, 2, 3)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(np.zeros((batch, 5, 2, 2, 3), "float32"))


@pytest.mark.parametrize("mode", ["embedded_gaussian", "dot_product"])
@pytest.mark.parametrize("pool", ["before", "after", None])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("height, width", [(6, 4), (7, 5), (1, 5), (4, 1), (1, 1), (3, 2)])
def test_nonlocal_block(clips, randomize, mode, pool, scale, height, width):
    clips = clips[:, :3, :height, :width]
    layer = layers.NonLocalBlock(mode, scale, pool, use_bias=scale)
    layer.build(clips.shape)
    randomize(layer)
    context = reference.halve(clips) if pool == "before" else clips
    theta, phi, g = (
        pointwise(x, conv)
        for x, conv in ((clips, layer.theta), (context, layer.phi), (context, layer.g))
    )
    if pool == "after":
        phi, g = reference.halve(phi), reference.halve(g)
    attended = pointwise(reference.attend(theta, phi, g, mode, scale), layer.out)
    check(layer, clips, clips + reference.norm_layer(attended, layer.norm))


def pointwise(clips, conv):
    return clips @ reference.kernel(conv)[0, 0] + reference.bias(conv)


@pytest.mark.parametrize("channels, inner", [(1, 1), (3, 1), (7, 3)])
def test_nonlocal_block_halves_any_number_of_channels(clips, channels, inner):
    layer = layers.NonLocalBlock()
    clips = clips[..., :channels]
    check(layer, clips, clips)
    assert layer.theta.filters == inner


OPEN = [
    layers.CoSTConv(4, strides=2),
    layers.CoSTConv(4, fusion="a"),
    layers.NonLocalBlock("dot_product", pool="after"),
    layers.NonLocalBlock("dot_product", pool=None),
    layers.NonLocalBlock(),
    layers.ClipPooling((3, 3, 3), (2, 2, 2)),
    layers.ClipPooling((3, 4, 3), (2, 3, 2), padding="tensorflow"),
    layers.ClipPooling((3, 2, 3), (2, 2, 2), padding="zeros"),
    layers.SpaceTimeConv(4, (5, 3, 3), (2, 2, 2)),
    layers.SpaceTimeConv(4, (3, 4, 3), (2, 2, 2), padding="tensorflow"),
    layers.TemporalShift(),
    layers.TimePooling(),
    layers.WindowedMean((2, 1, 3)),
]


@pytest.mark.parametrize("height, width", [(6, 4), (7, 5), (1, 5), (4, 1), (1, 1)])
@pytest.mark.parametrize("layer", OPEN, ids=lambda layer: type(layer).__name__)
def test_open_sizes_give_the_result_of_fixed_ones(clips, randomize, layer, height, width):
    clips = clips[:, :4, :height, :width]
    outputs = []
    for shape in (clips.shape[1:], (None, None, None, CLIPS[-1])):
        copy = type(layer).from_config(layer.get_config())
        model = keras.Sequential([keras.Input(shape), copy])
        outputs.append(randomize(model).predict_on_batch(clips))
        if keras.backend.backend() == "tensorflow":
            outputs.append(in_an_open_graph(model, clips))
    for other in outputs[1:]:
        np.testing.assert_allclose(other, outputs[0], rtol=1e-4, atol=1e-5)


def in_an_open_graph(model, clips):
    import tensorflow as tf

    shape = (None, *model.input_shape[1:])
    return to_numpy(tf.function(model, input_signature=[tf.TensorSpec(shape)])(clips))


@pytest.mark.parametrize("layer", [layers.CoSTConv(4, strides=2), layers.NonLocalBlock()])
def test_graphs_that_train_without_copies(layer):
    """No padding that is merged with a 3-D convolution, which fails; no part of a clip is cut."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("looks at a graph of TensorFlow")

    @tf.function(autograph=False)
    def step(clips):
        with tf.GradientTape() as tape:
            tape.watch(clips)
            loss = tf.reduce_sum(layer(clips, training=True))
        return tape.gradient(loss, clips)

    # An odd height, of which the block leaves out the last row.
    operations = step.get_concrete_function(tf.zeros((2, 4, 7, 8, 6))).graph.get_operations()
    cuts = [op for op in operations if op.type == "StridedSliceGrad"]
    assert not [op for op in cuts if op.inputs[-1].shape[1:3] == (4, 6)]
    convolutions = [op for op in operations if op.type == "Conv3D"]
    assert bool(convolutions) == isinstance(layer, layers.CoSTConv)
    assert not [op for op in convolutions if op.inputs[0].op.type == "Pad"]
