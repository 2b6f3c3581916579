import json
import os

import pytest
from hypothesis import given, strategies as st

from smallbig_keras import class_names
from smallbig_keras.data import DatasetNotFoundError, Video, read_annotations, read_sthv2
from smallbig_keras.data.annotations.something_something import _line_of

LABELS = {"Throwing something": "1", "Holding something next to something": "0"}
TRAIN = [
    {"id": "78687", "label": "a", "template": "Holding [something] next to [something]"},
    {"id": "42", "label": "b", "template": "Throwing [something]"},
]


def write(root, files):
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1), "utf-8")


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
@pytest.mark.parametrize("folder", ["", "labels/"])
def test_layouts(tmp_path, folder, prefix):
    write(
        tmp_path,
        {
            f"{folder}{prefix}train.json": TRAIN,
            f"{folder}{prefix}test.json": [{"id": "7"}],
            f"{folder}{prefix}labels.json": LABELS,
        },
    )
    videos, names = read_sthv2(tmp_path, "train")
    assert names == ["Holding something next to something", "Throwing something"]
    clips = tmp_path / "20bn-something-something-v2"
    assert videos == [
        Video(str(clips / "78687.webm"), 0, "78687"),
        Video(str(clips / "42.webm"), 1, "42"),
    ]
    videos, _ = read_sthv2(str(tmp_path), "test")
    assert videos == [Video(str(clips / "7.webm"), None, "7")]


def test_missing_data_draws_the_layout(tmp_path):
    for root in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DatasetNotFoundError) as caught:
            read_sthv2(root, "train")
        message = str(caught.value)
        for part in ("20bn-something-something-v2\n", "labels.json", "smallbig prepare sample"):
            assert part in message
        assert f"Received: {root}" in message
    write(tmp_path, {"labels/labels.json": LABELS})
    with pytest.raises(FileNotFoundError, match="no validation.json in it"):
        read_sthv2(tmp_path, "validation")


def test_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="Received: split='val'"):
        read_sthv2(tmp_path, "val")


@pytest.mark.parametrize(
    "entry, rule",
    [
        ("x", '"id"'),
        ({"template": "Throwing [something]"}, '"id"'),
        ({"id": 7, "template": "Throwing [something]"}, '"id"'),
        ({"id": "../7", "template": "Throwing [something]"}, '"id"'),
        ({"id": "7"}, '"template"'),
        ({"id": "7", "template": "Eating [something]"}, "Eating"),
        ({"id": "42", "template": "Throwing [something]"}, "twice"),
    ],
)
def test_bad_entry_is_named_by_file_entry_and_line(tmp_path, entry, rule):
    write(tmp_path, {"labels.json": LABELS, "train.json": [*TRAIN, entry]})
    # Two entries of five lines each after the line of "[".
    with pytest.raises(ValueError, match=r"train\.json, entry 2 \(line 12\): .*" + rule) as caught:
        read_sthv2(tmp_path, "train")
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    "text, part",
    [
        ('[\n{"id": }\n]', "line 2"),
        ("{}", "list of videos"),
        ("[]", "at least one"),
        ("[" * 99999, ""),
    ],
)
def test_bad_file(tmp_path, text, part):
    write(tmp_path, {"labels.json": LABELS, "train.json": text})
    with pytest.raises(ValueError, match=r"train\.json.*" + part):
        read_sthv2(tmp_path, "train")


def test_file_that_is_not_utf8(tmp_path):
    write(tmp_path, {"labels.json": LABELS})
    (tmp_path / "train.json").write_bytes(b'[{"id": "\xff"}]')
    with pytest.raises(ValueError, match=r"train\.json must be a JSON file in UTF-8"):
        read_sthv2(tmp_path, "train")


@pytest.mark.parametrize(
    "labels", [{}, {"a": "1"}, {"a": "0", "b": "0"}, {"a": "0", "b": "2"}, {"a": "x"}, {"a": None}]
)
def test_class_ids_must_count_from_zero(tmp_path, labels):
    write(tmp_path, {"labels.json": labels, "train.json": TRAIN})
    with pytest.raises(ValueError, match=r"labels\.json.* id.*Received: "):
        read_sthv2(tmp_path, "train")


@given(
    st.lists(st.recursive(st.text() | st.integers(), st.lists, max_leaves=5), min_size=1),
    st.data(),
    st.sampled_from([None, 0, 2]),
)
def test_line_of_entry(entries, data, indent):
    index = data.draw(st.integers(0, len(entries) - 1))
    text = "\n" + json.dumps(entries, indent=indent)
    before = json.dumps([*entries[:index], "mark"], indent=indent)
    assert _line_of(text, index) == 2 + before[: before.rindex('"mark"')].count("\n")


FOLDER = "20bn-something-something-v2"


@pytest.mark.parametrize(
    "folder, template, option",
    [
        (FOLDER, "{:06d}.jpg", None),
        (f"{FOLDER}-frames", "{:06d}.jpg", None),
        ("rawframes", "img_{:05d}.jpg", None),
        ("frames", "f{}.png", "f{}.png"),
    ],
)
def test_frames_of_v2(tmp_path, folder, template, option):
    write(tmp_path, {"labels.json": LABELS, "train.json": TRAIN})
    # A folder that came out empty does not decide how frames are named.
    (tmp_path / folder / "78687").mkdir(parents=True)
    write(tmp_path, {f"{folder}/42/{template.format(1)}": ""})
    videos, _ = read_annotations("sthv2", tmp_path, "train", image_template=option)
    assert videos == [
        Video(str(tmp_path / folder / "78687"), 0, "78687", template=template),
        Video(str(tmp_path / folder / "42"), 1, "42", template=template),
    ]


