"""The scripts on real clips: training, evaluation, prediction, and their errors."""

import errno
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras import data, runs
from smallbig_keras.cli import script
from smallbig_keras.opening import load
from smallbig_keras.training import checkpoints, compiling
from tests.training.logger_doubles import install_doubles

fit = script("fit")
evaluate = script("evaluate")
predict = script("predict")
prepare = script("prepare")

TRAINING = pathlib.Path(__file__).parents[2] / "training"


def open_last(run):
    """The model and the state of its optimiser at the end of a run."""
    config = runs.read_config(run)
    steps = config["num_videos"] // config["batch_size"]
    model = compiling.make_model(config, steps, load=False)
    checkpoints.restore(model, pathlib.Path(run), config, steps)
    return model


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A set of 24 and 12 clips in the layout of Something-Something V2."""
    return data.make_sample(
        tmp_path_factory.mktemp("data") / "sample", train_clips=24, val_clips=12
    )


def arguments(sample, output, *more):
    return [
        *("--dataset", "sthv2", "--data-root", str(sample), "--output", str(output)),
        *("--options", '{"blocks": [1, 1, 1, 1], "width": 8}', "--frames", "4", "--size", "32"),
        *("--short-side", "36", "45", "--test-short-side", "36", "--batch-size", "8"),
        *("--weights", "none"),
        *more,
    ]


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory):
    """A run of three epochs that nothing interrupted."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    fit(arguments(sample, output, "--epochs", "3", "--flip", "swap"))
    return output


def test_folder_of_a_run(run, sample):
    files = {"config.json", "classifier.json", "log.csv", "curves.png", "tensorboard"}
    files |= {f"{name}.weights.h5" for name in ("model", "last", "previous")} | {"train_list.txt"}
    assert {file.name for file in run.iterdir()} == files
    config = json.loads((run / "config.json").read_text())
    assert config["data_root"] == str(sample)
    assert config["class_names"][0] == "Approaching something with your camera"
    assert config["lr"] == pytest.approx(0.01 * 8 / 128)
    log = runs.read_log(run)
    assert [row["epoch"] for row in log] == [1, 2, 3]
    for row in log:
        assert 0 < row["step_s"] and 0 <= row["data_s"] < row["step_s"] * 1.5
        assert row["clips_per_s"] == pytest.approx(8 / row["step_s"])
        assert 0.1 < row["memory_gb"] < 24
        assert np.isfinite(row["loss"]) and 0 <= row["top1"] <= row["top5"] <= 1
    assert log[-1]["eta_min"] == 0
    assert any((run / "tensorboard").rglob("*tfevents*"))


def test_evaluation_agrees_with_training(run, capsys):
    result = evaluate(["--weights", str(run), "--batch-size", "5"])
    best = max(runs.read_log(run), key=lambda row: row["val_top1"])
    assert result["top1"] == pytest.approx(best["val_top1"])
    assert result["top5"] == pytest.approx(best["val_top5"])
    expected = f"top1={best['val_top1']:.3f} top5={best['val_top5']:.3f} videos=12"
    assert capsys.readouterr().out.splitlines()[-1] == expected


