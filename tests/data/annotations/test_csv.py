import csv
import io

import pytest
from hypothesis import given, settings, strategies as st

from smallbig_keras import class_names
from smallbig_keras.data import AnnotationWarning, Video, find_missing, read_annotations
from tests.data.annotations.test_lists import NAMES, write


def read_csv(root, split="train", **options):
    return read_annotations("csv", root, split, **options)


def test_csv_with_names(tmp_path):
    text = 'label,path,num_frames,note\nrun,"a, b.mp4",7,x\nhop,#c (1)+.webm,,\n\n'
    write(tmp_path, {"train.csv": text, "val.csv": "path;label\nd;run\n"})
    videos, names = read_csv(tmp_path)
    assert names == ["hop", "run"]
    assert videos == [
        Video(str(tmp_path / "a, b.mp4"), 1, "a, b.mp4", 7),
        Video(str(tmp_path / "#c (1)+.webm"), 0, "#c (1)+.webm"),
    ]
    assert read_csv(tmp_path, "val")[0] == [Video(str(tmp_path / "d"), 1, "d")]
    write(tmp_path, {"classes.txt": "run\nhop\nsit\n", "test.csv": "path\ne\n"})
    assert [video.label for video in read_csv(tmp_path)[0]] == [0, 1]
    assert read_csv(tmp_path, "test") == (
        [Video(str(tmp_path / "e"), None, "e")],
        ["run", "hop", "sit"],
    )


def test_csv_with_ids(tmp_path):
    write(tmp_path, {"train.csv": "path\tlabel\na\t0\nb\t1\n", "validation.csv": "path,label\nc,1"})
    videos, names = read_csv(tmp_path)
    assert names == ["0", "1"] and [video.label for video in videos] == [0, 1]
    assert read_csv(tmp_path, "val")[0][0].label == 1
    write(tmp_path, {"validation.csv": "path,label\nc,4"})
    with pytest.raises(ValueError, match="validation.csv, line 2: .*0 to 1.*Received: 4"):
        read_csv(tmp_path, "val")
    write(tmp_path, {"validation.csv": "path,label\nc,run"})
    with pytest.raises(ValueError, match="validation.csv, line 2: a label must be a whole number"):
        read_csv(tmp_path, "val")
    assert read_csv(tmp_path, class_list="hmdb51")[1] == class_names("hmdb51")


def test_csv_of_frames(tmp_path):
    write(tmp_path, {"train.csv": "path,label\na,x\nb,y", "b/g2.png": ""})
    with pytest.raises(ValueError, match="must be named like 'f1.png'"):
        read_csv(tmp_path, image_template="f{}.png")
    write(tmp_path, {"b/f1.png": ""})
    videos, _ = read_csv(tmp_path, image_template="f{}.png")
    assert {video.template for video in videos} == {"f{}.png"}


@pytest.mark.parametrize(
    "row, rule",
    [
        ("b", "as many fields as the header. Received: 1"),
        ("b,run,7,8", "as many fields as the header. Received: 4"),
        (",run,", "a path must not be empty"),
        ("b,,", "class name must not be empty"),
        ("b,run,0", "num_frames"),
        ("b,run,x", "num_frames"),
    ],
)
def test_csv_damaged_row(tmp_path, row, rule):
    write(tmp_path, {"train.csv": f'path,label,num_frames\n"a\nb",run,\n{row}\n'})
    with pytest.raises(ValueError, match=rf"train\.csv, line 4: .*{rule}") as caught:
        read_csv(tmp_path)
    assert "Received: " in str(caught.value)
    with pytest.warns(AnnotationWarning, match="1 of 2 lines were skipped"):
        assert len(read_csv(tmp_path, skip_bad_lines=True)[0]) == 1


@pytest.mark.parametrize(
    "text, place",
    [
        ("", "must begin with a header of path,label"),
        ("a.mp4,run\n", "line 1: the header must have the columns path,label"),
        ("path label\na b\n", "line 1: the header"),
        ("path,label\n", "must list at least one video"),
        ('path,label\na,run\n"b,run\nc,run\n', "line 3: a row must follow the quoting rules"),
        ("path,label\na\0,run", ""),
    ],
)
def test_csv_damaged_file(tmp_path, text, place):
    write(tmp_path, {"train.csv": text})
    if not place:
        assert find_missing(read_csv(tmp_path)[0])
        return
    with pytest.raises(ValueError, match=f"train.csv.*{place}.*Received: "):
        read_csv(tmp_path)


