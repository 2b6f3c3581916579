"""Pictures of results."""

import pathlib

import numpy as np

from smallbig_keras.errors import optional_import
from smallbig_keras.files import replace_file

_MOST_LETTERS = 60
# Up to here the numbers of videos are written into the cells.
_MOST_NUMBERED = 24


def draw_confusion(matrix, class_names, file):
    """Draws the confusion of classes: a row a true class, in shares of its videos.

    The picture grows with the classes so that the names of all can be read: 0.8 megapixels for
    6 classes, 7 for 174, 28 for 400. The scale of colours is that of the square root, on which
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
    few = count <= _MOST_NUMBERED
    letters = 8 if few else 7
    # In inches: the cells, and the names beside and below them.
    side = max(4.0, count * (0.45 if few else 0.125))
    margin = 0.5 + 0.0078 * letters * max(map(len, names))
    width, height = margin + side + 1, margin + side + 0.4
    figure = figures.Figure((width, height), dpi=100)
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    scale = colors.PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap="Blues", norm=scale, interpolation="nearest")
    axes.set_title(f"{matrix.sum()} videos: true classes in rows, predicted in columns", size=9)
    # Not as labels of ticks, which are laid out again and again: 4.6 s for 174 classes, not 3.1.
    axes.set_xticks([])
    axes.set_yticks([])
    # A name with "$" is no formula.
    style = {"fontsize": letters, "clip_on": False, "parse_math": False}
    gap = 0.08 / side * count + 0.5
    for place, name in enumerate(names):
        axes.text(-gap, place, name, ha="right", va="center", **style)
        axes.text(place, count - 1 + gap, name, ha="center", va="top", rotation=90, **style)
    if few:
        for true, predicted in np.argwhere(matrix):
            color = "white" if shares[true, predicted] > 0.4 else "black"
            number = matrix[true, predicted]
            axes.text(predicted, true, number, ha="center", va="center", color=color, fontsize=8)
    place = ((margin + side + 0.15) / width, margin / height, 0.15 / width, 2 / height)
    figure.colorbar(image, cax=figure.add_axes(place), label="share of the true class")
    replace_file(pathlib.Path(file), lambda path: figure.savefig(path, format="png"))
