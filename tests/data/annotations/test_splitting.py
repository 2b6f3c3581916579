"""Folders of classes without validation videos: a split by seed, or by a list."""

import hashlib
import json
import os
import sys

import pytest

from smallbig_keras.data.annotations import folders
from smallbig_keras.data.annotations.splitting import read_list, write_list
from smallbig_keras.data.annotations.video import class_counts
from smallbig_keras.data.options import (
    DatasetOptions,
    check_dataset,
    is_split_by_seed,
    update_dataset,
)
from smallbig_keras.errors import NotFoundError, OptionError, SmallBigError
from tests.data.annotations.test_folders import read, touch


def ids(root, split="validation", **options):
    return {video.id for video in read(root, split, **options)[0]}


@pytest.fixture
def root(tmp_path):
    """Two classes of 10 and 3 videos."""
    root = tmp_path / "data"
    touch(root, *(f"hop/{i}.mp4" for i in range(10)), *(f"run é/{i}.mp4" for i in range(3)))
    return root


def test_split_by_seed(root):
    """The rule, in other words: the first by SHA-256 of seed, class and file."""
    training, validation = ids(root, "train"), ids(root)
    assert read(root)[1] == read(root, "val")[1] == ["hop", "run é"]
    expected = set()
    for name, count, share in (("hop", 10, 2), ("run é", 3, 1)):
        files = [f"{name}/{i}.mp4" for i in range(count)]
        digests = {hashlib.sha256(f"0/{file}".encode()).hexdigest(): file for file in files}
        expected |= {digests[digest] for digest in sorted(digests)[:share]}
    assert validation == expected
    assert not training & validation and len(training | validation) == 13
    assert validation == {"hop/0.mp4", "hop/7.mp4", "run é/1.mp4"}
    assert ids(root, val_share=0.2, split_seed=0) == validation != ids(root, split_seed=1)
    assert len(ids(root, val_share=0.99)) == 9 + 2 and len(ids(root, val_share=0.01)) == 2


def test_split_does_not_depend_on_the_system(root, monkeypatch):
    """Nor on the order of a listing, nor on the form of accents, nor on where the root is."""
    expected = ids(root)
    names = folders._Tree._names
    with monkeypatch.context() as patch:
        patch.setattr(folders._Tree, "_names", lambda *args: names(*args)[::-1])
        assert ids(root) == expected
    (root / "run é").rename(root / "run e\u0301")
    moved = root.rename(root.parent / "moved")
    assert {name.replace("e\u0301", "é") for name in ids(moved)} == expected


def test_added_video_moves_few_others(root):
    before = ids(root)
    touch(root, "hop/10.mp4")
    assert len(before - ids(root)) <= 1
    touch(root, *(f"hop/{i}.mp4" for i in range(11, 20)))
    assert len(ids(root)) == 5


def test_training_folder_alone_is_split_likewise(root):
    expected = ids(root)
    (root.parent / "set").mkdir()
    root.rename(root.parent / "set" / "Train")
    touch(root.parent / "set", "test/hop/x.mp4")
    assert ids(root.parent / "set") == expected
    assert ids(root.parent / "set", "test") == {"hop/x.mp4"}


def test_test_folder_beside_the_classes(root):
    touch(root, "test/x.mp4", "test/hop/y.mp4")
    videos, names = read(root, "test")
    assert names == ["hop", "run é"]
    assert {(video.id, video.label) for video in videos} == {("x.mp4", None), ("hop/y.mp4", 0)}
    assert len(ids(root, "train")) == 10


