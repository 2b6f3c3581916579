"""The ONNX file: its scores, its graph, its properties, and errors that leave nothing behind."""

import collections
import itertools
import json

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import smallbig_keras
from smallbig_keras.cli import main
from smallbig_keras.data import ClipConfig
from smallbig_keras.export import artifacts, channels_first
from smallbig_keras.export.onnx_export import to_onnx
from tests.export.conftest import NAMES, SHAPE

OUTPUTS = ["probabilities", "logits"]
# Beside `any_model`: the options of one unit, on one block a stage and odd sizes.
SMALL = {"blocks": (1, 1, 1, 1), "width": 4}
TUBES = ((3, 5, 5), (3, 7, 7), (None, 3, 3))
OPTIONS = {
    "average": {"pool": "avg", "pool_sizes": TUBES, "extra": "squeeze_excite"},
    "one norm, apart": {"normalization": "single", "share_weights": False, "pool": "avg"},
    "one norm, all frames": {"normalization": "single", "pool_sizes": ((None, 3, 3),) * 3},
    "extra at the output": {"extra": "squeeze_excite", "extra_position": "output", "units": (2,)},
    "extra apart": {"extra": "smallbig", "share_weights": False, "extra_position": "output"},
    "long tubes": {"pool_sizes": ((5, 1, 1), (1, 3, 3), (7, 1, 3)), "extra": "smallbig"},
    "times": {"temporal_stages": (2, 5), "units": (2, 3), "pool_sizes": TUBES, "dropout": 0.3},
}

# Networks of other families at odd sizes.
NETWORKS = {
    "3x1x1": ("SlowOnlyR50", {"temporal_stages": (2, 5)}),
    "I3D": ("I3DR23", {}),
    "NonLocal": ("NonLocalR50", {"variant": "paper"}),
    "TSM": ("TSMR50", {"variant": "every_second"}),
    "CoST, 32 frames": ("CoSTR50", {"variant": "b_32f"}),
}


