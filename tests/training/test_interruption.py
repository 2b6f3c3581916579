"""A training that is stopped at any moment goes on to the weights of one that was not."""

import json
import os
import pathlib
import shutil
import signal

import h5py
import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import data, runs
from smallbig_keras.cli import main
from smallbig_keras.training import checkpoints, compiling, interruption, loop, recorder
from tests.data.miniatures import MINIATURES

SMALL = [
    *("--model", "C2DR23", "--frames", "2", "--size", "32", "--short-side", "36", "45"),
    *("--test-short-side", "36", "--batch-size", "2", "--weights", "none", "--seed", "3"),
    *("--recipe", "paper", "--epochs", "2", "--lr", "0.02"),
]
NETWORK = {"blocks": [1, 1, 1, 1], "width": 8}
# Everything that has a state of its own.
STATES = [
    *("--options", json.dumps({**NETWORK, "dropout": 0.5}), "--dtype", "mixed_float16"),
    *("--ema", "0.9", "--mixup-mode", "mixup", "--randaugment", "1", "0.5"),
    *("--clip-norm", "1", "--label-smoothing", "0.1", "--warmup-epochs", "1"),
]
PLAIN = ["--options", json.dumps(NETWORK), "--class-weights", "balanced"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return MINIATURES["folder"](tmp_path_factory.mktemp("data") / "folder")


def fit(root, output, *more):
    main(["fit", "--dataset", "folder", "--data-root", str(root), "--output", str(output)]
         + [*SMALL, *more])  # fmt: skip


def arrays(file):
    """All numbers in a file by name."""
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(file) as opened:
        opened.visititems(add)
    return found


def assert_equal(one, other):
    for name in (runs.BEST, runs.LAST):
        expected, actual = (arrays(run / name) for run in (one, other))
        assert set(expected) == set(actual)
        for key, value in expected.items():
            np.testing.assert_array_equal(actual[key], value, err_msg=f"{name}: {key}")
    rows = []
    for run in (one, other):
        log = runs.read_log(run)
        rows.append(
            [{k: r[k] for k in ("epoch", "loss", "top1", "val_loss", "val_top1")} for r in log]
        )
    assert rows[0] == rows[1]


def copy_run(run, folder):
    """Copies the files of a run into a folder of their own."""
    return pathlib.Path(shutil.copytree(run, folder / "run"))


def stop_at(monkeypatch, hook, epoch, index, number):
    """Sends a signal to this process in a call of the recorder."""
    original = getattr(recorder.RunRecorder, hook)

    def call(self, batch, logs=None):
        if (self.place.epoch, batch) == (epoch, index):
            os.kill(os.getpid(), number)
        original(self, batch, logs)

    monkeypatch.setattr(recorder.RunRecorder, hook, call)


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """Runs that nothing interrupted, by their flags."""
    made = {}

    def make(flags):
        if tuple(flags) not in made:
            made[tuple(flags)] = output = tmp_path_factory.mktemp("runs") / "whole"
            fit(root, output, *flags)
        return made[tuple(flags)]

    return make


@pytest.mark.parametrize("flags", [PLAIN, STATES], ids=["plain", "states"])
@pytest.mark.parametrize(
    "hook, epoch, index, number, code, place",
    [
        ("on_train_batch_end", 0, 1, signal.SIGTERM, 143, (0, 2)),
        ("on_test_batch_end", 1, 0, signal.SIGTERM, 143, (1, 3)),
        ("on_train_batch_end", 1, 0, signal.SIGINT, 130, (1, 1)),
    ],
    ids=["step", "validation", "ctrl-c"],
)
def test_stopped_run_goes_on_to_the_same_weights(
    flags, hook, epoch, index, number, code, place, root, whole, tmp_path, monkeypatch, capsys
):
    expected, run = whole(flags), tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, hook, epoch, index, number)
        with pytest.raises(SystemExit) as end:
            fit(root, run, *flags)
    assert end.value.code == code
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Interrupted. Resume with: smallbig fit --resume {run}"
    )
    assert tuple(arrays(run / runs.LAST)["training/place"]) == place
    # Signals do what they did.
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    main(["fit", "--resume", str(run)])
    assert f"from epoch {place[0]}, step {place[1]}" in capsys.readouterr().out
    assert_equal(expected, run)


