"""`verify` tells an artifact that is the model from one that is not."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from smallbig_keras import C2DR23, VideoClassifier, data, export
from smallbig_keras.cli import main
from smallbig_keras.labels import preprocess_input
from tests.export.conftest import NAMES, SHAPE, SMALL, make_model


@pytest.fixture(scope="module")
def paths(small_run):
    """One artifact of each format, made by the command line; the suffix names the format."""
    folder = small_run.parent / "artifacts"
    paths = [folder / name for name in ("smallbig", "model.onnx", "model.tflite")]
    for path in paths:
        main(["export", "--weights", str(small_run), "--output", str(path)])
    return paths


def test_artifacts_of_the_run_pass(small_run, paths, capsys, tmp_path):
    table = tmp_path / "table.md"
    flags = ["--weights", str(small_run), "--clips", "10", "--rounds", "2", "--output", str(table)]
    main(["verify", *flags, *map(str, paths)])
    output = capsys.readouterr().out
    assert output.startswith("6 clips\n") and output.count("pass") == 3
    rows = [[cell.strip() for cell in line.split("|")] for line in table.read_text().splitlines()]
    assert [row[1] for row in rows[3:]] == ["smallbig/1", "model.onnx", "model.tflite"]
    assert all(0 < float(row[5]) < 1e-4 or float(row[5]) == 0 for row in rows[3:])
    assert all(row[7] == "100.0%" and float(row[8]) > 0 and float(row[9]) > 0 for row in rows[3:])


def test_another_version_is_added(small_run, tmp_path):
    (tmp_path / "models" / "1").mkdir(parents=True)
    flags = ["export", "--weights", str(small_run), "--output", str(tmp_path / "models")]
    assert main([*flags, "--version", "2"]) == tmp_path / "models" / "2"
    with pytest.raises(SystemExit, match="replaces nothing without .*--overwrite.*models/1"):
        main([*flags, "--version", "1"])


def test_another_model_fails(small_run, paths, capsys, tmp_path, randomize):
    other = make_model("SmallBigR23", SMALL, randomize)
    kernel = other.get_layer("classifier").kernel
    kernel.assign(kernel + 0.05 * keras.random.normal(kernel.shape, seed=1))
    rule = data.ClipConfig(SHAPE[0], size=SHAPE[1], short_side=36)
    wrong = export.to_onnx(other, tmp_path / "wrong.onnx", clips=rule)
    videos = ["--videos", str(small_run.parent / "videos")]
    arguments = ["--weights", str(small_run), *videos, "--rounds", "1", str(paths[1]), str(wrong)]
    with pytest.raises(SystemExit, match="^error: .* out of tolerance.* wrong.onnx$") as stop:
        main(["verify", *arguments])
    assert stop.value.code == 1
    output = capsys.readouterr().out
    assert output.startswith("2 clips\n")
    assert output.count("pass") == 1 and output.count("FAIL") == 1


@pytest.mark.parametrize(
    "precision, change, passed",
    [
        ("float32", 5e-5, True),
        ("float32", 2e-4, False),
        ("float16", 5e-3, True),
        ("float16", 2e-2, False),
        ("int8", 2e-2, True),
        ("int8", np.nan, False),
        ("float32", np.nan, False),
    ],
)
def test_tolerance_of_each_precision(small_model, clips, paths, precision, change, passed):
    runner = export.open_artifact(paths[1])

    def predict(batch):
        outputs = runner.predict(batch)
        return {**outputs, "probabilities": outputs["probabilities"] + np.float32(change)}

    changed = dataclasses.replace(runner, precision=precision, predict=predict)
    _, (row,) = export.compare(small_model, [changed], clips, rounds=1)
    assert row.passed == passed
    if np.isfinite(change):
        assert row.max_probabilities == pytest.approx(change, rel=0.1)
        assert row.agreement == 1


def test_an_artifact_of_other_classes(small_model, clips, paths):
    runner = export.open_artifact(paths[1])

    def predict(batch):
        return {name: values[:, 1:] for name, values in runner.predict(batch).items()}

    other = dataclasses.replace(runner, predict=predict)
    with pytest.raises(ValueError, match="same model, with .* classes. Received: model.onnx with"):
        export.compare(small_model, [other], clips, rounds=1)


@pytest.mark.parametrize("precision, needed", [("dynamic", 0.97), ("int8", 0.95)])
def test_agreement_of_quantised_artifacts(small_model, paths, precision, needed):
    clips = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), np.uint8)
    runner = export.open_artifact(paths[1])

    def with_wrong(count):
        def predict(batch):
            outputs = runner.predict(batch)
            wrong = outputs["probabilities"].copy()
            if len(batch) == 1 and np.any([np.array_equal(batch[0], c) for c in clips[:count]]):
                wrong = np.roll(wrong, 1, axis=1)
            return {**outputs, "probabilities": wrong}

        return dataclasses.replace(runner, precision=precision, predict=predict)

    allowed = int(40 * (1 - needed) + 1e-9)
    for count, passed in ((allowed, True), (allowed + 1, False)):
        _, (row,) = export.compare(
            small_model, [with_wrong(count)], clips, batch_sizes=(1,), rounds=1
        )
        assert row.agreement == pytest.approx(1 - count / 40)
        assert row.passed == passed


def test_bare_weights(small_model, paths, tmp_path, capsys, small_run):
    """A .keras file names its network, a .weights.h5 file needs it named; both need videos."""
    keras_file = tmp_path / "model.keras"
    small_model.save(keras_file)
    videos = ["--videos", str(small_run.parent / "videos"), "--rounds", "1"]
    rule = ["--short-side", "36", "--sampling", "segment"]
    main(["verify", "--weights", str(keras_file), *rule, *videos, str(paths[1])])
    assert "pass" in capsys.readouterr().out
    with pytest.raises(
        SystemExit, match="must state the clips of its classifier.*sampling='segment' for 'dense'"
    ):
        main(["verify", "--weights", str(keras_file), *videos, str(paths[1])])
    with pytest.raises(SystemExit, match="or --videos. Received: --weights .*model.keras"):
        main(["verify", "--weights", str(keras_file), *rule, str(paths[1])])


def test_classifier_of_another_family(small_run, tmp_path, capsys, randomize):
    """The command exports a saved classifier in every format, and all are its network."""
    options = {"blocks": (1, 1, 1, 1), "temporal_stages": (5,), "nonlocal_stages": (3,)}
    model = make_model("CoSTR50", {**options, "nonlocal_blocks": ((1,),) * 4}, randomize)
    rule = data.ClipConfig(SHAPE[0], size=SHAPE[1], short_side=36)
    VideoClassifier(model, rule, NAMES).save(tmp_path / "classifier")
    weights = ["--weights", str(tmp_path / "classifier")]
    paths = [str(tmp_path / name) for name in ("cost", "cost.onnx", "cost.tflite")]
    for path in paths:
        main(["export", *weights, "--output", path])
    videos = ["--videos", str(small_run.parent / "videos"), "--rounds", "1"]
    main(["verify", *weights, *videos, *paths])
    assert capsys.readouterr().out.count("pass") == 3


def test_mixed_precision_is_measured_against_float32(small_model, paths, clips, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = make_model("SmallBigR23", SMALL, lambda model: model)
    keras.config.set_dtype_policy("float32")
    model.set_weights(small_model.get_weights())
    runner = export.open_artifact(paths[1])
    half = model(preprocess_input(clips))
    assert np.abs(half - runner.predict(clips)["probabilities"]).max() > 1e-4
    # A SavedModel computes in float32, too.
    saved = export.open_artifact(export.to_saved_model(model, tmp_path / "saved"))
    _, rows = export.compare(model, [runner, saved], clips, rounds=1)
    assert all(row.passed and row.max_probabilities < 1e-5 for row in rows)


def test_weights_files(tmp_path):
    options = {"width": 8, "blocks": [1, 1, 1, 1]}
    model = C2DR23(input_shape=(2, 32, 32, 3), classes=3, **options)
    weights = tmp_path / "c2d.weights.h5"
    model.save_weights(weights)
    flags = ["--weights", str(weights), "--options", json.dumps(options)]
    flags += ["--frames", "2", "--size", "32", "--output", str(tmp_path / "out" / "model")]
    with pytest.raises(SystemExit, match="of weights alone needs the name of its network"):
        main(["export", *flags])
    with pytest.raises(SystemExit, match="not those of SmallBigR23"):
        main(["export", *flags, "--model", "SmallBigR23"])
    with pytest.raises(SystemExit, match="x.pth, which is not there"):
        main(["export", "--weights", "x.pth", *flags[2:], "--model", "C2DR23"])
    with pytest.raises(SystemExit, match=r"name the classes .*\(3,\). Received: 400 names"):
        main(["export", *flags, "--model", "C2DR23", "--labels", "k400"])
    assert not (tmp_path / "out").exists()
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\nthree\n")
    main(["export", *flags, "--model", "C2DR23", "--labels", str(names)])
    runner = export.open_artifact(tmp_path / "out" / "model")
    assert runner.metadata["labels"] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("model.pt", b"x", "An artifact is a .tflite file, a .onnx file or a folder"),
        ("missing.onnx", None, "An artifact must be there"),
        ("broken.onnx", b"no model", "must be a whole ONNX file"),
        ("broken.tflite", b"no model", "Received: .*broken.tflite"),
    ],
)
def test_bad_artifacts(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export.open_artifact(path)


def test_damaged_tflite(paths, tmp_path):
    data = bytearray(paths[2].read_bytes())
    data[:2000] = bytes(2000)
    (tmp_path / "x.tflite").write_bytes(data)
    with pytest.raises(ValueError, match="x.tflite must be a whole TFLite file. Received: "):
        export.open_artifact(tmp_path / "x.tflite")


def test_saved_models_of_others(paths, tmp_path):
    copy = shutil.copytree(paths[0] / "1", tmp_path / "1")
    (copy / "assets" / "metadata.json").unlink()
    with pytest.raises(ValueError, match="has assets/metadata.json. Received: .*1"):
        export.open_artifact(copy)


def test_bad_clips(small_model, clips):
    for bad in (clips[:0], clips.astype("float32"), clips[:, :2]):
        with pytest.raises(ValueError, match="`clips` must be uint8 of shape"):
            export.compare(small_model, [], bad)


def test_metadata_describes_the_input(paths):
    for path in paths:
        info = export.open_artifact(path).metadata
        assert info["labels"] == NAMES
        form = info["input"]
        assert (form["frames"], form["height"], form["short_side"]) == (SHAPE[0], SHAPE[1], 36)
        assert json.dumps(form["mean"]) == "[123.675, 116.28, 103.53]"
