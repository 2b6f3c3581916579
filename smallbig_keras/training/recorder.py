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

    def on_train_batch_begin(self, batch, logs=None):
        self.rate = self._rate()

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps_left_out or batch < self.place.step:
            return
        self._check_finite(logs, f"epoch {self.place.epoch + 1}, step {batch + 1}")
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
        self._check_finite(logs, f"the validation of epoch {self.place.epoch + 1}")
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

    def _check_finite(self, logs, where):
        """Stops at a loss that is no number, and writes down what the network saw last."""
        loss = float(logs["loss"])
        if math.isfinite(loss):
            return
        steps = self.params["steps"]
        # The batch, unless that is of the validation, and the one before: its update is a cause.
        done = self.place.epoch * steps + self.place.step
        wanted = [done, done - 1] if where.startswith("epoch") else [done - 1]
        batches = [divmod(number, steps) for number in wanted if number >= 0]
        found = {
            "loss": str(loss),
            "where": where,
            "learning_rate": self.rate,
            "batches": [
                {"epoch": epoch + 1, "step": step + 1, "files": self.batch_files(epoch, step)}
                for epoch, step in batches
            ],
        }
        file = self.run / runs.NOT_FINITE
        replace_file(file, lambda path: path.write_text(json.dumps(found, indent=2) + "\n"))
        raise NotFiniteError(
            f"A loss must be a finite number: lower --lr, or add --clip-norm; {file} names the "
            f"videos. The last checkpoint is kept. Received: {loss} in {where}, at a learning "
            f"rate of {self.rate:.4g}"
        )