def test_prediction(run, sample, capsys):
    video = str(sample / "20bn-something-something-v2" / "30.webm")
    predict([video, "--weights", str(run), "--top", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == video
    opened = load(run)
    scores = opened.model.predict(opened.preprocess(video), verbose=0)[0]
    best = np.argsort(-scores)[:3]
    for line, index in zip(lines[1:], best, strict=True):
        percent, name = re.fullmatch(r" +([\d.]+)%  (.+)", line).groups()
        assert float(percent) == pytest.approx(100 * scores[index], abs=0.06)
        assert name == opened.class_names[index]


@pytest.mark.parametrize("number, code", [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_killed_run_continues_to_the_same_weights(number, code, run, sample, tmp_path):
    output = tmp_path / "killed"
    command = [sys.executable, str(TRAINING / "fit.py")]
    process = subprocess.Popen(
        [*command, *arguments(sample, output, "--epochs", "3", "--flip", "swap")]
        + ["--checkpoint-every", "1e-9"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not (output / runs.LAST).exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait() == code
    assert len(runs.read_log(output)) < 3

    fit(["--resume", str(output)])
    whole, continued = (open_last(path) for path in (run, output))
    for expected, actual in zip(whole.weights, continued.weights, strict=True):
        np.testing.assert_array_equal(actual, expected, err_msg=expected.path)
    assert [row["epoch"] for row in runs.read_log(output)] == [1, 2, 3]
    losses = [[row["loss"] for row in runs.read_log(path)] for path in (run, output)]
    assert losses[0] == losses[1]


def test_loggers_of_a_resumed_run_continue_theirs(sample, tmp_path, monkeypatch):
    calls, output, write_log = install_doubles(monkeypatch), tmp_path / "logged", runs.write_log

    def stop(path, rows):
        if len(rows) == 2:
            raise KeyboardInterrupt
        write_log(path, rows)

    monkeypatch.setattr(runs, "write_log", stop)
    with pytest.raises(SystemExit, match="Resume with"):
        fit(arguments(sample, output, "--epochs", "2", "--log-to", "wandb", "mlflow"))
    assert calls[-2:] == [("end_run", "FAILED"), ("finish", 1)]
    (begun,) = [call for call in calls if call[0] == "init"]
    assert begun[5]["batch_size"] == 8 and "class_names" not in begun[5]
    monkeypatch.setattr(runs, "write_log", write_log)
    fit(["--resume", str(output)])
    assert [call for call in calls if call[0] == "init"] == [begun, begun]
    started = [call[1] for call in calls if call[0] == "start_run"]
    assert started == [None, "abc"]
    assert [call[1] for call in calls if call[0] == "epoch"] == [0, 0, 1, 1]
    assert calls[-2:] == [("end_run", "FINISHED"), ("finish", 0)]
    assert not (output / "tensorboard").exists() and (output / "curves.png").is_file()


def test_disk_that_is_full_for_the_curves(sample, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    rule = "curves.png could not be written: No space left .*\nFree the disk, then resume with: "
    with pytest.raises(SystemExit, match=rule):
        fit(arguments(sample, tmp_path / "full", "--epochs", "1"))
    assert (tmp_path / "full" / runs.LAST).is_file()


def test_half_written_checkpoint_is_never_loaded(run, sample, tmp_path, capsys):
    output = tmp_path / "cut"
    fit(arguments(sample, output, "--epochs", "2"))
    last, previous = output / runs.LAST, output / runs.PREVIOUS
    with h5py.File(previous) as file:
        steps = int(file["optimizer/vars/0"][()])
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    model = open_last(output)
    assert int(model.optimizer.iterations) == steps == 3
    assert "not whole" in capsys.readouterr().out
    previous.write_bytes(b"")
    with pytest.raises(ValueError, match="whole checkpoint.*Received: .*previous.weights.h5"):
        open_last(output)


def test_several_devices_with_an_older_keras(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.9.2")
    devices = 2 * tf.config.list_logical_devices("CPU")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices)
    for strategy in ("auto", "mirrored"):
        with pytest.raises(ImportError, match="needs Keras 3.10:.*Received: Keras 3.9.2"):
            compiling.make_strategy(strategy)
    assert compiling.make_strategy("one").num_replicas_in_sync == 1


@pytest.mark.skipif(
    compiling.keras_version() < (3, 10), reason="needs Keras 3.10, older ones are refused"
)
def test_two_devices_reach_the_loss_of_one(sample, tmp_path):
    """Two logical CPU devices, same global batches, normalised over both devices."""
    code = """
        import json, sys
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        from smallbig_keras.cli import main
        for flags in json.loads(sys.argv[1]):
            main(["fit", *flags])
    """
    common = ("--epochs", "1", "--lr", "0.0001", "--strategy")
    flags = [
        arguments(sample, tmp_path / "one", *common, "one"),
        arguments(sample, tmp_path / "mirrored", *common, "mirrored", "--sync-bn"),
    ]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps(flags)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert re.findall(r"\d device\(s\)", result.stdout) == ["1 device(s)", "2 device(s)"]
    outputs = [tmp_path / "one", tmp_path / "mirrored"]
    losses = [row["loss"] for output in outputs for row in runs.read_log(output)]
    weights = [trainable(open_last(output)) for output in outputs]
    assert losses[1] == pytest.approx(losses[0], rel=3e-5)
    config = runs.read_config(tmp_path / "one")
    keras.utils.set_random_seed(config["seed"])
    start = trainable(compiling.make_model(config, steps=3))
    one, mirrored = (trained - start for trained in weights)
    assert np.linalg.norm(one) > 1e-4
    # Rounding grows from step to step, the faster the higher the rate; a wrong mean over
    # replicas would differ by half and more.
    assert np.linalg.norm(mirrored - one) < 5e-2 * np.linalg.norm(one)


def trainable(model):
    return np.concatenate([v.numpy().ravel() for v in model.trainable_variables])


def test_bad_video_is_replaced_in_training_and_an_error_in_evaluation(sample, tmp_path, capsys):
    root = tmp_path / "damaged"
    shutil.copytree(sample, root)
    videos = root / "20bn-something-something-v2"
    (videos / "3.webm").write_bytes(b"no video")
    (videos / "27.webm").unlink()
    output = tmp_path / "run"
    missing = pytest.warns(data.AnnotationWarning, match="1 of 12 listed videos.*27.webm")
    with missing:
        fit(arguments(root, output, "--epochs", "1"))
    printed = capsys.readouterr().out
    assert "unreadable videos in training" in printed and "3.webm" in printed
    assert "unreadable videos in validation" in printed and "27.webm" in printed

    with pytest.raises(SystemExit) as error:
        evaluate(["--weights", str(output)])
    assert "27.webm" in str(error.value)
    with missing:
        evaluate(["--weights", str(output), "--skip-bad"])
    printed = capsys.readouterr().out
    assert "27.webm" in printed
    assert printed.splitlines()[-1].endswith("videos=11")

    with missing, pytest.raises(SystemExit, match="At most 0 unreadable videos.*Received: 1"):
        fit(arguments(root, tmp_path / "strict", "--epochs", "1", "--max-bad-clips", "0"))
    with pytest.raises(SystemExit, match="Received: .*3.webm"):
        predict([str(videos / name) for name in ("3.webm", "4.webm")] + ["--weights", str(output)])
    assert "4.webm" in capsys.readouterr().out


def test_prepare_sample_and_its_errors(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match="Received: out=.*full"):
        prepare(["sample", "--out", str(tmp_path / "full")])
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_run_folder_is_not_overwritten(run, sample):
    with pytest.raises(SystemExit, match="holds a run. Continue it with smallbig fit --resume"):
        fit(arguments(sample, run, "--epochs", "1"))


def test_batch_and_set_must_fit(sample, tmp_path):
    with pytest.raises(SystemExit, match="batch_size=32, 24 for training"):
        fit(arguments(sample, tmp_path / "run", "--batch-size", "32"))
    assert not (tmp_path / "run").exists()


def test_damaged_configuration(tmp_path):
    (tmp_path / "config.json").write_text('{"model": ')
    with pytest.raises(SystemExit, match="config.json must be a whole JSON file. Received: "):
        fit(["--resume", str(tmp_path)])


def test_probabilities_train_like_logits():
    """Keras must see through the softmax: a loss beyond 1e-7 is not clipped."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    x = np.array([[0.0, 50.0]], "float32")
    assert model.test_on_batch(x, np.array([0])) == pytest.approx(50, rel=1e-5)


def test_fine_tuning(run, sample, tmp_path, capsys):
    """Weights of a run: what was loaded is printed; frozen parts stay, through a resume too."""
    output = tmp_path / "tuned"
    flags = arguments(sample, output, "--epochs", "2", "--lr", "0.01")
    flags += ["--weights", str(run), "--freeze", "stem", "res2", "norm"]
    with pytest.raises(SystemExit, match="--weights none"):
        fit([*flags, "--weights", "sthv1"])
    assert not output.exists()

    fit(flags)
    printed = capsys.readouterr().out
    start, end = load(run).model, load(output / runs.LAST).model
    assert f"loaded   {len(start.weights)} variables" in printed
    changed = {
        new.path
        for old, new in zip(start.weights, end.weights, strict=True)
        if not np.array_equal(old, new)
    }
    frozen = [p for p in changed if p.startswith(("stem", "res2")) or "norm" in p]
    assert changed and not frozen
    assert {"classifier/kernel", "res5_block1_unit2_conv/kernel"} <= changed

    (output / runs.LAST).unlink()
    fit(["--resume", str(output)])
    continued = load(output / runs.LAST).model
    for expected, actual in zip(end.weights, continued.weights, strict=True):
        np.testing.assert_array_equal(actual, expected, err_msg=expected.path)


def test_new_normalisations_are_not_frozen(run):
    """At scale 0 a frozen one would switch its view off."""
    import smallbig_keras

    model = smallbig_keras.SmallBigR23(
        input_shape=(2, 32, 32, 3), blocks=(1, 1, 1, 1), width=8, classes=3
    )
    loaded = {v.path for v in model.weights if "big_norm" not in v.path}
    frozen = compiling.find_frozen(model, ["norm"], loaded)
    assert "res3_block1_unit1/norm" in frozen and "stem_norm" in frozen
    assert not any("big_norm" in path for path in frozen)
