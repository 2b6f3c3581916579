"""Loggers of a training, on doubles of Weights & Biases and MLflow."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from smallbig_keras import runs
from smallbig_keras.errors import MissingPackageError, ResourceError, SmallBigError
from smallbig_keras.training.curves import CURVES
from smallbig_keras.training.logs import IDS, loggers
from smallbig_keras.training.resolution import resolve
from tests.training.logger_doubles import VARIABLES, Refused, install_doubles


@pytest.fixture
def calls(monkeypatch):
    """The calls that doubles of both packages got."""
    return install_doubles(monkeypatch)


def train(run, log_to, epochs=1, epoch=0, error=None):
    """Trains a network of one weight, as the loop does."""
    config = {"log_to": log_to, "lr": 0.1, "class_names": ["a"], "stride": None}
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x = np.ones((4, 1))
    with loggers(config, run) as logging:
        if error is not None:
            raise error
        model.fit(
            *(x, x),
            epochs=epochs,
            initial_epoch=epoch,
            callbacks=[Scores(run), *logging],
            verbose=0,
        )


class Scores(keras.callbacks.Callback):
    """Adds the accuracy that a log must have, and writes the log as the recorder of a run does."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch, logs=None):
        logs |= {"top1": 0.5, "val_top1": 0.4, "val_loss": 1.0}
        row = {"epoch": epoch + 1, "learning_rate": 0.1, **{k: float(v) for k, v in logs.items()}}
        runs.write_log(self.run, [*runs.read_log(self.run)[:epoch], row])


COLUMNS = ["loss", "top1", "val_loss", "val_top1"]


def test_wandb_run_is_continued_by_a_resume(calls, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    train(run, ("wandb",), epochs=2)
    ((_, *init), *rest) = calls
    project, folder, number, name, config, resume = init
    assert (project, folder, name, resume) == ("smallbig-keras", run, "run", "allow")
    # The options that are set, without the facts.
    assert config == {"log_to": ["wandb"], "lr": 0.1}
    assert len(number) == 16 and json.loads((run / IDS).read_text()) == {"wandb": {"id": number}}
    assert rest == [("epoch", 0, COLUMNS), ("epoch", 1, COLUMNS), ("finish", 0)]
    calls.clear()
    train(run, ("wandb",), epochs=3, epoch=2)
    assert calls[0][3] == number
    assert calls[1:] == [("epoch", 2, COLUMNS), ("finish", 0)]
    other = tmp_path / "other"
    other.mkdir()
    train(other, ["wandb"])
    assert calls[3][3] != number


def test_mlflow_run_is_continued_by_a_resume(calls, tmp_path):
    train(tmp_path, ("mlflow", "mlflow"))
    assert calls == [
        ("set_experiment", "smallbig-keras"),
        ("start_run", None, tmp_path.name),
        ("log_params", {"log_to": ["mlflow", "mlflow"], "lr": 0.1}),
        ("epoch", 0, COLUMNS),
        ("end_run", "FINISHED"),
    ]
    ids = {"mlflow": {"run_id": "abc", "tracking_uri": "sqlite:////place/mlflow.db"}}
    assert json.loads((tmp_path / IDS).read_text()) == ids
    calls.clear()
    # Parameters of a run cannot be set twice.
    train(tmp_path, ("mlflow",), epochs=2, epoch=1)
    assert calls == [
        ("set_tracking_uri", "sqlite:////place/mlflow.db"),
        ("start_run", "abc", None),
        ("epoch", 1, COLUMNS),
        ("end_run", "FINISHED"),
    ]


def test_settings_of_the_user_come_first(calls, tmp_path, monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "mine")
    monkeypatch.setattr(sys.modules["mlflow"], "is_tracking_uri_set", lambda: True)
    for epoch in range(2):
        train(tmp_path, ("wandb", "mlflow"), epochs=epoch + 1, epoch=epoch)
    assert {call[1] for call in calls if call[0] == "init"} == {"mine"}
    assert not {"set_experiment", "set_tracking_uri"} & {call[0] for call in calls}
    # An address may hold a password.
    assert json.loads((tmp_path / IDS).read_text())["mlflow"]["tracking_uri"] is None


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt()])
def test_runs_are_closed_by_an_exception(calls, tmp_path, error):
    with pytest.raises(type(error)):
        train(tmp_path, ("wandb", "mlflow"), error=error)
    assert calls[-2:] == [("end_run", "FAILED"), ("finish", 1)]


