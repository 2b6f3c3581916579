"""The picture of a training."""

import math

import cv2
import numpy as np
import pytest

from smallbig_keras import runs
from smallbig_keras.errors import ResourceError
from smallbig_keras.training.curves import CURVES, Curves, draw_curves
from tests.evaluation.small_disk import small_disk


def log(epochs):
    return [
        {
            "epoch": epoch,
            "learning_rate": 0.01 * (1 - epoch / (epochs + 1)),
            "loss": 5 * math.exp(-3 * epoch / epochs),
            "top1": 1 - math.exp(-3 * epoch / epochs),
            "val_loss": 1 + 5 * math.exp(-3 * epoch / epochs),
            "val_top1": 0.6 * math.sin(2 * epoch / epochs),
        }
        for epoch in range(1, epochs + 1)
    ]


def count(file, color):
    """The pixels of a picture that are nearly of a colour, RGB."""
    picture = cv2.imread(str(file)).astype(int)[..., ::-1]
    return (np.abs(picture - color).max(axis=-1) < 12).sum()


BLUE, ORANGE, GREEN = (31, 119, 180), (255, 127, 14), (44, 160, 44)


@pytest.mark.parametrize("epochs", [1, 8, 500])
def test_picture(tmp_path, epochs):
    file = tmp_path / CURVES
    draw_curves(log(epochs), file, "run")
    assert [path.name for path in tmp_path.iterdir()] == [CURVES]
    assert cv2.imread(str(file)).shape == (750, 800, 3)
    one_epoch = 15
    for color in (BLUE, ORANGE, GREEN):
        assert count(file, color) > (one_epoch if epochs == 1 else 500)


@pytest.mark.parametrize(
    "missing, gone",
    [
        (("loss", "top1"), {BLUE}),
        (("val_loss", "val_top1"), {ORANGE}),
        (("learning_rate",), {GREEN}),
        (("loss", "top1", "val_loss", "val_top1", "learning_rate"), {BLUE, ORANGE, GREEN}),
    ],
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_picture_of_missing_and_not_finite_numbers(tmp_path, missing, gone, value):
    """The legend alone has the colour of a line that is not there."""
    rows = [{k: v for k, v in row.items() if k not in missing} for row in log(50)]
    if value is not None:
        rows = [row | dict.fromkeys(missing, value) for row in rows]
    draw_curves(rows, tmp_path / CURVES, "costs $5 or $6\n動画 \udcff")
    for color in (BLUE, ORANGE, GREEN):
        assert (count(tmp_path / CURVES, color) > 250) == (color not in gone)


def test_a_gap_hides_no_other_epoch(tmp_path):
    rows = log(60)
    draw_curves(rows, tmp_path / "whole.png")
    for row in rows[20:30]:
        row["loss"] = math.nan
    draw_curves(rows, tmp_path / "gap.png")
    whole, gap = (count(tmp_path / f"{name}.png", BLUE) for name in ("whole", "gap"))
    assert 0.7 * whole < gap < whole


def test_picture_of_a_resumed_run_is_whole(tmp_path):
    """It is drawn from the rows on the disk, those of the first part among them."""
    runs.write_log(tmp_path, log(8))
    Curves(tmp_path).on_epoch_end(7, {"loss": 0})
    draw_curves(log(8), tmp_path / "expected.png", tmp_path.name)
    assert (tmp_path / CURVES).read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_full_disk(tmp_path):
    runs.write_log(tmp_path, log(8))
    (tmp_path / CURVES).write_text("the picture before")
    with small_disk(5000), pytest.raises(ResourceError, match=f"{CURVES} could not be written"):
        Curves(tmp_path).on_epoch_end(7)
    assert (tmp_path / CURVES).read_text() == "the picture before"
    assert {path.name for path in tmp_path.iterdir()} == {CURVES, runs.LOG}
