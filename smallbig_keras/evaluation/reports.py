"""The report on scores: tables, accuracies and the picture of the confusion of classes."""

import csv
import json
import pathlib
import warnings

import numpy as np

from smallbig_keras.errors import MissingPackageError, optional_import
from smallbig_keras.evaluation import metrics
from smallbig_keras.files import make_folder, replace_file

RESULTS = "results.json"
_MOST_LETTERS = 60
# Up to here the numbers of videos are written into the cells.
_MOST_NUMBERED = 24


def write_report(folder, scores, progress=None):
    """Writes the accuracies of scores, and predictions.

    `videos.csv` has a row a video, `classes.csv` one a class, `confusion.csv` and `confusion.png`
    the numbers of videos by true and predicted class. `results.json` has the accuracies and is
    written last: where it is, the report is complete. Videos without labels have predictions
    only.

    Args:
        folder: path. Folder of the files. It is made.
        scores: `Scores`.
        progress: callable. Takes a line of text. Defaults to `None`, which prints it.

    Returns:
        dict, the content of `results.json`: that of `measure`, the protocol and the details.

    Raises:
        SmallBigError: the folder cannot be written.
        ResourceError: the disk is full or fails; no file is half written.
    """
    progress = progress or print
    folder = make_folder(folder)
    results_file = folder / RESULTS
    results_file.unlink(missing_ok=True)
    _write_table(folder / "videos.csv", _video_rows(scores))
    files = [folder / name for name in ("classes.csv", "confusion.csv", "confusion.png")]
    if scores.has_labels:
        _write_table(files[0], _class_rows(scores))
        matrix = metrics.confusion_matrix(scores.scores, scores.labels)
        names = scores.class_names
        rows = [[name, *row] for name, row in zip(names, matrix.tolist(), strict=True)]
        _write_table(files[1], [["true / predicted", *names], *rows])
        try:
            draw_confusion(matrix, names, files[2])
            files = []
        except MissingPackageError as error:
            progress(f"{files[2].name} is not drawn. {error}")
            files = files[2:]
    for file in files:
        # Of earlier scores in the same folder.
        file.unlink(missing_ok=True)
    results = {**measure(scores), "protocol": scores.protocol, **scores.details}
    text = json.dumps(results, indent=2) + "\n"
    replace_file(results_file, lambda file: file.write_text(text))
    return results


def measure(scores):
    """Computes the accuracies of scores.

    Args:
        scores: `Scores`.

    Returns:
        dict of `videos`, an int, and where all videos have labels `top1`, `top5` and `mean_class`,
        floats from 0 to 1.
    """
    videos = {"videos": len(scores.ids)}
    if not scores.has_labels:
        return videos
    return {
        "top1": metrics.top_k_accuracy(scores.scores, scores.labels),
        "top5": metrics.top_k_accuracy(scores.scores, scores.labels, 5),
        "mean_class": metrics.mean_class_accuracy(scores.scores, scores.labels),
        **videos,
    }


def draw_confusion(matrix, class_names, file):
    """Draws the confusion of classes: a row a true class, in shares of its videos.

    The picture grows with the classes so that the names of all can be read: 0.8 megapixels for
    6 classes, 7 for 174, 28 for 400. The scale of colours is that of the square root, on which
    one confusion among a hundred is seen.

    Args:
        matrix: int array of shape `(classes, classes)`, `[true, predicted]`.
        class_names: list of str.
        file: path. The picture, PNG. Its folder is made.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ResourceError: the disk is full or fails; nothing is left.
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
    file = pathlib.Path(file)
    make_folder(file.parent)
    with warnings.catch_warnings():
        # Signs that the font lacks are boxes in the picture; the tables have them.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        replace_file(file, lambda path: figure.savefig(path, format="png"))


def _video_rows(scores):
    yield ["id", "label", "prediction", "probability", "rank", "correct"]
    names = scores.class_names
    best = scores.scores.argmax(axis=1)
    ranks = metrics.label_ranks(scores.scores, np.maximum(scores.labels, 0)) + 1
    for row, (name, label) in enumerate(zip(scores.ids, scores.labels.tolist(), strict=True)):
        known = label >= 0
        yield [
            name,
            names[label] if known else "",
            names[best[row]],
            f"{scores.scores[row, best[row]]:.6f}",
            ranks[row] if known else "",
            int(ranks[row] == 1) if known else "",
        ]


def _class_rows(scores):
    yield ["class", "videos", "top1", "top5"]
    counts = np.bincount(scores.labels, minlength=len(scores.class_names))
    top1, top5 = (metrics.class_accuracy(scores.scores, scores.labels, k) for k in (1, 5))
    for name, count, *accuracies in zip(scores.class_names, counts, top1, top5, strict=True):
        yield [name, count, *(f"{value:.4f}" if count else "" for value in accuracies)]


def _write_table(file, rows):
    def write(temporary):
        # Names of files need not be UTF-8 and keep their bytes.
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as lines:
            csv.writer(lines).writerows(rows)

    replace_file(file, write)