def test_checkpoints_within_an_epoch(root, whole, tmp_path, monkeypatch):
    """A process that is killed after a step loses the steps since the last checkpoint only."""
    run, places = tmp_path / "run", []
    save = checkpoints.save

    def killed(model, folder, place, *more):
        save(model, folder, place, *more)
        places.append(tuple(place))
        if place == (1, 2):
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", killed)
        with pytest.raises(MemoryError):
            fit(root, run, *PLAIN, "--checkpoint-every", "1e-9")
    assert places == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]
    # The newest one is half written: the one before it is taken.
    last = (run / runs.LAST).read_bytes()
    (run / runs.LAST).write_bytes(last[: len(last) // 2])
    main(["fit", "--resume", str(run)])
    assert_equal(whole(PLAIN), run)


def test_a_bit_that_flipped_in_a_checkpoint(whole, tmp_path, capsys):
    """HDF5 has no checksum of its numbers: a checkpoint brings one."""
    run = copy_run(whole(PLAIN), tmp_path)
    content = bytearray((run / runs.LAST).read_bytes())
    weights = arrays(run / runs.LAST)["layers/dense/vars/0"].tobytes()
    content[content.index(weights) + 40] ^= 1
    (run / runs.LAST).write_bytes(content)
    main(["fit", "--resume", str(run)])
    assert "last.weights.h5 is not whole, the checkpoint before it" in capsys.readouterr().out
    assert_equal(whole(PLAIN), run)


def test_signal_before_the_first_step(root, tmp_path, monkeypatch, capsys):
    def stop(*_):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop, "_clips", stop)
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        fit(root, run, *PLAIN)
    assert end.value.code == 143
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"smallbig fit --resume {run}")


def test_second_signal_stops_at_once():
    noted = interruption.Interruption()
    noted.in_steps = True
    noted.receive(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        noted.receive(signal.SIGINT, None)


def test_loss_that_is_not_finite(root, tmp_path, capsys):
    """Exit code, the batch and its rate written down, and never a best checkpoint."""
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        fit(root, run, *PLAIN, "--lr", "1e30")
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert "best" not in printed.out and "A loss must be a finite number: lower --lr" in printed.err
    found = json.loads((run / runs.NOT_FINITE).read_text())
    (epoch, step), before = ((b["epoch"], b["step"]) for b in found["batches"])
    assert epoch == 1 and 1 < step <= 3 and before == (1, step - 1)
    assert found["where"] == f"epoch 1, step {step}"
    # The rate of that step, in a cosine of six.
    rate = 1e30 * (1 + np.cos(np.pi * (step - 1) / 6)) / 2
    assert found["learning_rate"] == pytest.approx(rate, rel=1e-5)
    names = (run / runs.TRAIN_LIST).read_text()
    for batch in found["batches"]:
        assert len(batch["files"]) == 2
        assert all(os.path.relpath(name, root / "train") in names for name in batch["files"])
    assert not (run / runs.BEST).exists() and not (run / runs.LAST).exists()


def test_validation_that_is_not_finite(root, tmp_path, monkeypatch, capsys):
    evaluate = compiling.ClipTrainer.evaluate

    def poisoned(self, *arguments, **options):
        self.get_layer("stem_norm").moving_variance.assign(np.full(8, np.nan, "float32"))
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(compiling.ClipTrainer, "evaluate", poisoned)
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        fit(root, run, *PLAIN)
    assert end.value.code == 1 and "nan in the validation of epoch 1" in capsys.readouterr().err
    (batch,) = json.loads((run / runs.NOT_FINITE).read_text())["batches"]
    assert (batch["epoch"], batch["step"]) == (1, 3)
    assert not (run / runs.BEST).exists()


def test_float16_run_that_skipped_steps_is_finished(root, whole, tmp_path, capsys):
    """The loss scale skips steps: an epoch is not `iterations` divided by its steps."""
    run = whole(STATES)
    numbers = arrays(run / runs.LAST)
    assert tuple(numbers["training/place"]) == (2, 0)
    # As many as skipped steps would have left.
    with h5py.File(run / runs.LAST, "r+") as file:
        for key in [k for k in numbers if k.startswith("optimizer/") and numbers[k].dtype == int]:
            if numbers[key] == 6:
                file[key][...] = 4
    before = (run / runs.LOG).read_bytes()
    capsys.readouterr()
    main(["fit", "--resume", str(run)])
    assert "from epoch 2" in capsys.readouterr().out
    assert (run / runs.LOG).read_bytes() == before


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"dtype": "mixed_bfloat16"},
            "with its --dtype: .*dtype=float32 in a run of mixed_bfloat16",
        ),
        ({"versions": {"keras": "3.0.0"}}, "the versions that it began with.*keras 3.0.0 -> "),
    ],
)
def test_resume_of_another_training(change, message, whole, tmp_path):
    run = copy_run(whole(PLAIN), tmp_path)
    runs.write_config(run, runs.read_config(run) | change)
    with pytest.raises(SystemExit, match=message) as end:
        main(["fit", "--resume", str(run)])
    assert end.value.code == 2
    if "versions" in change:
        main(["fit", "--resume", str(run), "--allow-versions"])
        assert runs.read_config(run)["versions"]["keras"] == keras.__version__


