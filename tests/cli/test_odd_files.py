"""Odd files in training and evaluation: the tables of `docs/odd_files.md`."""

import pathlib
import re

import pytest
import tensorflow as tf

from smallbig_keras.cli import script
from tests.data.odd_files import FILES, FOLDERS, GOOD, TEMPLATE, make_dataset

fit = script("fit")
evaluate = script("evaluate")

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "odd_files.md"
MODEL = [
    *("--model", "C2DR23", "--options", '{"blocks": [1, 1, 1, 1], "width": 8}'),
    *("--weights", "none", "--frames", "4", "--size", "32", "--short-side", "32", "40"),
    *("--test-short-side", "32", "--epochs", "1", "--batch-size", "8"),
]


def reasons(printed, root):
    """The reason printed for each file, by name."""
    lines = re.findall(rf"^'{re.escape(str(root))}.*$", printed, re.MULTILINE)
    found = {}
    for line in lines:
        name = re.match(r"'.*?/odd/([^/']+)", line)[1]
        found[name] = re.sub(r"(?<![\w-])\d+(\.\d+)?\b", "N", line.rpartition("': ")[2])
    return found


def row(kind, name, training, evaluation):
    name = "bad\\udcff.webm" if kind == "name that is not UTF-8" else name
    if name in training:
        assert training[name] == evaluation[name]
        return f"| {kind} | replaced, listed | error: {training[name]} |"
    assert name not in evaluation
    return f"| {kind} | read | read |"


@pytest.mark.parametrize("kinds, flags", [(FILES, []), (FOLDERS, ["--image-template", TEMPLATE])])
def test_odd_files(kinds, flags, tmp_path, capsys):
    root = make_dataset(tmp_path / "data", kinds)
    flags = ["--dataset", "folder", "--data-root", str(root), *flags]
    fit([*flags, *MODEL, "--output", str(tmp_path / "run")])
    training, validation = capsys.readouterr().out.split("unreadable videos in validation")
    with pytest.raises(SystemExit, match="Received: "):
        evaluate(["--weights", str(tmp_path / "run")])
    capsys.readouterr()
    evaluate(["--weights", str(tmp_path / "run"), "--skip-bad"])
    printed = capsys.readouterr().out
    training, evaluation = reasons(training, root), reasons(printed, root)
    assert reasons(validation, root) == evaluation
    rows = [row(kind, name, training, evaluation) for kind, (name, _) in kinds.items()]
    count = GOOD + len(kinds) - len(evaluation)
    assert printed.splitlines()[-1].endswith(f"videos={count}")
    expected = "\n".join(rows)
    if not hasattr(tf.io, "decode_webp"):
        # The document is of TensorFlow 2.20 and later.
        unknown = "error: Unknown image file format. One of JPEG, PNG, GIF, BMP required."
        refused = f"| WebP named .jpg | replaced, listed | {unknown} |"
        expected = expected.replace(refused, "| WebP named .jpg | read | read |")
    assert expected in DOCUMENT.read_text(encoding="utf-8"), f"docs/odd_files.md:\n{expected}"
