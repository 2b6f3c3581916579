"""The files of an evaluation, against numbers worked out by hand."""

import csv
import dataclasses
import json
import sys

import cv2
import numpy as np
import pytest

from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.evaluation import Scores, draw_confusion, write_report
from tests.evaluation.small_disk import small_disk

SCORES = Scores(
    ids=["first, video", "b", "c"],
    labels=np.array([0, 2, 2]),
    scores=np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.1, 0.1, 0.8]], np.float32),
    class_names=["left, or not", "right", "costs $5 or $6"],
    protocol={"clips": 2},
    details={"seconds": 3.5, "skipped": ["'d.mp4' (1x): empty"]},
)


def table(file):
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.reader(lines))


def test_files(tmp_path):
    results = write_report(tmp_path / "new", SCORES)
    folder = tmp_path / "new"
    names = {"videos.csv", "classes.csv", "confusion.csv", "confusion.png", "results.json"}
    assert {file.name for file in folder.iterdir()} == names
    left, right, costs = SCORES.class_names
    assert table(folder / "videos.csv") == [
        ["id", "label", "prediction", "probability", "rank", "correct"],
        ["first, video", left, left, "0.700000", "1", "1"],
        ["b", costs, left, "0.500000", "2", "0"],
        ["c", costs, costs, "0.800000", "1", "1"],
    ]
    assert table(folder / "classes.csv") == [
        ["class", "videos", "top1", "top5"],
        [left, "1", "1.0000", "1.0000"],
        [right, "0", "", ""],
        [costs, "2", "0.5000", "1.0000"],
    ]
    assert table(folder / "confusion.csv") == [
        ["true / predicted", left, right, costs],
        [left, "1", "0", "0"],
        [right, "0", "0", "0"],
        [costs, "1", "0", "1"],
    ]
    assert results == json.loads((folder / "results.json").read_text())
    assert results["top1"] == pytest.approx(2 / 3) and results["top5"] == 1
    assert results["mean_class"] == pytest.approx(0.75) and results["videos"] == 3
    assert results["protocol"] == {"clips": 2} and results["seconds"] == 3.5
    assert results["skipped"] == SCORES.details["skipped"]


def test_videos_without_labels(tmp_path):
    write_report(tmp_path, SCORES)
    results = write_report(tmp_path, dataclasses.replace(SCORES, labels=np.array([-1, 2, -1])))
    assert {file.name for file in tmp_path.iterdir()} == {"videos.csv", "results.json"}
    assert not {"top1", "top5", "mean_class"} & set(results)
    left, _, costs = SCORES.class_names
    assert table(tmp_path / "videos.csv")[1:3] == [
        ["first, video", "", left, "0.700000", "", ""],
        ["b", costs, left, "0.500000", "2", "0"],
    ]


def test_without_matplotlib(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    lines = []
    assert write_report(tmp_path, SCORES, lines.append)["videos"] == 3
    assert not (tmp_path / "confusion.png").exists() and (tmp_path / "confusion.csv").exists()
    (line,) = lines
    assert "confusion.png is not drawn" in line and 'pip install "smallbig-keras[plots]"' in line


@pytest.mark.parametrize("size, last", [(100, "videos"), (5000, "confusion")])
def test_disk_trouble(tmp_path, size, last):
    """Without `results.json` a report is not complete."""
    write_report(tmp_path / "report", SCORES)
    names = {file.name for file in (tmp_path / "report").iterdir()}
    with small_disk(size), pytest.raises(ResourceError, match=f"{last}.* could not be written"):
        write_report(tmp_path / "report", SCORES)
    assert {file.name for file in (tmp_path / "report").iterdir()} == names - {"results.json"}
    with pytest.raises(SmallBigError, match="cannot be written.*Received: .*videos.csv"):
        write_report(tmp_path / "report" / "videos.csv", SCORES)


@pytest.mark.parametrize("classes", [3, 60])
def test_picture(tmp_path, classes):
    """In a perfect matrix the cells of the diagonal have the darkest blue."""
    names = [f"class {i} $" for i in range(classes)]
    draw_confusion(np.diag(np.arange(1, classes + 1)), names, tmp_path / "confusion.png")
    assert [file.name for file in tmp_path.iterdir()] == ["confusion.png"]
    picture = cv2.imread(str(tmp_path / "confusion.png")).astype(int)
    side = max(400, 12.5 * classes)
    dark = np.abs(picture - (107, 48, 8)).max(axis=-1) < 12
    assert dark.sum() == pytest.approx(side**2 / classes, rel=0.1)
    assert picture.shape[0] > side + 50 and (picture[0] == 255).all()