def test_run_of_an_older_version_goes_on(whole, tmp_path, capsys):
    """It knows none of the new options, and its checkpoints have no place in an epoch."""
    run = copy_run(whole(PLAIN), tmp_path)
    new = ("checkpoint_every", "deterministic", "clip_norm", "ema", "label_smoothing", "log_to")
    config = runs.read_config(run)
    kept = {name: config[name] for name in config if name not in (*new, "class_weights")}
    runs.write_config(run, {**kept, "epochs": 3})
    for name in (runs.BEST, runs.LAST, runs.PREVIOUS):
        with h5py.File(run / name, "r+") as file:
            del file["training"]
    main(["fit", "--resume", str(run)])
    assert "from epoch 2" in capsys.readouterr().out
    assert [row["epoch"] for row in runs.read_log(run)] == [1, 2, 3]


def test_best_weights_say_which_epoch_they_are_of(whole, tmp_path):
    run = whole(PLAIN)
    best = runs.best_row(runs.read_log(run))
    row = runs.read_best(run)
    assert row["epoch"] == best["epoch"]
    assert row["val_top1"] == best["val_top1"] and row["val_loss"] == best["val_loss"]
    # A damaged row is not believed.
    copy = copy_run(run, tmp_path)
    with h5py.File(copy / runs.BEST, "r+") as file:
        file["training/row"][:5] = 255
    assert runs.read_best(copy) == best


def test_averaged_weights_are_those_that_are_logged_and_saved(root, tmp_path):
    run = tmp_path / "run"
    fit(root, run, *PLAIN, "--ema", "0.9")
    row = runs.read_best(run)
    classifier = smallbig_keras.load(run)
    videos = sorted((root / "val").rglob("*.*"))
    names = classifier.class_names
    clips = data.clip_dataset(
        [(video, video.parent.name) for video in videos],
        clips=classifier.clips,
        class_names=names,
        batch_size=len(videos),
        training=False,
    )
    (batch, labels) = next(iter(clips))
    scores = classifier.model.predict(batch, verbose=0)
    loss = -np.log(scores[range(len(videos)), labels]).mean()
    assert loss == pytest.approx(row["val_loss"], rel=1e-5)
    if row["epoch"] == 2:
        # The training goes on with weights of its own.
        saved, last = arrays(run / runs.BEST), arrays(run / runs.LAST)
        assert np.abs(saved["layers/dense/vars/0"] - last["layers/dense/vars/0"]).max() > 1e-5


def test_all_validation_videos_unreadable(root, whole, tmp_path, capsys):
    copy = tmp_path / "data"
    shutil.copytree(root, copy)
    for video in (copy / "val").rglob("*.*"):
        video.write_bytes(b"no video")
    run = tmp_path / "run"
    with pytest.raises(SystemExit, match="one video for validation that can be read") as end:
        fit(copy, run, *PLAIN)
    assert end.value.code == 2
    assert capsys.readouterr().out.count("\n'" + str(copy / "val")) == 3
    assert not (run / runs.BEST).exists()
    # The epoch is kept.
    shutil.rmtree(copy / "val")
    shutil.copytree(root / "val", copy / "val")
    main(["fit", "--resume", str(run)])
    assert_equal(whole(PLAIN), run)
