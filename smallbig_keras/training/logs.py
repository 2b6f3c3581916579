"""Where a training is logged beside `log.csv`: curves, TensorBoard, Weights & Biases, MLflow."""

import contextlib
import dataclasses
import json
import os
import pathlib
import secrets

import keras

from smallbig_keras.errors import MissingPackageError, ResourceError, SmallBigError, optional_import
from smallbig_keras.files import replace_file
from smallbig_keras.options import command_line
from smallbig_keras.training.curves import CURVES, Curves
from smallbig_keras.training.options import LOGGERS, FitOptions

# How Weights & Biases and MLflow name a run, so that a resume continues it there.
IDS = "loggers.json"
# Of Weights & Biases the project, of MLflow the experiment, unless their variables name another.
PROJECT = "smallbig-keras"


@contextlib.contextmanager
def loggers(config, run):
    """Opens the loggers of a training, and closes them when it ends, also by an exception.

    Args:
        config: dict. Options of the run. `log_to` names the loggers; where it is `None` or missing
            the training is logged for TensorBoard if that is installed.
        run: path. Folder of the run.

    Yields:
        list of `keras.callbacks.Callback`. They stand behind the recorder of the run, so that an
        epoch is saved before a logger can fail.

    Raises:
        MissingPackageError: a logger of `log_to` is not installed.
        SmallBigError: another run of Weights & Biases or MLflow is open in this process.
        ResourceError: Weights & Biases or MLflow do not take the run.
    """
    run = pathlib.Path(run)
    names = config.get("log_to")
    callbacks = []
    if _is_installed("matplotlib", "plots", CURVES):
        callbacks.append(Curves(run))
    if names is None:
        installed = _is_installed("tensorboard", LOGGERS["tensorboard"], "TensorBoard log")
        names = ("tensorboard",) if installed else ()
    openers = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
    with contextlib.ExitStack() as stack:
        for name in dict.fromkeys(names):
            callbacks.append(stack.enter_context(openers[name](config, run)))
        yield callbacks


def _is_installed(module, extra, text):
    """Returns True if a package is installed, else prints which one the log needs."""
    try:
        optional_import(module, extra)
    except MissingPackageError:
        print(f'no {text}: pip install "smallbig-keras[{extra}]" has the package')
        return False
    return True


@contextlib.contextmanager
def _tensorboard(config, run):
    optional_import("tensorboard", LOGGERS["tensorboard"])
    yield keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False)


@contextlib.contextmanager
def _wandb(config, run):
    wandb = optional_import("wandb", LOGGERS["wandb"])
    integration = optional_import("wandb.integration.keras", LOGGERS["wandb"])
    if wandb.run is not None:
        raise SmallBigError(
            "--log-to wandb begins a run of its own: end yours with wandb.finish(). "
            f"Received: an open run, {wandb.run.id}"
        )
    ids = _read_ids(run)
    if "wandb" not in ids:
        # Not of the random numbers that the seed of a training sets.
        ids["wandb"] = {"id": secrets.token_hex(8)}
        _write_ids(run, ids)
    try:
        wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run.resolve().name,
            dir=run,
            config=_options(config),
            id=ids["wandb"]["id"],
            resume="allow",
        )
    except wandb.Error as error:
        raise _refused("wandb", run, "wandb login or WANDB_MODE=offline", error) from error
    with _ending(lambda failed: wandb.finish(exit_code=int(failed))):
        yield integration.WandbMetricsLogger()


@contextlib.contextmanager
def _mlflow(config, run):
    mlflow = optional_import("mlflow", LOGGERS["mlflow"])
    integration = optional_import("mlflow.keras", LOGGERS["mlflow"])
    if mlflow.active_run() is not None:
        raise SmallBigError(
            "--log-to mlflow begins a run of its own: end yours with mlflow.end_run(). "
            f"Received: an open run, {mlflow.active_run().info.run_id}"
        )
    try:
        _start_mlflow(mlflow, config, run)
    except mlflow.MlflowException as error:
        fix = "the MLFLOW_TRACKING_URI that the run began with, and a server that answers"
        raise _refused("mlflow", run, fix, error) from error
    with _ending(lambda failed: mlflow.end_run(status="FAILED" if failed else "FINISHED")):
        yield integration.MlflowCallback()


def _start_mlflow(mlflow, config, run):
    ids = _read_ids(run)
    known = ids.get("mlflow")
    if known is not None:
        if known["tracking_uri"] and not mlflow.is_tracking_uri_set():
            # MLflow's own place follows the working directory, which may be another one now.
            mlflow.set_tracking_uri(known["tracking_uri"])
        mlflow.start_run(run_id=known["run_id"])
        return
    # An address that the user has set may hold a password, and is not written.
    place = None if mlflow.is_tracking_uri_set() else mlflow.get_tracking_uri()
    if not any(os.environ.get(f"MLFLOW_EXPERIMENT_{key}") for key in ("NAME", "ID")):
        mlflow.set_experiment(PROJECT)
    active = mlflow.start_run(run_name=run.resolve().name)
    try:
        _write_ids(run, ids | {"mlflow": {"run_id": active.info.run_id, "tracking_uri": place}})
        mlflow.log_params(_options(config))
    except BaseException:
        mlflow.end_run(status="FAILED")
        raise


@contextlib.contextmanager
def _ending(end):
    """Calls `end(failed)` when a training ends."""
    try:
        yield
    except BaseException:
        end(True)
        raise
    end(False)


def _refused(name, run, fix, error):
    command = command_line("smallbig fit", {"resume": str(run)})
    return ResourceError(
        f"--log-to {name} needs {fix}. Then continue with: {command}\nReceived: {error}"
    )


def _options(config):
    """Returns the options of a run, without the facts that it holds beside them."""
    names = [field.name for field in dataclasses.fields(FitOptions) if field.metadata]
    given = {name: config[name] for name in names if config.get(name) is not None}
    # As a resume reads them: tuples are lists.
    return json.loads(json.dumps(given))


def _read_ids(run):
    file = run / IDS
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SmallBigError(
            f"{file} must be a whole JSON file: delete it to log to new runs. Received: {error}"
        ) from None


def _write_ids(run, ids):
    replace_file(run / IDS, lambda file: file.write_text(json.dumps(ids, indent=2) + "\n"))
