"""The promises of every export: models and arguments, files that are there, disks that fail."""

import sys

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.data import ClipConfig
from smallbig_keras.errors import AlreadyThereError, ResourceError, SmallBigError
from smallbig_keras.export import open_artifact, to_onnx, to_saved_model, to_tflite
from tests.evaluation.small_disk import small_disk
from tests.export.conftest import NAMES, SHAPE, make_model

WRITERS = {"model": to_saved_model, "model.onnx": to_onnx, "model.tflite": to_tflite}
SMALL = {"width": 8, "blocks": (1, 1, 1, 1)}


@pytest.fixture(params=WRITERS)
def name(request):
    return request.param


@pytest.fixture
def write(name):
    return WRITERS[name]


def test_models_that_cannot_be_exported(write, name, tmp_path):
    make = smallbig_keras.C2DR23
    for options, message in (
        ({"include_top": False, "input_shape": SHAPE}, "needs a head.*Received: .* last layer"),
        ({"input_shape": (None, 32, 32, 3)}, r"needs fixed sizes.*Received: .*\(None, 32, 32, 3\)"),
        ({"input_shape": (4, None, None, 3)}, "needs fixed sizes.*Received: input_shape="),
    ):
        with pytest.raises(SmallBigError, match=message):
            write(make(**SMALL, **options), tmp_path / "new" / name)
    grey = keras.Input((4, 32, 32, 1))
    with pytest.raises(SmallBigError, match="takes RGB clips. Received: "):
        write(keras.Model(grey, keras.layers.Flatten()(grey)), tmp_path / "new" / name)
    assert not any(tmp_path.iterdir())


PLACES = {
    "classifier": lambda model: model.get_layer("classifier"),
    "stem_conv": lambda model: model.get_layer("stem_conv"),
    "res5_block1_unit2/conv": lambda model: model.get_layer("res5_block1_unit2").conv,
}


def small(randomize):
    return make_model("SmallBigR23", {"blocks": (1, 1, 1, 1), "extra": "smallbig"}, randomize)


@pytest.mark.parametrize("mode", ["int8", "float8"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantized_models_are_refused(write, name, mode, randomize, tmp_path):
    model = small(randomize)
    model.quantize(mode)
    message = rf"Received: 'classifier', .* quantized to {mode}_from_float32\n.*before `quantize`"
    with pytest.raises(SmallBigError, match=message):
        write(model, tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("place", PLACES)
def test_lora_is_refused(write, name, place, randomize, tmp_path):
    model = small(randomize)
    PLACES[place](model).enable_lora(2)
    with pytest.raises(SmallBigError, match=f"Received: '{place}', .*LoRA.*\n.*merged.weights.h5"):
        write(model, tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("place", PLACES)
def test_lora_is_merged_as_the_refusal_says(place, clips, randomize, tmp_path):
    """The network that is exported in its place gives the same."""
    model = small(randomize)
    layer = PLACES[place](model)
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(0).normal(size=layer.lora_kernel_b.shape))
    model.save_weights(tmp_path / "merged.weights.h5")
    merged = small(randomize)
    before = np.array(merged(smallbig_keras.preprocess_input(clips)))
    merged.load_weights(tmp_path / "merged.weights.h5")
    found = merged(smallbig_keras.preprocess_input(clips))
    expected = model(smallbig_keras.preprocess_input(clips))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found - before).max() > 1e-3


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"class_names": ["one"]}, "must name the 7 classes of the model. Received: 1 names"),
        ({"short_side": 31}, "at least `size`, the crop. Received: short_side=31"),
    ],
)
def test_bad_arguments(small_model, write, name, tmp_path, arguments, message):
    with pytest.raises(SmallBigError, match=message):
        write(small_model, tmp_path / "new" / name, **arguments)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "write, name, arguments, message",
    [
        (to_onnx, "x.tflite", {}, r"must end in .onnx. Did you .*x.onnx'\? Received: .*x.tflite"),
        (to_onnx, "x.v2", {}, "Did you mean '.*x.v2.onnx'"),
        (to_tflite, "x", {}, r"must end in .tflite. Did you mean '.*x.tflite'\? Rec"),
        (to_saved_model, "x.onnx", {}, r"is a folder.*Did you mean '.*x'\? Received: .*x.onnx"),
        (to_saved_model, "x", {"version": 0}, "an int of at least 1. Received: version=0"),
        (to_saved_model, "x", {"input_dtype": "uint"}, r"Did you mean 'uint8'\? Received: .*uint'"),
        (to_tflite, "x.tflite", {"precision": "Float-16"}, "must be .* Did you mean 'float16'"),
        (to_tflite, "x.tflite", {"input_dtype": "int8"}, "must be .*Received: input_dtype='int8'"),
    ],
)
def test_nearest_right_word(small_model, write, name, arguments, message, tmp_path):
    with pytest.raises(SmallBigError, match=message):
        write(small_model, tmp_path / name, **arguments)
    assert not any(tmp_path.iterdir())


