"""Callbacks of a training: progress, the run's log and checkpoints, unreadable videos."""

import shutil
import sys
import time

import keras
import tensorflow as tf

from smallbig_keras import runs
from smallbig_keras.machine import peak_memory

SCORE = runs.SCORE
_COLUMNS = 100
# Seconds between two lines of progress, on a terminal and in a file.
_REDRAW, _REPORT = 0.2, 60


class WaitMeter:
    """Sums the seconds that a training waits for its clips.

    Clock datasets zipped around each element time it, as `model.fit` fetches inside a graph,
    where Python cannot measure. Under a distribution strategy the consumer is the thread that
    feeds the devices.
    """

    def __init__(self):
        self.seconds = 0.0

    def watch(self, dataset):
        """Returns a `tf.data.Dataset` of the same elements, measured."""
        clock = tf.data.Dataset.range(1).repeat().map(lambda _: tf.timestamp())
        watched = tf.data.Dataset.zip((clock, dataset, clock))

        def strip(before, element, after):
            with tf.control_dependencies([tf.numpy_function(self._add, [after - before], [])]):
                return tf.nest.map_structure(tf.identity, element)

        watched = watched.map(strip)
        options = tf.data.Options()
        # A buffer added behind the clocks would hide every wait.
        options.experimental_optimization.inject_prefetch = False
        return watched.with_options(options)

    def _add(self, seconds):
        self.seconds += float(seconds)


class EpochTimes(keras.callbacks.Callback):
    """Adds times, throughput and memory to the logs of an epoch.

    `step_s` is the mean duration of a step in seconds, `data_s` the part of it that the step
    waited for clips, `clips_per_s` the clips trained in a second, `memory_gb` the largest memory
    of the process so far in 10^9 bytes, `eta_min` the minutes to the end.
    """

    def __init__(self, batch_size, meter):
        super().__init__()
        self.batch_size = batch_size
        self.meter = meter

    def on_train_begin(self, logs=None):
        self.train_start = time.perf_counter()
        self.epochs = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.start, self.waited, self.steps = time.perf_counter(), self.meter.seconds, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.seconds = time.perf_counter() - self.start

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        elapsed = time.perf_counter() - self.train_start
        left = self.params["epochs"] - epoch - 1
        logs.update(self.speed())
        logs["memory_gb"] = peak_memory() / 1e9
        logs["eta_min"] = elapsed / self.epochs * left / 60

    def speed(self):
        """Returns the times of the epoch so far."""
        return {
            "step_s": self.seconds / self.steps,
            "data_s": (self.meter.seconds - self.waited) / self.steps,
            "clips_per_s": self.steps * self.batch_size / self.seconds,
        }


class Progress(keras.callbacks.Callback):
    """One line an epoch, of at most 100 columns; on a terminal it is drawn anew as it grows.

    Where the output is no terminal, an epoch of many minutes prints a line each minute.
    """

    def __init__(self, times, stream=None):
        super().__init__()
        self.times = times
        self.stream = stream or sys.stdout
        self.drawn = 0.0

    def on_train_begin(self, logs=None):
        self.start, self.done = time.perf_counter(), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.drawn = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        terminal = self.stream.isatty()
        if time.perf_counter() - self.drawn < (_REDRAW if terminal else _REPORT):
            return
        epochs, steps = self.params["epochs"], self.params["steps"]
        left = (epochs - self.epoch) * steps - batch - 1
        eta = (time.perf_counter() - self.start) / self.done * left
        self._draw(logs, self.times.speed(), eta, f" step {batch + 1}/{steps}")

    def on_epoch_end(self, epoch, logs=None):
        self._draw(logs, logs, 60 * logs["eta_min"], last=True)

    def _draw(self, logs, speed, eta, step="", last=False):
        self.drawn = time.perf_counter()
        terminal = self.stream.isatty()
        columns = min(_COLUMNS, shutil.get_terminal_size().columns - 1) if terminal else _COLUMNS
        names = [name for name in ("loss", "top1", "val_loss", SCORE) if name in logs]
        waiting = min(1, speed["data_s"] / speed["step_s"])
        # Where the line is too narrow, losses are left out first.
        for left_out in ((), ("val_loss",), ("val_loss", "loss")):
            line = (
                f"epoch {self.epoch + 1}/{self.params['epochs']}{step}"
                + "".join(f" {n} {_short(float(logs[n]))}" for n in names if n not in left_out)
                + f" {_short(speed['clips_per_s'])} clips/s waiting {waiting:.0%}"
                + f" ETA {duration(eta)}"
            )
            if len(line) <= columns:
                break
        line = line[:columns].ljust(columns) if terminal else line[:columns]
        end = "\n" if last or not terminal else ""
        print(("\r" if terminal else "") + line, end=end, file=self.stream, flush=True)


def _short(value):
    """A number in five characters, as long as it is below 100,000."""
    return f"{value:.3f}"[:5].rstrip(".")


def duration(seconds):
    """Returns a time in words: seconds, minutes, or hours and minutes."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours > 9:
        return f"{hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class RunRecorder(keras.callbacks.Callback):
    """Keeps the folder of a run: its log and its checkpoints.

    The log is written before the checkpoint, so that a run stopped between the two continues
    from the checkpoint and drops the later row.
    """

    def __init__(self, path, epoch=0):
        super().__init__()
        self.path = path
        self.rows = [row for row in runs.read_log(path) if row["epoch"] <= epoch]

    @property
    def best(self):
        """The row of the best epoch in the log, a dict or `None`."""
        return runs.best_row(self.rows)

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, "learning_rate": rate, **{k: float(v) for k, v in logs.items()}}
        self.rows.append(row)
        improved = self.best is row
        runs.write_log(self.path, self.rows)
        if improved:
            runs.save_checkpoint(self.model, self.path / runs.BEST, include_optimizer=False)
        runs.save_checkpoint(self.model, self.path / runs.LAST, keep=self.path / runs.PREVIOUS)


class UnreadableReport(keras.callbacks.Callback):
    """Prints the videos that could not be read, once each, at the end of an epoch."""

    def __init__(self, recorders):
        super().__init__()
        self.recorders = recorders
        self.printed = set()

    def on_epoch_end(self, epoch, logs=None):
        for purpose, recorder in self.recorders.items():
            found = {(purpose, path): why for path, why in recorder.reasons().items()}
            if new := sorted(set(found) - self.printed):
                print(f"unreadable videos in {purpose}:")
                print("\n".join(f"{key[1]!r}: {found[key]}" for key in new))
            self.printed.update(found)