def test_csv_label_that_training_does_not_have(tmp_path):
    write(tmp_path, {"train.csv": "path,label\na,run\n", "val.csv": "path,label\na,run\nb,hop\n"})
    with pytest.raises(ValueError, match="val.csv, line 3: .*train.csv. Received: 'hop'"):
        read_csv(tmp_path, "val")


MMACTION2 = "air drumming/_dbc_000040_000050.mp4 1\nabseiling/x, y.mp4 0\n"


@pytest.mark.parametrize("folder", ["", "videos/", "videos_train/"])
def test_list_of_videos_of_mmaction2(tmp_path, folder):
    name, paths = "k400_train_list_videos.txt", [line[:-2] for line in MMACTION2.splitlines()]
    write(tmp_path, {name: MMACTION2, **{f"{folder}{path}": "" for path in paths}})
    # A video of another split has the same name.
    write(tmp_path, {f"videos_val/{paths[0]}": ""})
    videos, names = read_csv(tmp_path, train_list=name)
    assert names == ["0", "1"] and not find_missing(videos)
    assert videos == [
        Video(str(tmp_path / folder / path), label, path)
        for path, label in zip(paths, (1, 0), strict=True)
    ]
    videos, _ = read_csv(tmp_path, "val", train_list=name, val_list=name)
    assert videos[0].path == str(tmp_path / ("videos_val" if folder != "" else "") / paths[0])


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", ", "])
def test_list_of_videos_of_pyslowfast(tmp_path, separator):
    rows = [("a b/c.mp4", 0), (f"{tmp_path}/d, e.mp4", 1), ("videos/3 4.avi", 1), ("f", 0)]
    text = "".join(f"{path}{separator}{label}\r\n" for path, label in rows)
    write(tmp_path, {"train.csv": "\ufeff" + text, "test.csv": text})
    for split in ("train", "test"):
        videos, names = read_csv(tmp_path, split)
        assert [(video.id, video.label) for video in videos] == rows and names == ["0", "1"]
        assert videos[1].path == f"{tmp_path}/d, e.mp4"


def test_list_of_videos_with_quotes(tmp_path):
    """As a table is written without its header."""
    write(tmp_path, {"train.csv": '"a, b.mp4",0\n"say ""hi"".mp4",1\nc.mp4,0\n'})
    assert [video.id for video in read_csv(tmp_path)[0]] == ["a, b.mp4", 'say "hi".mp4', "c.mp4"]


@pytest.mark.parametrize(
    "line, rule",
    [
        ("a.mp4", "a line must be a path and a label"),
        ("a.mp4 1.0", "a label must be a whole number"),
        ("a.mp4 -1", "a label must be a whole number"),
        ("a.mp4 0 1", "a line must be a path and a label"),
        ("a 300 1", "a line must be a path and a label.* 'frames' .--dataset frames"),
        (" 1", "a line must be a path and a label"),
        (",1", "a line must be a path and a label"),
    ],
)
def test_damaged_line_of_a_list_of_videos(tmp_path, line, rule):
    write(tmp_path, {"train.csv": f"a.mp4 0\n\n{line}\n"})
    with pytest.raises(ValueError, match=rf"train\.csv, line 3: {rule}.*Received: "):
        read_csv(tmp_path)
    with pytest.warns(AnnotationWarning, match="1 of 2 lines were skipped"):
        assert len(read_csv(tmp_path, skip_bad_lines=True)[0]) == 1


def test_list_of_folders_of_frames_without_counts(tmp_path):
    write(tmp_path, {"train.csv": "a b 0\nc 1\n", "c/f0.png": ""})
    videos, _ = read_csv(tmp_path, image_template="f{}.png")
    assert videos[1] == Video(str(tmp_path / "c"), 1, "c", None, "f{}.png")


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), st.sampled_from(",;\t"))
@settings(max_examples=80)
def test_csv_round_trip(tmp_path_factory, rows, delimiter):
    root = tmp_path_factory.mktemp("set")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["path", "label"])
    writer.writerows(rows)
    (root / "train.csv").write_bytes(text.getvalue().encode())
    labels = [label for _, label in rows]
    numbers = all(label.isdecimal() and label.isascii() for label in labels)
    videos, names = read_csv(root, **({"allow_empty_classes": True} if numbers else {}))
    assert [video.id for video in videos] == [name for name, _ in rows]
    if numbers:
        assert [names[video.label] for video in videos] == [str(int(label)) for label in labels]
    else:
        assert [names[video.label] for video in videos] == labels and names == sorted(set(labels))
