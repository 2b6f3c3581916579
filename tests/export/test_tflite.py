"""The TFLite file: scores in every precision, operations, metadata, errors that leave nothing."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.cli import main
from smallbig_keras.export import tflite
from smallbig_keras.export.inference_form import inference_form
from tests.export.conftest import MODELS, NAMES, SHAPE, SMALL, make_model

# Factors of the representative clips.
ONE_NAN = np.where(np.arange(16) == 7, np.nan, 1)[:, None, None, None, None]

PRECISIONS = ["R23-paper", "R50-paper", "SlowOnly-paper", "C2D", "NonLocal", "TSM", "CoST-b"]


def run_file(path, clips, **options):
    """The scores of LiteRT for clips, one after the other."""
    runner = Interpreter(model_path=str(path), **options).get_signature_runner()
    (clip,) = runner.get_input_details().values()
    assert clip["name"].startswith("serving_default_clips") and clip["shape"][0] == 1
    each = [runner(clips=value[None].astype(clip["dtype"])) for value in clips]
    assert all(value.dtype == np.float32 for value in each[0].values())
    return {name: np.concatenate([outputs[name] for outputs in each]) for name in each[0]}


def expected_scores(model, clips):
    logits = keras.Model(model.input, model.get_layer("classifier").output)
    logits = keras.ops.convert_to_numpy(logits(smallbig_keras.preprocess_input(clips)))
    return {
        "logits": logits,
        "probabilities": keras.ops.convert_to_numpy(keras.ops.softmax(logits)),
    }


def errors(found, expected):
    """The largest difference of a probability, and the logits' relative to their spread."""
    assert set(found) == set(expected)
    difference = {name: found[name] - expected[name] for name in expected}
    spread = np.sqrt(np.mean(difference["logits"] ** 2)) / np.std(expected["logits"])
    return np.max(np.abs(difference["probabilities"])), spread


def stored_bytes(path):
    """Bytes of the constants of a file, and the names of its operations."""
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    codes = [
        model.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode()
        for i in range(graph.OperatorsLength())
    ]
    sizes = [model.Buffers(i).DataLength() for i in range(model.BuffersLength())]
    return sum(sizes), [names[code] for code in codes]


@pytest.fixture(scope="module")
def representative():
    return np.random.default_rng(6).integers(0, 256, (16, *SHAPE), np.uint8)


