import os

import pytest
from hypothesis import given, settings, strategies as st

from smallbig_keras import class_names
from smallbig_keras.data import (
    AnnotationWarning,
    DatasetNotFoundError,
    Video,
    find_missing,
    read_annotations,
)

GOOD = "a 10 0\nb c 24 1\n"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def read(root, split="train", **options):
    return read_annotations("frames", root, split, **options)


def test_frame_list(tmp_path):
    write(tmp_path, {"train.txt": GOOD, "val.txt": "\n\nd\t7\t1\r\n\r\n"})
    videos, names = read(tmp_path)
    assert names == ["0", "1"]
    assert videos == [
        Video(str(tmp_path / "a"), 0, "a", 10, "img_{:05d}.jpg"),
        Video(str(tmp_path / "b c"), 1, "b c", 24, "img_{:05d}.jpg"),
    ]
    videos, names = read(tmp_path, "val", image_template="{:06d}.jpg")
    assert names == ["0", "1"]
    assert videos == [Video(str(tmp_path / "d"), 1, "d", 7, "{:06d}.jpg")]


@pytest.mark.parametrize(
    "line, expected",
    [
        ("a,10,2", ("a", 10, 2)),
        ("a b, c;10;2", ("a b, c", 10, 2)),
        ("my nice clip, 10 , 2", ("my nice clip", 10, 2)),
        ("a, b,c 10 2", ("a, b,c", 10, 2)),
        ("a\tb c\t10\t2", ("a\tb c", 10, 2)),
        ("-x_(1) + #2 7 3 10 2", ("-x_(1) + #2 7 3", 10, 2)),
        ("a/b/é 10   02  ", ("a/b/é", 10, 2)),
        ("#a 10 2", ("#a", 10, 2)),
    ],
)
def test_frame_line(tmp_path, line, expected):
    write(tmp_path, {"train.txt": "\ufeff" + line})
    ((video,), _) = read(tmp_path, allow_empty_classes=True)
    assert (video.id, video.num_frames, video.label) == expected


# The damage of real lists: of a folder without frames only its path and the label are written.
DAMAGED = [
    ("data/k400/rawframes_train/skateboarding/KZC_x 306", "a line must be"),
    ("/data/k400/rawframes train/skate boarding/KZC_x 306", "number of frames"),
    ("a,306", "a line must be"),
    ("a", "a line must be"),
    ("a 0 306", "number of frames must be a whole number from 1"),
    ("a x 3", "number of frames"),
    ("a -5 3", "number of frames"),
    ("a 5 -1", "a label must be"),
    ("a 5 1.0", "a label must be"),
    ("a 5 ٣", "a label must be"),
    ("a 1_0 3", "number of frames"),
    ("a,5;3", "a line must be"),
    ("5 3", "a line must be"),
    ("a b/c.mp4 3", "number of frames .* 'csv' .--dataset csv"),
]


@pytest.mark.parametrize("line, rule", DAMAGED)
def test_damaged_line(tmp_path, line, rule):
    write(tmp_path, {"train.txt": f"{GOOD}\n{line}\nz 1 2\n{line}\n"})
    place = r"train\.txt, line 4: .*"
    with pytest.raises(ValueError, match=f"{place}{rule}") as caught:
        read(tmp_path)
    assert "Received: " in str(caught.value)
    assert "(1 more: 6)" in str(caught.value)
    with pytest.warns(AnnotationWarning, match=f"2 of 5 lines were skipped.*\n.*{place}"):
        videos, names = read(tmp_path, skip_bad_lines=True)
    assert len(names) == 3 and [video.id for video in videos] == ["a", "b c", "z"]


def test_thousands_of_damaged_lines(tmp_path):
    write(tmp_path, {"train.txt": GOOD + "a 306\n" * 1400})
    with pytest.raises(ValueError, match="1399 more: 4, .* and 1389 more") as caught:
        read(tmp_path)
    assert len(str(caught.value)) < 500
    with pytest.warns(AnnotationWarning, match="1400 of 1402") as warned:
        read(tmp_path, skip_bad_lines=True)
    assert str(warned[0].message).count(", line ") == 10
    write(tmp_path, {"train.txt": "a 306\n" * 3})
    with pytest.raises(ValueError, match="line 1"):
        read(tmp_path, skip_bad_lines=True)


def test_labels_stay_below_those_of_the_training_list(tmp_path):
    write(tmp_path, {"train.txt": GOOD + "damaged 3\n", "val.txt": "d 7 1\ne 7 3\n"})
    with pytest.raises(ValueError, match=r"train.txt, line 3: .*a line must be"):
        read(tmp_path, "val")
    write(tmp_path, {"train.txt": GOOD})
    with pytest.raises(ValueError, match=r"val.txt, line 2: .*0 to 1, as in .*train.txt.*: 3"):
        read(tmp_path, "val")
    write(tmp_path, {"classes.txt": "x\n"})
    with pytest.raises(ValueError, match="train.txt, line 2: .*0 to 0, as in classes.txt.*: 1"):
        read(tmp_path)


