"""S3D, S3D-G and I3D in every format: the scores of Keras, by operations in 2-D."""

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras import layers
from smallbig_keras.export import to_onnx, to_saved_model, to_tflite
from smallbig_keras.export.inference_form import inference_form
from tests.conftest import randomize
from tests.export.test_onnx import check_scores, count, scores
from tests.export.test_tflite import errors, expected_scores, run_file, stored_bytes
from tests.models.inception import build

CLASSES = 7
# The others have the layers of these.
ROWS = ["S3DG reference", "S3DG slim", "S3DG milnce", "S3DG milnce_plain", "I3D reference"]


def model_of(row, shape, **options):
    """A tiny network whose logits have a spread of 1."""
    model = randomize(build(row, shape, width=8, classes=CLASSES, **options))
    classifier = model.get_layer("classifier")
    clips = np.random.default_rng(1).standard_normal((2, *shape)).astype("float32")
    logits = keras.Model(model.input, classifier.output)(clips)
    classifier.kernel.assign(classifier.kernel / np.std(logits))
    return model


@pytest.fixture(params=ROWS, scope="module")
def model(request):
    return model_of(request.param, (8, 32, 32, 3))


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(5).integers(0, 256, (3, 8, 32, 32, 3), np.uint8)


def test_tflite(model, clips, tmp_path):
    path = to_tflite(model, tmp_path / "model.tflite")
    assert max(errors(run_file(path, clips), expected_scores(model, clips))) < 1e-4
    size, operations = stored_bytes(path)
    assert size < 1.1 * 4 * smallbig_keras.complexity(model).parameters
    assert not {"CUSTOM", "PADV2"} & set(operations)
    assert not any("3D" in operation for operation in operations)
    assert operations.count("CONV_2D") > 50


def check_onnx(model, clips, path):
    to_onnx(model, path)
    expected = expected_scores(model, clips)
    assert max(errors(scores(path, clips.astype("float32")), expected)) < 1e-4
    check_scores(path, model, clips)
    assert count(path)["Transpose"] < 10
    windows = [
        attribute.ints
        for node in onnx.load(path).graph.node
        for attribute in node.attribute
        if attribute.name == "kernel_shape"
    ]
    assert all(len(window) == 2 for window in windows) and len(windows) > 50


def test_onnx(model, clips, tmp_path):
    check_onnx(model, clips, tmp_path / "model.onnx")


# The layers of the others are traced the same, with either padding of these.
@pytest.mark.parametrize("model", ["S3DG slim", "S3DG milnce"], indirect=True)
def test_saved_model(model, clips, tmp_path):
    path = to_saved_model(model, tmp_path / "model")
    found = tf.saved_model.load(str(path)).signatures["serving_default"](clips=clips)
    found = {name: found[name].numpy() for name in ("probabilities", "logits")}
    assert max(errors(found, expected_scores(model, clips))) < 1e-4


@pytest.mark.parametrize("row", ["S3D reference", "S3DG milnce_plain", "I3D slim"])
def test_odd_sizes_and_several_windows(row, rng, tmp_path):
    """Borders hang on the sizes, and the head has windows over every axis."""
    shape = (27, 39, 45, 3)
    options = {} if "milnce" in row else {"head_window": (2, 1, 2), "dropout": 0.5}
    model = model_of(row, shape, **options)
    clips = rng.integers(0, 256, (3, *shape), np.uint8)
    check_onnx(model, clips, tmp_path / "model.onnx")
    path = to_tflite(model, tmp_path / "model.tflite")
    assert max(errors(run_file(path, clips), expected_scores(model, clips))) < 1e-4


POOLINGS = [
    ((3, 3, 3), (2, 2, 2)),
    ((2, 3, 2), (2, 2, 2)),
    ((3, 4, 3), (1, 3, 2)),
    ((1, 3, 5), (1, 1, 3)),
]


@pytest.mark.parametrize("padding", ["symmetric", "tensorflow", "zeros"])
@pytest.mark.parametrize("size, strides", POOLINGS)
def test_poolings_of_negative_values(size, strides, padding, rng, tmp_path):
    """A border of zeros is none of minus infinity."""
    shape = (7, 10, 11, 3)
    clips = keras.Input(shape, name="clips")
    x = layers.FrameConv(6, 1, use_bias=True, bias_initializer=keras.initializers.Constant(-9))
    x = layers.ClipPooling(size, strides, padding=padding)(x(clips))
    x = layers.SpaceTimeConv(5, (2, 2, 3), (1, 2, 1), padding="tensorflow")(x)
    x = keras.layers.Dense(4, name="classifier")(layers.WindowedMean((2, 2, None))(x))
    model = keras.Model(clips, keras.layers.Activation("softmax", name="predictions")(x))
    values = rng.integers(0, 256, (3, *shape), np.uint8)
    expected = expected_scores(model, values)
    path = to_onnx(model, tmp_path / "model.onnx")
    assert max(errors(scores(path, values.astype("float32")), expected)) < 1e-4
    path = to_tflite(model, tmp_path / "model.tflite")
    assert max(errors(run_file(path, values), expected)) < 1e-4


def test_only_what_is_not_negative_has_zeros_for_a_border(rng):
    clips = keras.Input((4, 9, 9, 3))
    relu = keras.layers.Activation("relu")(clips)
    gate = layers.ChannelGate()(relu)
    parts = keras.layers.Concatenate()([gate, layers.ClipPooling()(relu)])
    mixed = keras.layers.Concatenate()([relu, clips])
    pools = [layers.ClipPooling((3, 3, 3), (2, 2, 2))(x) for x in (parts, mixed, gate, clips)]
    model = keras.Model(clips, pools)
    form = inference_form(model)
    kinds = [type(layer).__name__ for layer in form.layers if "Pooling" in type(layer).__name__]
    assert sorted(kinds) == ["ClipPooling"] * 3 + ["_ZeroPaddedPooling"] * 2
    values = rng.standard_normal((2, 4, 9, 9, 3)).astype("float32") - 2
    for found, expected in zip(form(values), model(values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
