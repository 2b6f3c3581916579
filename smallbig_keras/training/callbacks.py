"""Keras callbacks of the training script: progress, log and checkpoints of a run."""

import resource
import sys
import time

import keras

from smallbig_keras import runs

SCORE = "val_top1"


class EpochTimes(keras.callbacks.Callback):
    """Adds times, throughput and memory to the logs of an epoch.

    `step_s` is the mean duration of a step in seconds, `data_s` the part of it that the
    step waited for the loader, `clips_per_s` the clips trained in a second, `memory_gb` the
    largest memory of the process so far in 10^9 bytes, `eta_min` the minutes to the end.

    Args:
        batch_size: int. Clips of a step.
        wait: function without arguments that returns the seconds waited so far.
    """

    def __init__(self, batch_size, wait):
        super().__init__()
        self.batch_size = batch_size
        self.wait = wait
        self.steps = 0

    def on_train_begin(self, logs=None):
        self.train_start = time.perf_counter()
        self.epochs = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.start, self.waited, self.steps = time.perf_counter(), self.wait(), 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.seconds = time.perf_counter() - self.start

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        elapsed = time.perf_counter() - self.train_start
        left = self.params["epochs"] - epoch - 1
        steps = max(self.steps, 1)
        logs["step_s"] = self.seconds / steps
        logs["data_s"] = (self.wait() - self.waited) / steps
        logs["clips_per_s"] = steps * self.batch_size / self.seconds
        logs["memory_gb"] = _peak_memory() / 1e9
        logs["eta_min"] = elapsed / self.epochs * left / 60


def _peak_memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class RunRecorder(keras.callbacks.Callback):
    """Keeps the folder of a run: `log.csv`, `best.keras`, `last.keras`, `previous.keras`.

    The log is written before the checkpoint, so that a run stopped between the two
    continues from the checkpoint and drops the later row.

    Args:
        path: pathlib.Path. Folder of the run.
        epoch: int. Epochs that the run has behind it. Defaults to `0`.
    """

    def __init__(self, path, epoch=0):
        super().__init__()
        self.path = path
        self.rows = [row for row in runs.read_log(path) if row["epoch"] <= epoch]

    @property
    def best(self):
        """The row of the log with the highest validation accuracy, a dict or `None`."""
        return max(self.rows, key=lambda row: row[SCORE], default=None)

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, "learning_rate": rate, **{k: float(v) for k, v in logs.items()}}
        improved = self.best is None or row[SCORE] > self.best[SCORE]
        self.rows.append(row)
        runs.write_log(self.path, self.rows)
        if improved:
            runs.save_checkpoint(self.model, self.path / runs.BEST, include_optimizer=False)
        runs.save_checkpoint(self.model, self.path / runs.LAST, keep=self.path / runs.PREVIOUS)


class BadClipReport(keras.callbacks.Callback):
    """Prints the videos that could not be read, once each, at the end of an epoch.

    Args:
        recorders: dict of what the videos are for to `smallbig_keras.data.UnreadableVideos`.
    """

    def __init__(self, recorders):
        super().__init__()
        self.recorders = recorders
        self.printed = set()

    def on_epoch_end(self, epoch, logs=None):
        for purpose, recorder in self.recorders.items():
            lines = [line for line in recorder.report() if line not in self.printed]
            if lines:
                print(f"\nunreadable videos in {purpose}:")
                print("\n".join(lines))
            self.printed.update(lines)