def test_what_is_there_is_kept(small_model, write, name, clips, tmp_path):
    path = tmp_path / name
    target = path / "1" if name == "model" else path
    target.mkdir(parents=True)
    (target / "mine").touch()
    with pytest.raises(AlreadyThereError, match=f"overwrite=True .*Received: .*{name}"):
        write(small_model, path)
    assert (target / "mine").exists()
    with small_disk(1000), pytest.raises(ResourceError, match="written: File too large"):
        write(small_model, path, overwrite=True)
    assert (target / "mine").exists()
    # Of an export that was killed.
    target.with_name(f".writing-{target.name}").write_text("half")
    write(small_model, path, class_names=NAMES, overwrite=True)
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    # The exports left the model as it was.
    runner = open_artifact(path)
    assert runner.metadata["labels"] == NAMES
    found = runner.predict(clips)["probabilities"]
    expected = small_model(smallbig_keras.preprocess_input(clips))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_disk_trouble(small_model, write, name, tmp_path):
    """One message, and nothing is left: no half artifact, no folder."""
    with small_disk(1000), pytest.raises(ResourceError, match=f"{name}.* File too large"):
        write(small_model, tmp_path / "new" / "folder" / name)
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder in (f"{tmp_path}/file", f"{tmp_path}/file/new", "/proc/new"):
        with pytest.raises(SmallBigError, match=f"cannot be written: .*. Received: {folder}"):
            write(small_model, f"{folder}/{name}")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "name, package",
    [
        ("model", "tensorflow_serving.apis.prediction_log_pb2"),
        ("model.onnx", "onnx"),
        ("model.onnx", "tf2onnx"),
        ("model.tflite", "ai_edge_litert.interpreter"),
    ],
)
def test_missing_package(small_model, name, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "smallbig-keras\[export\]"'):
        WRITERS[name](small_model, tmp_path / name)
    assert not any(tmp_path.iterdir())


BGR = ClipConfig(frames=4, size=32, mean=(0.1, 0.2, 0.3), std=(0.3, 0.4, 0.5), channel_order="bgr")


def test_blue_comes_first_where_the_network_takes_it_so(write, name, small_model, clips, tmp_path):
    """Artifacts take RGB as all do, and turn the channels round inside."""
    expected = small_model.predict_on_batch(BGR.normalize(clips))
    assert (
        abs(expected - small_model.predict_on_batch(BGR.normalize(clips[..., ::-1]))).max() > 0.01
    )
    path = write(small_model, tmp_path / name, clips=BGR)
    runner = open_artifact(path)
    assert runner.clips == BGR and runner.metadata["input"]["layout"].endswith("RGB")
    np.testing.assert_allclose(runner.predict(clips)["probabilities"], expected, atol=1e-5)
    if name == "model":
        return
    path = write(small_model, tmp_path / f"raw-{name}", clips=BGR, include_preprocessing=False)
    runner = open_artifact(path)
    form = runner.metadata["input"]
    assert form["layout"].endswith("BGR") and form["mean"] == [76.5, 51.0, 25.5]
    np.testing.assert_allclose(runner.predict(clips)["probabilities"], expected, atol=1e-5)