ODD = [
    *("a b.mp4", " begin.mp4", "#1.mp4", "it's.mp4", '"both".mp4', '"open.mp4', "x\\y.mp4"),
    *("é.mp4", "e\u0301.mp4", "🏃‍♀️.mp4", "\ufeffbom.mp4", "\u2028.mp4", "\x85.mp4", "tab\t.mp4"),
    *("line\nbreak.mp4", "return\r.mp4", os.fsdecode(b"\xff.mp4"), '"a\\nb".mp4', "plain.mp4"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse some of these names")
@pytest.mark.parametrize("template", [None, "{}.jpg"])
def test_written_list_is_read_back(tmp_path, template):
    """Names with any character; those of folders of frames may end in any."""
    root = tmp_path / "data"
    names = ODD if template is None else [*ODD, "end ", 'quote"', '"x"', "x", "\n", '"']
    frame = "" if template is None else "/1.jpg"
    touch(root, *(f"{folder}/{name}{frame}" for folder in ("a", '\u00a0"b" #') for name in names))
    options = {"image_template": template}
    for seed in range(8):
        expected = [read(root, split, split_seed=seed, **options) for split in ("train", "val")]
        write_list([video.id for video in expected[1][0]], tmp_path / "list.txt")
        (tmp_path / "list.txt").read_text("utf-8")
        again = {"val_list": "../list.txt", **options}
        assert [read(root, split, **again) for split in ("train", "val")] == expected


def test_list_of_ones_own(root, tmp_path):
    """Relative and absolute paths; the other videos train, also those that come later."""
    link = tmp_path / "link"
    link.symlink_to(root)
    lines = ["hop/1.mp4 ", "", str(root / "hop/2.mp4"), str(link / "hop/3.mp4"), "./run é/0.mp4"]
    (root / "mine.txt").write_text("\r\n".join(lines), "utf-8")
    expected = {"hop/1.mp4", "hop/2.mp4", "hop/3.mp4", "run é/0.mp4"}
    for val_list in ("mine.txt", str(root / "mine.txt")):
        assert ids(root, val_list=val_list) == ids(link, val_list=val_list) == expected
    touch(root, "hop/new.mp4", "one/x.mp4")
    assert ids(root, val_list="mine.txt") == expected
    assert {"hop/new.mp4", "one/x.mp4"} < ids(root, "train", val_list="mine.txt")


@pytest.mark.parametrize(
    "text, message",
    [
        ("hop/1.mp4\nhop/11.mp4\n", "list.txt, line 2: .*Did you mean 'hop/1.mp4'"),
        ("hop/1.mp4 0\n", "line 1: a line must be CLASS/NAME .*Did you mean 'hop/1.mp4'"),
        ("Hop/1.mp4\n", "line 1: .*Did you mean 'hop'\\? Received: 'Hop/1.mp4'"),
        ('"hop/1.mp4', "line 1: .*Received: '\"hop/1.mp4'"),
        ('"a\0"', "line 1: "),
        ("notes.txt", "line 1: "),
        ("\n \n", "must list at least one video"),
        ("\n".join(f"run é/{i}.mp4" for i in range(3)), "training video.*none of 'run é'"),
    ],
)
def test_bad_lists(root, text, message):
    touch(root, "notes.txt")
    (root / "list.txt").write_text(text, "utf-8")
    with pytest.raises(SmallBigError, match=message):
        read(root, val_list="list.txt")


def test_bad_options(root):
    with pytest.raises(
        NotFoundError, match="`val_list` .* must be a file.* Received: .*nothing.txt"
    ):
        read(root, val_list="nothing.txt")
    for share in (0, 1, -0.5, 1.5, float("nan")):
        with pytest.raises(SmallBigError, match="`val_share` .* must be above 0 and below 1"):
            read(root, val_share=share)
    with pytest.raises(SmallBigError, match="`split_seed`.* must be at least 0"):
        read(root, split_seed=-1)
    for name, value in (("val_share", 0.1), ("split_seed", 0)):
        with pytest.raises(OptionError, match="has no effect with `val_list`"):
            read(root, val_list="x", **{name: value})
        with pytest.raises(OptionError, match="has no effect with `val_list`"):
            options = DatasetOptions("folder", "x", val_list="x", **{name: value})
            check_dataset(options)
        with pytest.raises(OptionError, match="has no effect with --shards"):
            check_dataset(DatasetOptions(dataset="folder", shards="x", **{name: value}))
    touch(root, "train/hop/x.mp4", "val/hop/y.mp4")
    for name, value in (("val_share", 0.1), ("split_seed", 0), ("val_list", "x")):
        with pytest.raises(OptionError, match="has no effect with a folder of validation"):
            read(root, **{name: value})


def test_class_with_one_video(root):
    touch(root, "one/x.mp4", "only/x.mp4")
    with pytest.raises(SmallBigError, match="val_list .* one video of 'one', 'only'"):
        read(root)
    with pytest.raises(SmallBigError, match="two videos of each class"):
        read(root, "validation", allow_empty_classes=True)


def test_a_run_reads_its_own_list(root, tmp_path):
    """Another split, shards and a folder with a split of its own take its place."""
    by_seed = DatasetOptions(dataset="folder", data_root=str(root), split_seed=3)
    run = DatasetOptions(dataset="folder", data_root=str(root), val_list="/run/val_list.txt")
    assert is_split_by_seed(by_seed) and not is_split_by_seed(run)
    assert not is_split_by_seed(DatasetOptions(dataset="folder", shards="x"))
    moved = update_dataset(run, {"data_root": str(tmp_path)})
    assert moved.val_list == "/run/val_list.txt"
    again = update_dataset(run, {"val_share": 0.3})
    assert (again.val_list, again.val_share, again.split_seed) == (None, 0.3, None)
    assert update_dataset(by_seed, {"val_list": "x"}).split_seed is None
    check_dataset(update_dataset(run, {"shards": "x"}))
    touch(tmp_path / "other", "train/a/x.mp4", "val/a/y.mp4")
    other = update_dataset(run, {"data_root": str(tmp_path / "other")})
    assert other.val_list is None and not is_split_by_seed(other)


def test_line_format(tmp_path):
    """Plain where a line keeps the name."""
    names = ["a/it's #1 é.mp4", "a/\u2028.mp4"]
    write_list(names, tmp_path / "list.txt")
    assert read_list(tmp_path / "list.txt") == names
    content = (tmp_path / "list.txt").read_bytes()
    assert content == f"{names[0]}\n{json.dumps(names[1])}\n".encode()


def test_class_counts():
    assert class_counts([0, 2, 2], ["a", "b", "c"]) == {"a": 1, "b": 0, "c": 2}
