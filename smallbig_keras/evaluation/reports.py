"""The files that tell what scores are worth."""

import csv
import json
import pathlib

import numpy as np

from smallbig_keras.evaluation import metrics
from smallbig_keras.evaluation.plots import draw_confusion
from smallbig_keras.files import replace_file

RESULTS = "results.json"


def write_report(folder, scores, progress=None):
    """Writes what scores are worth.

    `videos.csv` has a row a video, `classes.csv` one a class, `confusion.csv` and `confusion.png`
    the numbers of videos by true and predicted class, and `results.json`, the last to be written,
    the accuracies. Of videos without labels there are predictions alone.

    Args:
        folder: path. Where the files are written.
        scores: Scores.
        progress: callable. Takes a line of text. Defaults to `None`, which prints it.

    Returns:
        dict, what `results.json` holds: that of `measure`, the protocol and the details.
    """
    progress = progress or print
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
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
        except ImportError as error:
            progress(f"{files[2].name} is not drawn. {error}")
            files = files[2:]
    for file in files:
        # Of earlier scores in the same folder.
        file.unlink(missing_ok=True)
    results = {**measure(scores), "protocol": scores.protocol, **scores.details}
    text = json.dumps(results, indent=2) + "\n"
    replace_file(folder / RESULTS, lambda file: file.write_text(text))
    return results


def measure(scores):
    """Computes the accuracies of scores.

    Args:
        scores: Scores.

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
