"""Pictures of results."""

import pathlib

import numpy as np

from smallbig_keras import runs
from smallbig_keras.exports.artifacts import optional_import

_MOST_LETTERS = 48
# Up to here the numbers of videos are written into the cells.
_MOST_NUMBERED = 24


def draw_confusion(matrix, class_names, file):
    """Draws the confusion of classes: a row a true class, in shares of its videos.

    The picture grows with the classes so that the names of all can be read: 0.9 megapixels for
    6 classes, 7 for 174, 32 for 400. The scale of colours is that of the square root, on which
    one confusion among a hundred is seen.

    Args:
        matrix: int array of shape `(classes, classes)`, `[true, predicted]`.
        class_names: list of str.
        file: path. The picture, PNG.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figures = optional_import("matplotlib.figure", "plots")
    colors = optional_import("matplotlib.colors", "plots")
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [
        name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
        for name in class_names
    ]
    count = len(names)
    letters = 8 if count <= _MOST_NUMBERED else 7
    cell = 0.45 if count <= _MOST_NUMBERED else 0.125
    # In inches: the cells, and the names beside them.
    side = max(2.0, cell * count)
    margin = 0.6 + 0.0085 * letters * max(map(len, names))
    width, height = margin + side + 1.2, margin + side + 0.5
    figure = figures.Figure((width, height), dpi=100)
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    scale = colors.PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap="Blues", norm=scale, interpolation="nearest")
    axes.set_xticks(range(count), names, rotation=90, fontsize=letters)
    axes.set_yticks(range(count), names, fontsize=letters)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        # A name with "$" is no formula.
        label.set_parse_math(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{matrix.sum()} videos", fontsize=10)
    if count <= _MOST_NUMBERED:
        for true, predicted in np.argwhere(matrix):
            color = "white" if shares[true, predicted] > 0.4 else "black"
            number = matrix[true, predicted]
            axes.text(predicted, true, number, ha="center", va="center", color=color, fontsize=8)
    bar = figure.add_axes(
        ((margin + side + 0.15) / width, margin / height, 0.15 / width, 2 / height)
    )
    figure.colorbar(image, cax=bar, label="share of the true class")
    runs.replace_file(pathlib.Path(file), lambda path: figure.savefig(path, format="png"))