def test_videos_of_v2_come_before_frames_unless_a_template_is_given(tmp_path):
    files = {f"{FOLDER}/42.webm": "", "frames/42/000001.jpg": "", "videos/78687.mp4": ""}
    write(tmp_path, {"labels.json": LABELS, "train.json": TRAIN, **files})
    videos, _ = read_sthv2(tmp_path, "train")
    assert [(video.path, video.template) for video in videos] == [
        (str(tmp_path / "videos/78687.mp4"), None),
        (str(tmp_path / FOLDER / "42.webm"), None),
    ]
    videos, _ = read_sthv2(tmp_path, "train", "{:06d}.jpg")
    assert videos[0].path == str(tmp_path / FOLDER / "78687")
    assert videos[1] == Video(str(tmp_path / "frames/42"), 1, "42", template="{:06d}.jpg")
    with pytest.raises(ValueError, match="named like 'img_00001.jpg'.*Received: .*000001.jpg"):
        read_sthv2(tmp_path, "train", "img_{:05d}.jpg")
    with pytest.raises(ValueError, match="Received: 'img_%05d.jpg'"):
        read_sthv2(tmp_path, "train", "img_%05d.jpg")


V1 = "something-something-v1-"
COMMA = "Laying something on the table on its side, not upright"
QUOTE = "Pushing something so that it almost falls off but doesn't"


def v1(root, folder="", **files):
    defaults = {"labels": "\n".join(class_names("sthv2")), "test": "7\n"}
    files = {**defaults, "train": f"100218;{QUOTE}\r\n3;{COMMA}\n\n", **files}
    write(root, {f"{folder}{V1}{name}.csv": text for name, text in files.items()})


@pytest.mark.parametrize("folder", ["", "labels/", "annotations/"])
def test_v1(tmp_path, folder):
    v1(tmp_path, folder)
    frames = tmp_path / "20bn-something-something-v1"
    videos, names = read_annotations("sthv1", tmp_path, "train")
    # The csv of labels is sorted here; the published order is not.
    assert names == class_names("sthv1") and names[0] == "Holding something"
    assert videos == [
        Video(str(frames / "100218"), names.index(QUOTE), "100218", template="{:05d}.jpg"),
        Video(str(frames / "3"), names.index(COMMA), "3", template="{:05d}.jpg"),
    ]
    videos, _ = read_annotations("sthv1", tmp_path, "test")
    assert videos == [Video(str(frames / "7"), None, "7", template="{:05d}.jpg")]
    write(frames, {"3/img_00001.jpg": "", "3/flow_x_00001.jpg": ""})
    videos, _ = read_annotations("sthv1", tmp_path, "train")
    assert {video.template for video in videos} == {"img_{:05d}.jpg"}
    os.rename(frames / "3" / "img_00001.jpg", frames / "3" / "1.jpg")
    with pytest.raises(ValueError, match="image_template tells another name. Received: .*1.jpg"):
        read_annotations("sthv1", tmp_path, "train")


def test_v1_with_other_classes_keeps_the_order_of_its_list(tmp_path):
    v1(tmp_path, labels="b, c\na;d\n", train="1;a;d\n2;b, c\n")
    videos, names = read_annotations("sthv1", tmp_path, "train")
    assert names == ["b, c", "a;d"] and [video.label for video in videos] == [1, 0]


@pytest.mark.parametrize(
    "files, place",
    [
        ({"train": f"1;{COMMA}\n\n2;Eating something"}, "train.csv, line 3: .*Eating"),
        ({"train": f"1,{COMMA}"}, "train.csv, line 1: "),
        ({"train": f"../1;{COMMA}"}, "train.csv, line 1: "),
        ({"train": f"1;{COMMA}\n1;{COMMA}"}, "train.csv, line 2: .*twice"),
        ({"train": "1"}, "train.csv, line 1: "),
        ({"train": "\n"}, "train.csv must list"),
        ({"labels": "a\nb\na"}, "labels.csv, line 3: .*twice"),
        ({"labels": ""}, "labels.csv must list"),
    ],
)
def test_v1_damaged(tmp_path, files, place):
    v1(tmp_path, **files)
    with pytest.raises(ValueError, match=place) as caught:
        read_annotations("sthv1", tmp_path, "train")
    assert "Received: " in str(caught.value)


def test_v1_in_another_encoding(tmp_path):
    v1(tmp_path)
    path = tmp_path / f"{V1}train.csv"
    path.write_text(path.read_text("utf-8"), "utf-16")
    with pytest.raises(ValueError, match="train.csv must be in UTF-8. Received: UTF-16"):
        read_annotations("sthv1", tmp_path, "train")
    path.write_text(f"5;{COMMA}", "utf-8-sig")
    videos, _ = read_annotations("sthv1", tmp_path, "train")
    assert [video.id for video in videos] == ["5"]
