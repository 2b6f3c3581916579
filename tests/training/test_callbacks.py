"""Progress of a training: one line an epoch, on a terminal and in a file."""

import io
import types

import pytest

from smallbig_keras import runs
from smallbig_keras.training import callbacks
from smallbig_keras.training.callbacks import Progress, duration


class Stream(io.StringIO):
    """A file, or a terminal."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


LOGS = {"loss": 123.4567, "top1": 0.98765, "top5": 1.0}
SPEED = {"step_s": 0.5, "data_s": 0.1, "clips_per_s": 1234.567}
LAST = {**LOGS, **SPEED, "val_loss": 123.456, "val_top1": 0.9, "val_top5": 1.0, "eta_min": 6000}


def train(terminal, monkeypatch, redraw=0):
    """Returns the lines of two epochs of three steps; the numbers are as long as they get."""
    monkeypatch.setattr(callbacks, "_REDRAW", redraw)
    stream = Stream(terminal)
    progress = Progress(
        types.SimpleNamespace(speed=lambda: SPEED, left=lambda steps: steps * 0.5), stream
    )
    progress.set_params({"epochs": 110, "steps": 1882})
    for epoch in (0, 109):
        progress.on_epoch_begin(epoch)
        for step in range(3):
            progress.on_train_batch_end(step, LOGS)
        progress.on_epoch_end(epoch, LAST)
    return stream.getvalue()


def test_a_file_gets_one_line_an_epoch(monkeypatch):
    lines = train(False, monkeypatch).splitlines()
    assert len(lines) == 2 and all(len(line) <= 100 for line in lines)
    for words in ("epoch 110/110", "loss 123.4", "top1 0.988", "val_loss", "val_top1 0.900"):
        assert words in lines[1]
    assert "1234 clips/s waiting 20% ETA 100 h" in lines[1]


def test_a_long_epoch_prints_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(callbacks, "_REPORT", 0)
    lines = train(False, monkeypatch).splitlines()
    assert len(lines) == 8 and "step 2/1882" in lines[1]
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_terminal_redraws_one_line(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    printed = train(True, monkeypatch)
    assert printed.count("\n") == 2
    drawn = printed.replace("\n", "").split("\r")[1:]
    # All of one width, so that each covers the one before; a full line would wrap.
    assert {len(line) for line in drawn} == {min(100, columns - 1)} and len(drawn) == 8
    assert columns < 80 or all("ETA 100 h" in line for line in drawn if "val_top1" in line)


def test_a_terminal_is_not_redrawn_at_every_step(monkeypatch):
    assert train(True, monkeypatch, redraw=60).count("\r") == 2


@pytest.mark.parametrize(
    "seconds, words",
    [
        *((0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3560, "59 min"), (3590, "1 h 0 min")),
        *((7260, "2 h 1 min"), (36000, "10 h")),
    ],
)
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_best_epoch_of_equal_accuracies_has_the_lowest_loss():
    rows = [
        {"epoch": epoch, "val_top1": top1, "val_loss": loss}
        for epoch, (top1, loss) in enumerate([(0.5, 0.1), (1.0, 0.3), (1.0, 0.01), (1.0, 0.02)], 1)
    ]
    assert runs.best_row(rows)["epoch"] == 3
    assert runs.best_row([]) is None