@pytest.fixture(scope="module")
def small_file(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    assert tflite.to_tflite(small_model, path, class_names=NAMES, short_side=36) == path
    return path


def test_every_model_gives_the_scores_of_keras(any_model, clips, tmp_path):
    path = tflite.to_tflite(any_model, tmp_path / "model.tflite")
    probability, spread = errors(run_file(path, clips[:3]), expected_scores(any_model, clips[:3]))
    assert probability < 1e-4 and spread < 1e-4
    # Every kernel once: the converter would store that of a unit with two normalisations twice.
    size, operations = stored_bytes(path)
    assert size < 1.06 * 4 * smallbig_keras.complexity(any_model).parameters
    assert "CUSTOM" not in operations and "PADV2" not in operations
    assert "CONV_2D" in operations and not any("3D" in operation for operation in operations)


@pytest.mark.parametrize("name", PRECISIONS)
def test_precisions(name, clips, representative, randomize, tmp_path):
    model = make_model(*MODELS[name], randomize)
    expected = expected_scores(model, clips)
    parameters = smallbig_keras.complexity(model).parameters
    for precision, most, bytes_each in (
        ("float16", 0.01, 2),
        ("dynamic", 0.15, 1),
        ("int8", 0.2, 1),
    ):
        path = tmp_path / f"{precision}.tflite"
        quantised = [representative] if precision == "int8" else []
        tflite.to_tflite(model, path, precision, *quantised)
        probability, spread = errors(run_file(path, clips), expected)
        assert spread < most
        assert precision != "float16" or probability < 1e-2
        # A channel's int8 bias has four bytes, its scale eight: much in so small a model.
        assert stored_bytes(path)[0] < (1.06 * bytes_each + 0.4) * parameters


def test_bytes_as_input(small_model, clips, representative, tmp_path):
    """uint8 input is RGB values as they are, and the softmax is as fine as that of Keras."""
    found = {}
    for dtype in ("uint8", "float32"):
        path = tmp_path / f"{dtype}.tflite"
        tflite.to_tflite(small_model, path, "int8", representative, input_dtype=dtype)
        found[dtype] = run_file(path, clips)
        assert tflite.read_metadata(path)["input"]["dtype"] == dtype
        np.testing.assert_allclose(
            found[dtype]["probabilities"], tf.nn.softmax(found[dtype]["logits"]), atol=1e-6
        )
    interpreter = Interpreter(model_path=str(tmp_path / "uint8.tflite"))
    (details,) = interpreter.get_input_details()
    assert details["dtype"] == np.uint8 and details["quantization"] == (1.0, 0)
    # Everything between is int8, with int32 for shapes and biases.
    kinds = [np.dtype(t["dtype"]).name for t in interpreter.get_tensor_details() if t["name"]]
    assert set(kinds) == {"uint8", "int8", "int32", "float32"}
    assert kinds.count("uint8") == 1 and kinds.count("float32") == 2
    for name, value in found["uint8"].items():
        np.testing.assert_array_equal(value, found["float32"][name])


def test_normalisations_of_any_scale(clips, randomize, tmp_path):
    """Scales of either view at zero, below zero and far apart, and a clip that is not square."""
    shape = (3, 36, 44, 3)
    options = {"width": 8, "blocks": (1, 1, 1, 1), "extra": None}
    model = smallbig_keras.SmallBigR23(input_shape=shape, classes=7, **options)
    randomize(model)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "gamma":
            values = rng.choice([0, 1e-8, 0.01, 0.5, 1], weight.shape)
            weight.assign(values * rng.choice([-1, 1], weight.shape))
    values = rng.integers(0, 256, (2, *shape), np.uint8)
    for precision in ("float32", "float16"):
        path = tflite.to_tflite(model, tmp_path / f"{precision}.tflite", precision)
        probability, spread = errors(run_file(path, values), expected_scores(model, values))
        assert spread < {"float32": 1e-4, "float16": 1e-2}[precision]
    size, _ = stored_bytes(tmp_path / "float32.tflite")
    assert size < 1.06 * 4 * smallbig_keras.complexity(model).parameters


@pytest.mark.parametrize("size, strides, fusion", [(1, 2, "a"), (3, 2, "b"), (5, 3, "a")])
def test_one_kernel_of_three_views(size, strides, fusion, rng, randomize):
    clips = keras.Input((3, 7, 10, 4))
    layer = smallbig_keras.layers.CoSTConv(6, size, strides, fusion)
    model = randomize(keras.Model(clips, layer(clips)))
    values = rng.standard_normal((2, 3, 7, 10, 4)).astype("float32")
    np.testing.assert_allclose(inference_form(model)(values), model(values), rtol=0, atol=1e-5)


def test_model_of_mixed_precision_and_without_preprocessing(clips, randomize, tmp_path):
    options = ("SmallBigR23", {"blocks": (1, 1, 1, 1), "extra": "smallbig"}, randomize)
    expected = make_model(*options)
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make_model(*options)
    model.set_weights(expected.get_weights())
    path = tflite.to_tflite(model, tmp_path / "model.tflite", include_preprocessing=False)
    found = run_file(path, smallbig_keras.preprocess_input(clips))
    keras.config.set_dtype_policy("float32")
    assert max(errors(found, expected_scores(expected, clips))) < 1e-4
    assert tflite.read_metadata(path)["input"]["normalized_inside"] is False


@pytest.mark.parametrize("options", [{}, {"num_threads": 2}])
def test_interpreters(small_model, small_file, clips, options):
    assert (
        max(errors(run_file(small_file, clips, **options), expected_scores(small_model, clips)))
        < 1e-4
    )
    interpreter = Interpreter(model_path=str(small_file), **options)
    interpreter.allocate_tensors()
    nodes = [node["op_name"] for node in interpreter._get_ops_details()]
    assert nodes.count("DELEGATE") == 1  # XNNPACK takes the whole graph


def test_metadata(small_file):
    info = tflite.read_metadata(small_file)
    assert info["labels"] == NAMES and info["precision"] == "float32"
    form = info["input"]
    assert (form["frames"], form["height"], form["short_side"]) == (SHAPE[0], SHAPE[1], 36)
    with zipfile.ZipFile(small_file) as archive:
        assert archive.read("labels.txt").decode().splitlines() == NAMES
        assert json.loads(archive.read("metadata.json")) == info


def test_files_without_metadata(tmp_path, small_file):
    with pytest.raises(FileNotFoundError, match="must be there. Received: .*missing.tflite"):
        tflite.read_metadata(tmp_path / "missing.tflite")
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(small_file.read_bytes()[:5000])
    with pytest.raises(ValueError, match="has metadata.json inside. Received: .*bare.tflite"):
        tflite.read_metadata(bare)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"precision": "int8"}, "at least 16 clips .*Received: 0 clips"),
        ({"precision": "int8", "representative": iter([1] * 15)}, "Received: 15 clips"),
        ({"representative": []}, "for `precision='int8'` only. Received: precision='float32'"),
        ({"input_dtype": "uint8"}, "needs `precision='int8'`.*Received: precision='float32'"),
    ],
)
def test_bad_arguments(small_model, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        tflite.to_tflite(small_model, tmp_path / "new" / "model.tflite", **arguments)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda clips: clips[:, :2], r"must be \(4, 32, 32, 3\). Received: \(2, 32, 32, 3\)"),
        (lambda clips: clips / 255, "RGB values from 0 to 255. Received: values from 0.0 to 1.0"),
        (lambda clips: clips - 1.0, "Received: values from -1.0 to 254.0"),
        (lambda clips: clips * ONE_NAN, "Received: values from nan to nan"),
    ],
)
def test_bad_representative_clips(small_model, representative, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        tflite.to_tflite(
            small_model, tmp_path / "model.tflite", "int8", change(representative.copy())
        )
    with pytest.raises(ValueError, match="must be finite"):
        tflite.to_tflite(
            small_model,
            tmp_path / "model.tflite",
            "int8",
            representative * ONE_NAN,
            include_preprocessing=False,
        )
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def flex():
    """A flatbuffer with an operation of TensorFlow's."""
    function = tf.function(tf.linalg.det, input_signature=[tf.TensorSpec((2, 2))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], function
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    return converter.convert()


def test_foreign_operations(small_model, flex, tmp_path, monkeypatch):
    message = "built-in operations only.*Received: FlexMatrixDeterminant"
    with pytest.raises(RuntimeError, match=message):
        tflite.check_builtin(flex)
    monkeypatch.setattr(tflite, "_convert", lambda *_: flex)
    with pytest.raises(RuntimeError, match=message):
        tflite.to_tflite(small_model, tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def test_file_that_does_not_load(small_model, flex, tmp_path, monkeypatch):
    # Not by the name that TensorFlow 2.17 answers to, where it is loaded beside LiteRT.
    custom = flex.replace(b"FlexMatrix", b"SomeMatrix")
    monkeypatch.setattr(tflite, "_convert", lambda *_: custom)
    monkeypatch.setattr(tflite, "check_builtin", lambda *_: None)
    with pytest.raises(RuntimeError, match="unresolved custom op: SomeMatrixDeterminant"):
        tflite.to_tflite(small_model, tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def test_command(small_run, small_model, tmp_path, capsys):
    """int8 takes the training videos of the run, of which there are enough, or those named."""
    path = tmp_path / "int8.tflite"
    flags = ["export", "--weights", str(small_run), "--precision", "int8", "--output", str(path)]
    with pytest.raises(SystemExit, match="^error: At least 16 real .*18 videos, --clips 15$"):
        main([*flags, "--clips", "15"])
    main([*flags, "--clips", "16", "--input-dtype", "uint8"])
    size = path.stat().st_size
    each = size / smallbig_keras.complexity(small_model).parameters
    line = f"{path} ({size / 1e6:.1f} MB, {each:.2f} bytes a parameter)"
    assert capsys.readouterr().out.splitlines()[-1] == line
    info = tflite.read_metadata(path)
    assert (info["precision"], info["input"]["dtype"], info["labels"]) == ("int8", "uint8", NAMES)

    videos = str(small_run.parent / "videos")
    with pytest.raises(SystemExit, match="^error: .*Received: 2 videos, --clips 64$"):
        main([*flags, "--overwrite", "--videos", videos])
    with pytest.raises(SystemExit, match="clips are for --precision int8. Received: "):
        main([*flags, "--precision", "float16", "--videos", videos])
    flags[2] = str(shutil.copy(small_run / runs.BEST, tmp_path / "copy.weights.h5"))
    flags += ["--model", "SmallBigR23", "--options", json.dumps(SMALL)]
    flags += ["--frames", str(SHAPE[0]), "--size", str(SHAPE[1])]
    with pytest.raises(SystemExit, match="^error: Real clips come from the dataset of a run"):
        main([*flags, "--overwrite"])
    assert tflite.read_metadata(path) == info
