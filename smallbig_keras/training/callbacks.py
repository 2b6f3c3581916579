"""Callbacks of a training: times, progress, unreadable videos."""

import math
import shutil
import sys
import time

import keras

from smallbig_keras import runs
from smallbig_keras.machine import peak_memory

SCORE = runs.SCORE
_COLUMNS = 100
# Seconds between two lines of progress, on a terminal and in a file.
_REDRAW, _REPORT = 0.2, 60


class EpochTimes(keras.callbacks.Callback):
    """Adds times, throughput and memory to the logs of an epoch.

    `step_s` is the mean duration of a step in seconds, `data_s` the part of it that the step
    waited for clips, `clips_per_s` the clips trained in a second, `memory_gb` the largest memory
    of the process so far in 10^9 bytes, `eta_min` the minutes to the end. An epoch that a
    resumed run only validates has none of the first three.
    """

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size

    def on_train_begin(self, logs=None):
        self.train_start = time.perf_counter()
        self.first_step = self.model.steps_done

    def on_epoch_begin(self, epoch, logs=None):
        self.start, self.waited = time.perf_counter(), self.model.seconds_waited
        self.seconds, self.steps_before = 0.0, self.model.steps_done

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = time.perf_counter() - self.start

    def on_epoch_end(self, epoch, logs=None):
        left = (self.params["epochs"] - epoch - 1) * self.params["steps"]
        logs.update(self.speed())
        logs["memory_gb"] = peak_memory() / 1e9
        logs["eta_min"] = self.left(left) / 60

    def left(self, steps):
        """Returns the seconds that so many steps will take, validation included."""
        done = max(1, self.model.steps_done - self.first_step)
        return (time.perf_counter() - self.train_start) / done * steps

    def speed(self):
        """Returns the times of the epoch so far."""
        steps = self.model.steps_done - self.steps_before
        if not steps:
            return dict.fromkeys(("step_s", "data_s", "clips_per_s"), math.nan)
        return {
            "step_s": self.seconds / steps,
            "data_s": (self.model.seconds_waited - self.waited) / steps,
            "clips_per_s": steps * self.batch_size / self.seconds,
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

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.drawn = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        terminal = self.stream.isatty()
        if time.perf_counter() - self.drawn < (_REDRAW if terminal else _REPORT):
            return
        epochs, steps = self.params["epochs"], self.params["steps"]
        eta = self.times.left((epochs - self.epoch) * steps - batch - 1)
        self._draw(logs, self.times.speed(), eta, f" step {batch + 1}/{steps}")

    def on_epoch_end(self, epoch, logs=None):
        self._draw(logs, logs, 60 * logs["eta_min"], last=True)

    def _draw(self, logs, speed, eta, step="", last=False):
        self.drawn = time.perf_counter()
        terminal = self.stream.isatty()
        columns = min(_COLUMNS, shutil.get_terminal_size().columns - 1) if terminal else _COLUMNS
        names = [name for name in ("loss", "top1", "val_loss", SCORE) if name in logs]
        pace = ""
        # An epoch of which a resumed run has only the validation has no speed.
        if speed["step_s"] > 0:
            waiting = min(1, speed["data_s"] / speed["step_s"])
            pace = f" {_short(speed['clips_per_s'])} clips/s waiting {waiting:.0%}"
        # Where the line is too narrow, losses are left out first.
        for left_out in ((), ("val_loss",), ("val_loss", "loss")):
            line = (
                f"epoch {self.epoch + 1}/{self.params['epochs']}{step}"
                + "".join(f" {n} {_short(float(logs[n]))}" for n in names if n not in left_out)
                + f"{pace} ETA {duration(eta)}"
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