def test_class_names(tmp_path):
    write(tmp_path, {"train.txt": GOOD, "classes.txt": "x\ny\nz z\n", "other.txt": "p\nq\nr\ns"})
    assert read(tmp_path)[1] == ["x", "y", "z z"]
    assert read(tmp_path, class_list="other.txt")[1] == ["p", "q", "r", "s"]
    assert read(tmp_path, class_list="sthv1")[1] == class_names("sthv1")
    with pytest.raises(ValueError, match="`class_list` must be .*'sthv2'.*Received: .*none.txt"):
        read(tmp_path, class_list="none.txt")
    write(tmp_path, {"classes.txt": "x\ny\nx\n"})
    with pytest.raises(ValueError, match=r"classes.txt must name each class once.*\['x'\]"):
        read(tmp_path)
    write(tmp_path, {"classes.txt": b"x\n\xff\n"})
    with pytest.raises(ValueError, match="classes.txt, line 2: a class name must be UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize(
    "name", ["train.txt", "train_list.txt", "trainlist.txt", "annotations/train_videofolder.txt"]
)
def test_names_of_the_list(tmp_path, name):
    write(tmp_path, {name: GOOD})
    assert len(read(tmp_path)[0]) == 2


def test_given_lists(tmp_path):
    lists = {"train_list": "lists/a.txt", "val_list": "lists/b.csv", "test_list": "lists/c"}
    for (option, name), split in zip(lists.items(), ("train", "val", "test"), strict=True):
        with pytest.raises(DatasetNotFoundError, match=f"no {name} in it"):
            read(tmp_path, split, **{option: name})
        write(tmp_path, {name: f"{split} 10 0"})
        assert read(tmp_path, split, **lists)[0][0].id == split
    # A list elsewhere.
    path = str(tmp_path / "lists" / "a.txt")
    assert read(tmp_path / "lists", train_list=path)[0][0].id == "train"


@pytest.mark.parametrize(
    "line, folder",
    [
        ("clip", "clip"),
        ("clip", "frames/clip"),
        ("class/clip", "rawframes_train/class/clip"),
        # As the authors' code reads a name: its last part up to the first dot.
        ("videos/class/clip.b.mp4", "clip"),
        ("/data/class/clip", "rawframes/clip"),
        # Of Kinetics the 11 letters of the video.
        ("abseiling/-a_________-_000059_000069", "-a_________-"),
    ],
)
def test_folders_of_frames(tmp_path, line, folder):
    line = line.replace("-a_________-", "-a________-")
    folder = folder.replace("-a_________-", "-a________-")
    write(tmp_path, {"train.txt": f"{line} 10 0\n.x 3 0", f"{folder}/img_00001.jpg": ""})
    videos, _ = read(tmp_path)
    assert videos[0].path == str(tmp_path / folder) and videos[0].id == line
    assert find_missing(videos) == videos[1:]


def test_absolute_names(tmp_path):
    write(tmp_path, {"root/train.txt": f"{tmp_path}/x/ 10 0", "x/img_00001.jpg": ""})
    videos, _ = read(tmp_path / "root")
    assert videos[0].path == f"{tmp_path}/x/" and not find_missing(videos)


def test_frames_of_another_name(tmp_path):
    write(tmp_path, {"train.txt": GOOD, "b c/image_000001.jpg": ""})
    with pytest.raises(ValueError, match="'img_00001.jpg'; image_template .*'image_000001.jpg'"):
        read(tmp_path)
    assert len(read(tmp_path, image_template="image_{:06d}.jpg")[0]) == 2
    for template in ("img_%05d.jpg", "{", "{}{}", "{name}", "img.jpg", 5):
        with pytest.raises(ValueError, match="str.format template .*Received: "):
            read(tmp_path, image_template=template)


def test_names_that_are_not_utf8(tmp_path):
    name = b"caf\xe9 (1)"
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    (folder / "img_00001.jpg").touch()
    write(tmp_path, {"train.txt": name + b" 10 0\nb\0 3 0\n"})
    videos, _ = read(tmp_path)
    assert os.fsencode(videos[0].path).endswith(name) and find_missing(videos) == videos[1:]
    write(tmp_path, {"train.csv": b"path,label\n" + name + b",x"})
    ((video,), _) = read_annotations("csv", tmp_path, "train")
    assert find_missing([video]) == []


ODD = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("#-_(,;) +'\""))
NAMES = ODD.map(lambda name: name.strip() or "x").filter(lambda name: name.strip("\ufeff") == name)
ENTRIES = st.lists(
    st.tuples(NAMES, st.integers(1, 10**6), st.integers(0, 999)), min_size=1, max_size=6
)


@given(
    ENTRIES, st.sampled_from([" ", "\t", ",", ";", " , ", "  "]), st.sampled_from(["\n", "\r\n"])
)
@settings(max_examples=80)
def test_frame_list_round_trip(tmp_path_factory, entries, separator, end):
    root = tmp_path_factory.mktemp("set")
    lines = [separator.join(map(str, entry)) for entry in entries]
    (root / "train.txt").write_bytes(end.join(lines).encode())
    videos, names = read(root, allow_empty_classes=True)
    assert [(video.id, video.num_frames, video.label) for video in videos] == entries
    assert len(names) == 1 + max(label for *_, label in entries)


@given(st.binary(max_size=60))
@settings(max_examples=80)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("set")
    lists = {"table.csv": b"path,label\n" + data, "list.csv": b"a.mp4 0\n" + data}
    write(root, {"train.txt": data, **lists})
    for dataset, name in (("frames", None), *(("csv", name) for name in lists)):
        try:
            videos, names = read_annotations(dataset, root, "train", train_list=name)
        except ValueError as error:
            assert (name or "train.txt") in str(error) and "Received: " in str(error)
        else:
            assert all(0 <= video.label < len(names) for video in videos)
            find_missing(videos)
