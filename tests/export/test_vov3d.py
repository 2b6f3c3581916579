"""The exports of VoV3D, whose head classifies one position of a clip or several."""

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras.export import to_saved_model, to_tflite
from smallbig_keras.export.onnx_export import to_onnx
from smallbig_keras.models.specs.vov3d import VoV3DSpec
from smallbig_keras.models.vov3d import VoV3D
from tests.export.conftest import SHAPE
from tests.export.test_onnx import count, scores
from tests.export.test_tflite import run_file, stored_bytes

TINY = {"width": 8, "blocks": (1, 2, 1, 1), "layers": 3, "classes": 7, "head_width": 32}
MODELS = {
    "one position": (SHAPE, {}, {}),
    "one position, logits": (SHAPE, {"dropout": 0.0}, {"classifier_activation": None}),
    "2 x 3 positions": ((3, 66, 100, 3), {"head_window": 2}, {}),
    "2 x 3 positions, logits": (
        (3, 66, 100, 3),
        {"head_window": 2, "excite_layers": (0,)},
        {"classifier_activation": None},
    ),
}


@pytest.fixture(params=MODELS, scope="module")
def case(request):
    """A model, uint8 clips, and their logits and probabilities, each the mean over positions."""
    from tests.conftest import randomize

    shape, options, arguments = MODELS[request.param]
    model = VoV3D(VoV3DSpec(**TINY, **options), input_shape=shape, name="VoV3D", **arguments)
    randomize(model)
    clips = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    classifier = model.get_layer("classifier")
    positions = keras.Model(model.input, classifier.output)
    pixels = smallbig_keras.preprocess_input(clips)
    classifier.kernel.assign(classifier.kernel / np.std(positions(pixels)))
    logits = positions(pixels, training=False).numpy().reshape(3, -1, 7)
    assert logits.shape[1] == (1 if shape is SHAPE else 6)
    probabilities = np.asarray(keras.ops.softmax(logits))
    return model, clips, {"logits": logits.mean(1), "probabilities": probabilities.mean(1)}


def check(found, expected):
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=0, atol=1e-4)


def test_tflite(case, tmp_path):
    model, clips, expected = case
    path = to_tflite(model, tmp_path / "model.tflite")
    check(run_file(path, clips), expected)
    size, operations = stored_bytes(path)
    assert size < 1.06 * 4 * smallbig_keras.complexity(model).parameters
    assert "CUSTOM" not in operations and not any("3D" in name for name in operations)
    # One over space and one over time in each of 5 x 3 layers, and that of the stem.
    assert operations.count("DEPTHWISE_CONV_2D") == 31


# With and without a softmax, and with one position and several.
@pytest.mark.parametrize("case", ["one position", "2 x 3 positions, logits"], indirect=True)
@pytest.mark.parametrize("precision, most", [("float16", 0.01), ("dynamic", 0.15), ("int8", 0.25)])
def test_tflite_precisions(case, precision, most, tmp_path):
    model, clips, expected = case
    rng = np.random.default_rng(2)
    representative = rng.integers(0, 256, (16, *clips.shape[1:]), np.uint8)
    path = tmp_path / "model.tflite"
    to_tflite(model, path, precision, representative if precision == "int8" else None)
    difference = run_file(path, clips)["logits"] - expected["logits"]
    assert np.sqrt(np.mean(difference**2)) < most * np.std(expected["logits"])


def test_onnx(case, tmp_path):
    model, clips, expected = case
    path = to_onnx(model, tmp_path / "model.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    for batch in (1, 3):
        found = scores(path, clips[:batch].astype("float32"))
        check(found, {name: values[:batch] for name, values in expected.items()})
    assert count(path)["Transpose"] < 10
    windows = [
        len(attribute.ints)
        for node in onnx.load(path).graph.node
        for attribute in node.attribute
        if attribute.name == "kernel_shape"
    ]
    assert set(windows) == {2} and len(windows) > 50
    assert path.stat().st_size < 4 * model.count_params() + 200_000


def test_saved_model(case, tmp_path):
    model, clips, expected = case
    path = to_saved_model(model, tmp_path / "model")
    check(tf.saved_model.load(str(path)).signatures["serving_default"](clips=clips), expected)


def test_temporal_groups_of_other_kinds(rng, tmp_path):
    """Depthwise with steps that no network has; groups of several channels are refused."""
    shape = (7, 9, 8, 3)

    def build(groups):
        conv = smallbig_keras.layers.TemporalConv
        clips = keras.Input(shape, name="clips")
        x = smallbig_keras.layers.FrameConv(4, 1)(clips)
        x = conv(4, 3, strides=2, groups=groups, use_bias=True, bias_initializer="ones")(x)
        x = conv(4, 3, groups=4, dilation_rate=2, activation="relu")(x)
        x = conv(4, 3, groups=4, padding="valid")(x)
        x = keras.layers.GlobalAveragePooling3D()(x)
        x = keras.layers.Dense(4, name="classifier")(x)
        return keras.Model(clips, keras.layers.Activation("softmax", name="predictions")(x))

    model, clips = build(4), rng.integers(0, 256, (3, *shape), np.uint8)
    found = scores(to_onnx(model, tmp_path / "model.onnx"), clips.astype("float32"))
    expected = model(smallbig_keras.preprocess_input(clips), training=False)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    with pytest.raises(ValueError, match="one a channel .* Received: groups=2 of"):
        to_onnx(build(2), tmp_path / "groups.onnx")