def scores(path, clips):
    """The scores of ONNX Runtime for float32 clips, with one thread a session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    assert (value.name, value.type, value.shape[1:]) == (
        "clips",
        "tensor(float)",
        [*clips.shape[1:]],
    )
    assert [output.name for output in session.get_outputs()] == OUTPUTS
    return dict(zip(OUTPUTS, session.run(OUTPUTS, {"clips": clips}), strict=True))


def check_scores(path, model, clips):
    logits = keras.Model(model.input, model.get_layer("classifier").output)
    expected = keras.ops.convert_to_numpy(logits(smallbig_keras.preprocess_input(clips[:3])))
    probabilities = keras.ops.softmax(expected)
    for batch in (1, 3):
        found = scores(path, clips[:batch].astype("float32"))
        atol = 1e-3 * np.abs(expected[:batch]).max()
        np.testing.assert_allclose(found["logits"], expected[:batch], rtol=0, atol=atol)
        np.testing.assert_allclose(found["probabilities"], probabilities[:batch], rtol=0, atol=1e-4)


def count(path):
    return collections.Counter(node.op_type for node in onnx.load(path).graph.node)


def convolutions_by_kernel(path):
    graph = onnx.load(path).graph
    return collections.Counter(node.input[1] for node in graph.node if node.op_type == "Conv")


def test_every_model_gives_the_scores_of_keras(any_model, clips, tmp_path):
    path = tmp_path / "models" / "model.onnx"
    assert to_onnx(any_model, path, NAMES) == path
    onnx.checker.check_model(str(path), full_check=True)
    check_scores(path, any_model, clips)
    assert count(path)["Transpose"] < 10
    windows = [
        attribute.ints
        for node in onnx.load(path).graph.node
        for attribute in node.attribute
        if attribute.name == "kernel_shape"
    ]
    assert all(len(window) == 2 for window in windows) and len(windows) > 10
    # Beside the weights there are the graph and the shapes in it.
    assert path.stat().st_size < 4 * any_model.count_params() + 200_000
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_gives_the_scores_of_keras(options, randomize, rng, tmp_path):
    spec = {"smallbig_stages": (2, 4, 5), **SMALL, **options}
    model = smallbig_keras.SmallBigR23(input_shape=(3, 24, 36, 3), classes=4, **spec)
    kernel = randomize(model).get_layer("classifier").kernel
    kernel.assign(0.1 * kernel)
    path = to_onnx(model, tmp_path / "model.onnx")
    check_scores(path, model, rng.integers(0, 256, (3, 3, 24, 36, 3), np.uint8))
    assert count(path)["Transpose"] < 10


@pytest.mark.parametrize("name, options", NETWORKS.values(), ids=NETWORKS)
def test_every_family_gives_the_scores_of_keras(name, options, randomize, rng, tmp_path):
    shape = (8, 24, 36, 3)
    options = {"width": 8, "blocks": (1, 1, 2, 1), "classes": 4, **options}
    model = randomize(getattr(smallbig_keras, name)(input_shape=shape, **options))
    kernel = model.get_layer("classifier").kernel
    kernel.assign(0.1 * kernel)
    path = to_onnx(model, tmp_path / "model.onnx")
    check_scores(path, model, rng.integers(0, 256, (3, *shape), np.uint8))
    assert count(path)["Transpose"] < 10


def test_three_views_are_in_the_graph_with_one_kernel(randomize, tmp_path):
    options = {"width": 8, "blocks": (1, 1, 1, 1), "temporal_stages": (4, 5), "time_pool": 1}
    model = randomize(smallbig_keras.CoSTR50(input_shape=SHAPE, classes=4, **options))
    path = to_onnx(model, tmp_path / "model.onnx")
    graph = onnx.load(path).graph
    constants = [initializer.name for initializer in graph.initializer]
    reshaped = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Reshape"}
    kernels = collections.Counter()
    for kernel, uses in convolutions_by_kernel(path).items():
        kernels[reshaped.get(kernel, kernel)] += uses
    assert sorted(kernels.values())[-3:] == [1, 3, 3]
    assert set(kernels) <= set(constants)


def test_both_views_are_in_the_graph_with_one_kernel(small_model, tmp_path):
    """Each kernel of a unit is in two convolutions, each with a normalisation of its own."""
    path = to_onnx(small_model, tmp_path / "model.onnx")
    graph = onnx.load(path).graph
    units = [layer for layer in small_model.layers if hasattr(layer, "big_view")]
    extras = [layer for layer in small_model.layers if hasattr(layer, "expand")]
    shared = [kernel for kernel, uses in convolutions_by_kernel(path).items() if uses == 2]
    assert len(shared) == len(units) + len(extras) > 0
    normalised = {node.input[0] for node in graph.node if node.op_type == "BatchNormalization"}
    views = itertools.chain.from_iterable(
        node.output for node in graph.node if node.op_type == "Conv" and node.input[1] in shared
    )
    assert len(normalised & set(views)) == 2 * len(units)
    assert {node.input[1] for node in graph.node if node.op_type == "Conv"} <= {
        initializer.name for initializer in graph.initializer
    }


def test_kernels_apart(randomize, tmp_path):
    spec = {**SMALL, "share_weights": False, "extra": "smallbig"}
    model = smallbig_keras.SmallBigR23(input_shape=SHAPE, classes=4, **spec)
    path = to_onnx(randomize(model), tmp_path / "model.onnx")
    assert set(convolutions_by_kernel(path).values()) == {1}


def test_properties(small_model, tmp_path):
    path = to_onnx(small_model, tmp_path / "model.onnx", NAMES, short_side=40)
    properties = {p.key: json.loads(p.value) for p in onnx.load(path).metadata_props}
    rule = ClipConfig(SHAPE[0], size=SHAPE[1], short_side=40)
    assert properties == json.loads(json.dumps(artifacts.metadata(small_model, rule, NAMES)))
    assert properties["labels"] == NAMES and properties["model"] == "SmallBigR23"
    assert properties["input"]["normalized_inside"] and properties["input"]["short_side"] == 40


def test_without_preprocessing(small_model, clips, tmp_path):
    prepared = smallbig_keras.preprocess_input(clips[:2])
    path = to_onnx(small_model, tmp_path / "model.onnx", include_preprocessing=False)
    expected = small_model(prepared)
    found = scores(path, prepared)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    (form,) = [p.value for p in onnx.load(path).metadata_props if p.key == "input"]
    assert json.loads(form)["normalized_inside"] is False


def test_naive(small_model, clips, tmp_path):
    path = to_onnx(small_model, tmp_path / "naive.onnx", NAMES, naive=True)
    check_scores(path, small_model, clips)
    assert count(path)["Transpose"] > 50
    properties = {p.key: json.loads(p.value) for p in onnx.load(path).metadata_props}
    rule = ClipConfig(SHAPE[0], size=SHAPE[1])
    assert properties == json.loads(json.dumps(artifacts.metadata(small_model, rule, NAMES)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16", "bfloat16"])
def test_low_precision_is_computed_in_float32(policy, small_model, clips, tmp_path):
    keras.config.set_dtype_policy(policy)
    spec = {"blocks": (1, 1, 1, 1), "extra": "smallbig", "width": 8}
    model = smallbig_keras.SmallBigR23(input_shape=SHAPE, classes=len(NAMES), **spec)
    model.set_weights(small_model.get_weights())
    path = to_onnx(model, tmp_path / "model.onnx")
    found = scores(path, clips.astype("float32"))["probabilities"]
    expected = small_model(smallbig_keras.preprocess_input(clips))
    # Under the others, not mixed, the weights themselves are rounded.
    atol = {"mixed_bfloat16": 1e-4, "float16": 5e-3, "bfloat16": 5e-2}[policy]
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
    types = {initializer.data_type for initializer in onnx.load(path).graph.initializer}
    assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.INT32}
    rule = rf"computes in float32.*Received: 'clips' computes in {policy.split('_')[-1]}"
    with pytest.raises(ValueError, match=rule):
        to_onnx(model, tmp_path / "naive.onnx", naive=True)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def with_layer(layer):
    clips = keras.Input(SHAPE, name="clips")
    features = keras.layers.GlobalAveragePooling3D()(layer(clips))
    scores = keras.layers.Dense(len(NAMES), name="classifier")(features)
    scores = keras.layers.Activation("softmax", name="predictions")(scores)
    return keras.Model(clips, scores)


def test_unknown_layers(monkeypatch, clips, tmp_path):
    path = tmp_path / "model.onnx"
    model = with_layer(keras.layers.LayerNormalization(name="odd"))
    rule = "types Activation, Add, .*WindowedMean. Received: LayerNormalization 'odd'"
    with pytest.raises(ValueError, match=rule):
        to_onnx(model, path)
    with pytest.raises(ValueError, match="one of linear, relu.*Received: softmax of 'shares'"):
        to_onnx(with_layer(keras.layers.Activation("softmax", name="shares")), path)
    assert not list(tmp_path.iterdir())

    class Double(keras.layers.Layer):
        def call(self, clips):
            return 2 * clips

    monkeypatch.setattr(channels_first, "_HANDLERS", dict(channels_first._HANDLERS))
    channels_first.handles(Double)(lambda layer, clips: clips.map(lambda images: 2 * images))
    model = with_layer(Double())
    check_scores(to_onnx(model, path), model, clips)


def test_other_convolutions_and_poolings(rng, tmp_path):
    """Options of the layers that no network uses."""
    layers = smallbig_keras.layers
    shape = (5, 17, 18, 3)
    clips = keras.Input(shape, name="clips")
    x = layers.FrameConv(8, 3, padding="valid", use_bias=True, activation="silu")(clips)
    x = layers.FrameConv(8, 3, dilation_rate=2, groups=2)(x)
    x = layers.FrameConv(8, (3, 5), strides=(2, 1))(x)
    x = layers.TemporalConv(8, 3, strides=2, use_bias=True, bias_initializer="ones")(x)
    x = layers.TemporalConv(8, 3, dilation_rate=2, activation="relu")(x)
    x = layers.FusedBatchNormalization(scale=False, center=False, epsilon=1e-2)(x)
    x = layers.ClipPooling((1, 3, 5), strides=2)(x)
    x = layers.TemporalConv(8, 3, padding="valid")(x)
    x = keras.layers.GlobalMaxPooling3D()(keras.layers.Add()([x, x, x]))
    x = keras.layers.Dense(4, name="classifier", use_bias=False)(x)
    model = keras.Model(clips, keras.layers.Activation("softmax", name="predictions")(x))
    path = to_onnx(model, tmp_path / "model.onnx")
    check_scores(path, model, rng.integers(0, 256, (3, *shape), np.uint8))


def test_other_layers_that_look_through_time(rng, tmp_path):
    """Their options that no network uses, and a context of one frame before them."""
    layers = smallbig_keras.layers
    shape = (6, 17, 18, 3)
    clips = keras.Input(shape, name="clips")
    x = layers.SpaceTimeConv(8, (3, 5, 1), strides=(1, 1, 2))(clips)
    x = layers.CoSTConv(8, 5, strides=2, fusion="a")(layers.TemporalShift(2)(x))
    x = layers.SmallBigUnit(8, 1, pool_size=(None, 3, 3))(x)
    x = layers.NonLocalBlock(scale=False)(x)
    x = layers.CoSTConv(8, 1)(layers.TimePooling(2)(x))
    x = layers.SpaceTimeConv(8, (1, 3, 3), strides=(2, 1, 1))(x)
    x = keras.layers.GlobalAveragePooling3D()(x)
    x = keras.layers.Dense(4, name="classifier")(x)
    model = keras.Model(clips, keras.layers.Activation("softmax", name="predictions")(x))
    for norm in model._flatten_layers():
        if isinstance(norm, layers.FusedBatchNormalization):
            norm.gamma.assign(rng.uniform(0.5, 1, norm.gamma.shape))
    path = to_onnx(model, tmp_path / "model.onnx")
    check_scores(path, model, rng.integers(0, 256, (3, *shape), np.uint8))


def test_command(small_model, clips, tmp_path, capsys):
    weights, labels = tmp_path / "model.keras", tmp_path / "labels.txt"
    small_model.save(weights)
    labels.write_text("\n".join(NAMES))
    output = tmp_path / "out" / "model.onnx"
    flags = ["export", "--weights", str(weights), "--output", str(output), "--labels", str(labels)]
    assert main([*flags, "--short-side", "36"]) == output
    size = output.stat().st_size
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"{output} ({size / 1e6:.1f} MB, ")
    check_scores(output, small_model, clips)
    properties = {p.key: json.loads(p.value) for p in onnx.load(output).metadata_props}
    # A file of Keras knows no rule of frames: that of the network is taken.
    assert properties["clips"]["sampling"] == smallbig_keras.SmallBigR23.clips.sampling
    assert (properties["clips"]["frames"], properties["clips"]["short_side"]) == (SHAPE[0], 36)
    assert properties["labels"] == NAMES

    with pytest.raises(SystemExit, match="error: .*--overwrite.. Received: .*model.onnx") as stop:
        main(flags)
    assert stop.value.code == 2
    main([*flags, "--overwrite", "--naive"])
    assert count(output)["Transpose"] > 50
