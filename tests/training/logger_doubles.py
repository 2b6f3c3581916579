"""Doubles of Weights & Biases and MLflow, which record the calls that they get."""

import importlib.machinery
import sys
import types

import keras

# Of the environment: the user's own project and experiment.
VARIABLES = ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")


class Refused(Exception):
    """Stands for `wandb.Error` and `mlflow.MlflowException`."""


class Epochs(keras.callbacks.Callback):
    """Records the epochs that a logger sees."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("epoch", epoch, sorted(logs)))


def install(monkeypatch, name, **names):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def install_doubles(monkeypatch):
    """Puts the doubles in the place of both packages; returns the list of their calls."""
    calls = []
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def init(entity=None, project=None, dir=None, id=None, name=None, *, config=None, resume=None):
        calls.append(("init", project, dir, id, name, config, resume))
        wandb.run = types.SimpleNamespace(id=id)
        return wandb.run

    def finish(exit_code=None):
        calls.append(("finish", exit_code))
        wandb.run = None

    def start_run(run_id=None, experiment_id=None, run_name=None, nested=False):
        calls.append(("start_run", run_id, run_name))
        mlflow.active = types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id or "abc"))
        return mlflow.active

    def end_run(status="FINISHED"):
        calls.append(("end_run", status))
        mlflow.active = None

    def logger():
        return Epochs(calls)

    wandb = install(monkeypatch, "wandb", run=None, init=init, finish=finish, Error=Refused)
    install(monkeypatch, "wandb.integration")
    install(monkeypatch, "wandb.integration.keras", WandbMetricsLogger=logger)
    mlflow = install(
        monkeypatch,
        "mlflow",
        active=None,
        active_run=lambda: mlflow.active,
        start_run=start_run,
        end_run=end_run,
        set_experiment=lambda name: calls.append(("set_experiment", name)),
        set_tracking_uri=lambda uri: calls.append(("set_tracking_uri", uri)),
        get_tracking_uri=lambda: "sqlite:////place/mlflow.db",
        is_tracking_uri_set=lambda: False,
        log_params=lambda params: calls.append(("log_params", params)),
        MlflowException=Refused,
    )
    install(monkeypatch, "mlflow.keras", MlflowCallback=logger)
    return calls
