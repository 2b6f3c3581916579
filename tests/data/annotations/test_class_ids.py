"""Labels that are numbers: where they begin, which are missing, how high they go."""

import pytest

from smallbig_keras.data import AnnotationWarning, read_annotations
from smallbig_keras.data.annotations.class_ids import MAX_CLASSES
from smallbig_keras.errors import SmallBigError
from tests.data.annotations.test_lists import write

# Of each format: the dataset, what comes before the lines, and a line.
FORMATS = {
    "frames": ("frames", "", "{}/x y.b 10 {}"),
    "table": ("csv", "label,path\n", "{1},{0}.mp4"),
    "videos": ("csv", "", "a b/{}.mp4 {}"),
}


@pytest.fixture(params=FORMATS)
def read(request, tmp_path):
    dataset, head, line = FORMATS[request.param]

    def read(labels, split="train", **options):
        lines = [line.format(i, label) for i, label in enumerate(labels)]
        suffix = "txt" if dataset == "frames" else "csv"
        write(tmp_path, {f"{split}.{suffix}": head + "\n".join(lines) + "\n"})
        videos, names = read_annotations(dataset, tmp_path, split, **options)
        return [video.label for video in videos], names

    read.first_line = 1 + bool(head)
    return read


@pytest.mark.parametrize("labels", ["3 1 2 1", "003 001 002 001", "03 1 002 01"])
def test_labels_that_begin_at_1(read, labels):
    """As many classes as labels, once the list says so."""
    rule = r"train\.\w+: labels must count from 0.* first_label=1 \(--first-label 1\) .* 1 to 3"
    with pytest.raises(SmallBigError, match=rule):
        read(labels.split())
    assert read(labels.split(), first_label=1) == ([2, 0, 1, 0], ["1", "2", "3"])
    # The validation split counts as the training split does.
    assert read(["2"], "val", first_label=1) == ([1], ["1", "2", "3"])
    for wrong in ("0", "4"):
        with pytest.raises(SmallBigError, match=f"val.*from 1 to 3, as in .*train.*: {wrong}"):
            read([wrong], "val", first_label=1)


def test_padded_labels(read):
    assert read(["000", "002", "001"]) == ([0, 2, 1], ["0", "1", "2"])
    names = [str(i) for i in range(11)]
    assert read([f"{i:03d}" for i in range(11)]) == (list(range(11)), names)


def test_classes_without_a_video(read):
    labels = ["005", "0", "2", "05"]
    rule = (
        r"train\.\w+: labels must be 0 to 5, each of a video.* allow_empty_classes=True "
        r"\(--allow-empty-classes\) .*"
        f"Received: no video of 1, 3, 4; line {read.first_line} has 5"
    )
    with pytest.raises(SmallBigError, match=rule):
        read(labels)
    names = ["0", "1", "2", "3", "4", "5"]
    assert read(labels, allow_empty_classes=True) == ([5, 0, 2, 5], names)
    assert read(["3"], "val", allow_empty_classes=True) == ([3], names)
    with pytest.raises(SmallBigError, match="labels must be 1 to 4.*no video of 2; line"):
        read(["1", "3", "4"], first_label=1)
    # From 1, and with a gap: both are said.
    with pytest.raises(SmallBigError, match="--first-label 1. .*no video of 0, 2; "):
        read(["1", "3"])


def test_absurd_labels(read):
    """20,000,001 names take 3 GB."""
    labels = ["0", "20000000", "1"]
    place = rf"train\.\w+, line {read.first_line + 1}: a label must be below {MAX_CLASSES}"
    for options in ({}, {"allow_empty_classes": True}):
        with pytest.raises(SmallBigError, match=f"{place}. Received: '20000000'"):
            read(labels, **options)
    with pytest.warns(AnnotationWarning, match=f"1 of 3 lines were skipped.*\n.*{place}"):
        assert read(labels, skip_bad_lines=True) == ([0, 1], ["0", "1"])


def test_labels_of_a_class_list(read, tmp_path):
    """It says how many classes there are: some may have no video."""
    write(tmp_path, {"classes.txt": "x\ny\nz\n"})
    assert read(["2", "0"]) == ([2, 0], ["x", "y", "z"])
    with pytest.raises(SmallBigError, match="0 to 2, as in classes.txt. Received: 3\n"):
        read(["0", "3"])
    with pytest.raises(SmallBigError, match="0 to 2, as in .* first_label=1 .*Received: 3"):
        read(["1", "3"])
    assert read(["1", "3"], first_label=1) == ([0, 2], ["x", "y", "z"])
    with pytest.raises(SmallBigError, match="1 to 3, as in classes.txt. Received: 0"):
        read(["1", "0"], first_label=1)


def test_numbers_that_are_names_of_classes(tmp_path):
    """In a table, where labels may be names."""
    text = "path,label\na,30\nb,10\n"
    write(tmp_path, {"train.csv": text, "classes.txt": "10\n20\n30\n"})
    videos, names = read_annotations("csv", tmp_path, "train")
    assert [video.label for video in videos] == [2, 0] and names == ["10", "20", "30"]


def test_first_label_of_names(tmp_path):
    write(tmp_path, {"train.csv": "path,label\na,x\n"})
    for options in ({"first_label": 1}, {"allow_empty_classes": True}):
        with pytest.raises(SmallBigError, match="labels that are numbers. Received: .*'x'"):
            read_annotations("csv", tmp_path, "train", **options)
    with pytest.raises(SmallBigError, match="`first_label` must be 0 or 1. Received: 2"):
        read_annotations("csv", tmp_path, "train", first_label=2)
