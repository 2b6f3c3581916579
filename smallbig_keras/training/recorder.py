"""The callback that keeps the folder of a run: its log, its checkpoints and its best weights."""

import json
import math
import time

import keras

from smallbig_keras import runs
from smallbig_keras.data.video_file import BadVideoError
from smallbig_keras.errors import NotFiniteError
from smallbig_keras.files import replace_file
from smallbig_keras.training import checkpoints
from smallbig_keras.training.checkpoints import Place
from smallbig_keras.training.options import FitOptions


class RunRecorder(keras.callbacks.Callback):
    """Keeps the folder of a run.

    A checkpoint is written after every epoch, every so many minutes within one, and when the
    training is to stop. Weights of the best validation carry the row of the log that they belong
    to, so that a run stopped between log and checkpoint describes the weights that it has.

    Args:
        run: path. The folder.
        config: dict. Options and facts of the run.
        place: Place. Where the training begins.
        tallies: list of arrays. Values of the metrics at that place. Defaults to `None`, nothing
            counted yet.
        interruption: `Interruption`.
        batch_files: function `(epoch, step)` that lists the files of a batch.
    """

    def __init__(self, run, config, place, tallies, interruption, batch_files):
        super().__init__()
        self.run = run
        self.config = config
        self.place = place
        self.tallies = tallies
        self.interruption = interruption
        self.batch_files = batch_files
        self.rows = [row for row in runs.read_log(run) if row["epoch"] <= place.epoch]
        self.best = runs.read_best(run)
        # Runs of older versions have no such option.
        self.every = config.get("checkpoint_every", FitOptions.checkpoint_every)
        self.saved = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has set the metrics to zero.
        if self.tallies is not None:
            for variable, value in zip(self.model.tallies, self.tallies, strict=True):
                variable.assign(value)
        self.tallies = None
        self.model.steps_left_out = self.place.step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps_left_out or batch < self.place.step:
            return
        self._check_finite("loss", float(logs["loss"]))
        self.place = self.place._replace(step=batch + 1)
        minutes = (time.monotonic() - self.saved) / 60
        if self.interruption.error or minutes >= self.every:
            self._save()
        self._stop_if_asked()

    def on_test_begin(self, logs=None):
        # The validation counts with the same variables.
        self.tallies = checkpoints.values(self.model.tallies)

    def on_test_batch_end(self, batch, logs=None):
        if self.interruption.error:
            self.model.stop_evaluating = True

    def on_test_end(self, logs=None):
        # Averaged weights, if there are any, are in the network until this returns.
        if self.interruption.error or not logs:
            return
        self._check_finite("val_loss", logs["loss"])
        scores = {f"val_{name}": float(value) for name, value in logs.items()}
        row = {"epoch": self.place.epoch + 1, **scores}
        if runs.best_row([self.best, row] if self.best else [row]) is row:
            self.best = row
            runs.save_best(self.model, self.run, row)

    def on_epoch_end(self, epoch, logs=None):
        if self.interruption.error:
            self._save()
            self._stop_if_asked()
        if runs.SCORE not in logs:
            self._save()
            raise BadVideoError(
                "A training needs one video for validation that can be read: put it into the "
                f"place of one of those listed, and resume. Received: none in epoch {epoch + 1}"
            )
        numbers = {name: float(value) for name, value in logs.items()}
        self.rows.append({"epoch": epoch + 1, "learning_rate": self._rate(), **numbers})
        runs.write_log(self.run, self.rows)
        self.place, self.tallies = Place(epoch + 1), None
        self._save()

    def _rate(self):
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _save(self):
        checkpoints.save(self.model, self.run, self.place, self.config, self.tallies)
        self.saved = time.monotonic()

    def _stop_if_asked(self):
        if self.interruption.error:
            raise self.interruption.error

    def _check_finite(self, name, value):
        if math.isfinite(value):
            return
        epoch, step = self.place
        before = max(0, step - 1)
        found = {
            "value": f"{name}={value}",
            "epoch": epoch + 1,
            "step": step + 1,
            "learning_rate": self._rate(),
            "files": self.batch_files(epoch, step) if name == "loss" else [],
            "files_of_the_step_before": self.batch_files(epoch, before) if step else [],
        }
        file = self.run / runs.NOT_FINITE
        replace_file(file, lambda path: path.write_text(json.dumps(found, indent=2) + "\n"))
        raise NotFiniteError(
            f"A loss must be a finite number: lower --lr, or add --clip-norm; {file} names the "
            f"videos. The last checkpoint is kept. Received: {name}={value} in epoch {epoch + 1}, "
            f"step {step + 1}, at a learning rate of {found['learning_rate']:.4g}"
        )
