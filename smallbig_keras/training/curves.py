"""The picture of a training: loss, accuracy and learning rate over its epochs."""

import pathlib
import warnings

import keras
import numpy as np

from smallbig_keras import runs
from smallbig_keras.errors import optional_import
from smallbig_keras.files import replace_file

CURVES = "curves.png"
_COLORS = {"training": "tab:blue", "validation": "tab:orange"}
# Up to here every epoch has a dot, so that a single one is seen.
_MOST_DOTTED = 30
_MOST_LETTERS = 60


class Curves(keras.callbacks.Callback):
    """Draws `curves.png` from the log of a run after every epoch; stands behind its recorder.

    Args:
        run: path. Folder of the run.
    """

    def __init__(self, run):
        super().__init__()
        self.run = pathlib.Path(run)

    def on_epoch_end(self, epoch, logs=None):
        draw_curves(runs.read_log(self.run), self.run / CURVES, self.run.resolve().name)


def draw_curves(rows, file, title=""):
    """Draws loss, top-1 and learning rate over the epochs, and marks the best epoch.

    Args:
        rows: list of dict, the rows of a log as `read_log` returns them, one at least. Columns may
            be missing; numbers that are not finite are gaps.
        file: path. The picture, PNG.
        title: str. Name of the run. Defaults to `""`.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ResourceError: the disk is full or fails; the picture before stays.
    """
    figures = optional_import("matplotlib.figure", "plots")
    ticker = optional_import("matplotlib.ticker", "plots")
    # A layout of fixed places: one that is computed draws the picture several times.
    figure = figures.Figure((8, 7.5), dpi=100, facecolor="white")
    loss, top1, rate = figure.subplots(
        3,
        sharex=True,
        gridspec_kw={
            **{"height_ratios": (3, 3, 1.2), "hspace": 0.14},
            **{"left": 0.12, "right": 0.97, "top": 0.88, "bottom": 0.07},
        },
    )
    epochs = [row["epoch"] for row in rows]
    dot = "." if len(rows) <= _MOST_DOTTED else None
    for axes, name, factor in ((loss, "loss", 1), (top1, "top1", 100)):
        for kind, column in (("training", name), ("validation", f"val_{name}")):
            values = factor * _column(rows, column)
            axes.plot(epochs, values, color=_COLORS[kind], marker=dot, linewidth=1.5, label=kind)
    rate.plot(epochs, _column(rows, "learning_rate"), color="tab:green", marker=dot, linewidth=1.5)
    for axes, label in ((loss, "loss"), (top1, "top-1 (%)"), (rate, "learning rate")):
        axes.set_ylabel(label)
        axes.yaxis.set_label_coords(-0.1, 0.5)
        axes.grid(color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    rate.set_xlabel("epoch")
    margin = max(0.5, 0.03 * (epochs[-1] - epochs[0]))
    rate.set_xlim(epochs[0] - margin, epochs[-1] + margin)
    whole = ticker.MaxNLocator(integer=True, min_n_ticks=1, steps=(1, 2, 5, 10))
    rate.xaxis.set_major_locator(whole)
    rate.yaxis.set_major_locator(ticker.MaxNLocator(3))
    rate.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
    low, high = top1.get_ylim()
    top1.set_ylim(max(low, -2), min(high, 102))
    highest = rate.dataLim.y1
    if highest > 0:
        rate.set_ylim(0, 1.1 * highest)
    text = "no validation yet"
    scored = np.isfinite(_column(rows, runs.SCORE))
    best = runs.best_row([row for row, known in zip(rows, scored, strict=True) if known])
    if best is not None:
        for axes in (loss, top1, rate):
            axes.axvline(best["epoch"], color="0.5", linewidth=1, linestyle="--", zorder=1)
        score = 100 * best[runs.SCORE]
        top1.plot(best["epoch"], score, "o", color=_COLORS["validation"], markersize=6)
        text = f"best epoch {best['epoch']} of {epochs[-1]}: validation top-1 {score:.1f} %"
        if "val_loss" in best:
            text += f", loss {best['val_loss']:.3f}"
    style = {"transform": figure.transFigure, "va": "top", "parse_math": False}
    figure.text(0.12, 0.975, _shown(title), fontsize=11, weight="bold", **style)
    figure.text(0.12, 0.94, text, fontsize=10, **style)
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", bbox_to_anchor=(0.98, 0.955), ncols=2, frameon=False
    )
    with warnings.catch_warnings():
        # Signs of a folder's name that the font lacks are boxes in the picture.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        replace_file(pathlib.Path(file), lambda path: figure.savefig(path, format="png"))


def _column(rows, name):
    """Returns the numbers of a column, NaN where there is none."""
    values = np.array([row.get(name, np.nan) for row in rows], float)
    return np.where(np.isfinite(values), values, np.nan)


def _shown(name):
    """Returns a name of a folder, which need not be UTF-8, as text of one line."""
    name = name.encode("utf-8", "replace").decode()
    name = "".join(sign if sign.isprintable() else "?" for sign in name)
    return name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