def test_mlflow_run_is_closed_when_its_parameters_are_refused(calls, tmp_path, monkeypatch):
    def log_params(params):
        raise Refused("too long")

    monkeypatch.setattr(sys.modules["mlflow"], "log_params", log_params)
    with pytest.raises(ResourceError, match="too long"):
        train(tmp_path, ("mlflow",))
    assert calls[-1] == ("end_run", "FAILED")


@pytest.mark.parametrize(
    "name, start, fix",
    [("wandb", "init", "wandb login"), ("mlflow", "start_run", "the MLFLOW_TRACK")],
)
def test_refused_run(calls, tmp_path, monkeypatch, name, start, fix):
    def refuse(**_):
        raise Refused("no key")

    monkeypatch.setattr(sys.modules[name], start, refuse)
    rule = f"--log-to {name} needs {fix}(.|\n)* --resume .*\nReceived: no key"
    with pytest.raises(ResourceError, match=rule):
        train(tmp_path, (name,))
    assert ("finish", 1) not in calls and ("end_run", "FAILED") not in calls


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_open_run_of_the_user_is_left_alone(calls, tmp_path, name):
    if name == "wandb":
        sys.modules["wandb"].init(id="mine")
    else:
        sys.modules["mlflow"].start_run("mine")
    calls.clear()
    with pytest.raises(SmallBigError, match=f"--log-to {name} .*Received: an open run, mine"):
        train(tmp_path, (name,))
    assert calls == []


def test_damaged_names_of_runs(calls, tmp_path):
    (tmp_path / IDS).write_text("{")
    with pytest.raises(SmallBigError, match=f"{IDS} must be a whole JSON file: delete it"):
        train(tmp_path, ("wandb",))


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboard"])
def test_missing_package_is_an_error_before_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    extra = "sample" if name == "tensorboard" else name
    with pytest.raises(MissingPackageError, match=rf'pip install "smallbig-keras\[{extra}\]"'):
        resolve({"dataset": "sthv2", "log_to": (name,), "output": "run"})
    assert list(tmp_path.iterdir()) == []


def test_unknown_logger():
    with pytest.raises(SmallBigError, match="--log-to must be .*Did you mean 'wandb'"):
        resolve({"dataset": "sthv2", "log_to": ("wand",)})


@pytest.mark.parametrize("log_to, logged", [(None, True), (["tensorboard"], True), ((), False)])
def test_tensorboard(log_to, logged, tmp_path):
    train(tmp_path, log_to)
    assert any((tmp_path / "tensorboard").rglob("*tfevents*")) == logged
    assert (tmp_path / CURVES).is_file()


def test_one_line_an_optional_log_that_is_missing(tmp_path, monkeypatch, capsys):
    for name in ("tensorboard", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    train(tmp_path, None)
    assert capsys.readouterr().out.splitlines() == [
        'no curves.png: pip install "smallbig-keras[plots]" has the package',
        'no TensorBoard log: pip install "smallbig-keras[sample]" has the package',
    ]
    assert not (tmp_path / CURVES).exists() and not (tmp_path / "tensorboard").exists()


def test_help_imports_no_logger():
    script = (
        "import sys; from smallbig_keras.cli import make_parser\n"
        "make_parser('fit')[0].format_help()\n"
        "print([m for m in ('wandb', 'mlflow', 'matplotlib', 'keras') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr
