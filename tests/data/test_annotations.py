import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallbig_keras.data import DatasetNotFoundError, Video, read_sthv2
from smallbig_keras.data.annotations import _line_of

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
        for part in ("20bn-something-something-v2\n", "labels.json", "training/prepare.py sample"):
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
