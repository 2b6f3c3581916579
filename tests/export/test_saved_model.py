"""The SavedModel: its signatures, assets and independence from this package."""

import json
import os
import subprocess
import sys

import cv2
import keras
import numpy as np
import openvino
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

import smallbig_keras
from smallbig_keras.data.transforms import resize
from smallbig_keras.export import to_saved_model
from tests.export.conftest import NAMES, SHAPE

CLIENT = """
import json, sys
sys.modules["smallbig_keras"] = None  # any import of it fails
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
frames = [open(file, "rb").read() for file in sys.argv[2:]]
answer = model.signatures["jpeg"](frames=tf.constant([frames]))
label, scores = answer["labels"][0, 0].numpy(), answer["probabilities"].numpy()
print(json.dumps([label.decode(), scores.tolist()]))
"""


def probabilities(model, clips):
    return model(smallbig_keras.preprocess_input(clips), training=False).numpy()


@pytest.fixture(scope="module")
def folder(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "smallbig"
    assert to_saved_model(small_model, path, NAMES, short_side=36) == path / "1"
    return path


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory):
    """The frames of one clip as files of 40 x 50 pixels, and their decoded values."""
    rng = np.random.default_rng(3)
    files, images = [], []
    for i in range(SHAPE[0]):
        file = tmp_path_factory.getbasetemp() / f"frame{i}.jpg"
        coarse = rng.integers(0, 256, (5, 6, 3), np.uint8)
        cv2.imwrite(str(file), cv2.resize(coarse, (50, 40)))
        files.append(file)
        images.append(cv2.imread(str(file))[..., ::-1])
    return files, np.stack(images)


# The others have the layers of these, by the same signatures.
SAVED = ["R23-reference", "R50-paper", "SlowOnly-paper", "3x3x3", "NonLocal", "NonLocal-plain"]
SAVED += ["TSM", "CoST-b", "CoST-a", "average, apart", "single", "tubes", "logits"]


@pytest.mark.parametrize("any_model", SAVED, indirect=True)
def test_every_model_gives_the_probabilities_of_keras(any_model, clips, tmp_path):
    path = to_saved_model(any_model, tmp_path / "model", NAMES)
    found = tf.saved_model.load(str(path)).signatures["serving_default"](clips=clips)
    expected = probabilities(any_model, clips)
    if any_model.get_layer("predictions").activation is keras.activations.linear:
        np.testing.assert_allclose(found["logits"], expected, rtol=1e-4, atol=1e-4)
        expected = keras.ops.softmax(expected)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


def test_answer_names_the_best_classes(folder, small_model, clips):
    module = tf.saved_model.load(str(folder / "1"))
    answer = module.signatures["serving_default"](clips=clips)
    order = np.argsort(-probabilities(small_model, clips), axis=1)[:, :5]
    np.testing.assert_array_equal(answer["classes"], order)
    expected = [[NAMES[i].encode() for i in row] for row in order]
    np.testing.assert_array_equal(answer["labels"], np.array(expected))
    np.testing.assert_allclose(tf.nn.softmax(answer["logits"]), answer["probabilities"], atol=1e-6)


@pytest.mark.parametrize("input_dtype", ["uint8", "float32"])
def test_opens_as_a_layer_of_keras(small_model, clips, tmp_path, input_dtype):
    path = to_saved_model(small_model, tmp_path / "model", NAMES, input_dtype=input_dtype)
    layer = keras.layers.TFSMLayer(str(path))
    values = clips.astype(input_dtype)
    answer = layer(values)
    np.testing.assert_allclose(
        answer["probabilities"], probabilities(small_model, clips), rtol=0, atol=1e-6
    )
    expected = tf.saved_model.load(str(path)).signatures["serving_default"](clips=values)
    assert set(answer) == set(expected)
    np.testing.assert_array_equal(answer["labels"], expected["labels"])
    signatures = tf.saved_model.load(str(path)).signatures
    assert sorted(signatures) == ["jpeg", "metadata", "serving_default", "views"]


def test_views_are_averaged(folder, small_model, clips):
    module = tf.saved_model.load(str(folder / "1"))
    views = np.stack([clips[:3], clips[2:]])
    answer = module.signatures["views"](views=views)
    scores = probabilities(small_model, clips)
    expected = np.stack([scores[:3].mean(0), scores[2:].mean(0)])
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)


def test_jpeg_request_without_this_package(folder, small_model, jpegs):
    """Decoding, short side and crop in the graph are those of `load_clip`."""
    files, images = jpegs
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, str(folder / "1"), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert result.returncode == 0, result.stderr
    label, scores = json.loads(result.stdout.splitlines()[-1])
    resized = np.rint(resize(images, 36, 45).numpy())
    expected = probabilities(small_model, resized[None, :, 2:34, 6:38])
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert label == NAMES[expected.argmax()]


def test_jpeg_takes_clips_of_different_sizes(folder, jpegs):
    module = tf.saved_model.load(str(folder / "1"))
    _, images = jpegs
    larger = [cv2.resize(image, (80, 64)) for image in images]
    files = [
        [cv2.imencode(".jpg", image)[1].tobytes() for image in clip] for clip in (images, larger)
    ]
    answer = module.signatures["jpeg"](frames=tf.constant(files))
    assert answer["probabilities"].shape == (2, len(NAMES))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        module.signatures["jpeg"](frames=tf.constant([[b"no image"] * SHAPE[0]]))


def test_float_input(small_model, clips, tmp_path):
    path = to_saved_model(small_model, tmp_path / "model", input_dtype="float32")
    module = tf.saved_model.load(str(path))
    answer = module.signatures["serving_default"](clips=clips.astype("float32"))
    expected = probabilities(small_model, clips)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["labels"][0, 0] == f"class {expected[0].argmax()}".encode()


def test_independent_runtime(folder, small_model, clips):
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(folder / "1"), "CPU", settings)
    answer = compiled({"clips": clips})
    expected = probabilities(small_model, clips)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_assets_and_warm_up(folder):
    assets = folder / "1" / "assets"
    assert (assets / "labels.txt").read_text().splitlines() == NAMES
    form = json.loads((assets / "metadata.json").read_text())["input"]
    assert (form["short_side"], form["height"], form["mean"][0]) == (36, 32, 123.675)

    module = tf.saved_model.load(str(folder / "1"))
    requests = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    signatures = []
    for record in tf.data.TFRecordDataset(str(requests)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "smallbig"
        signatures.append(request.model_spec.signature_name)
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        answer = module.signatures[signatures[-1]](**inputs)
        if signatures[-1] != "metadata":
            assert answer["probabilities"].shape == (1, len(NAMES))
    assert signatures == ["serving_default", "jpeg", "views", "metadata"]


def test_versions(small_model, tmp_path):
    path = tmp_path / "model"
    to_saved_model(small_model, path)
    with pytest.raises(FileExistsError, match=r"--overwrite\). Received: .*model"):
        to_saved_model(small_model, path)
    assert to_saved_model(small_model, path, version=2) == path / "2"
    with pytest.raises(FileExistsError, match="model/2"):
        to_saved_model(small_model, path, version=2)
    (path / "1" / "left over").touch()
    to_saved_model(small_model, path, overwrite=True)
    assert not (path / "1" / "left over").exists()
    assert sorted(p.name for p in path.iterdir()) == ["1", "2"]
