import csv
import io
import string

import pytest
from hypothesis import given, settings, strategies as st

from smallbig_keras import class_names
from smallbig_keras.data import Video, find_missing, read_annotations
from smallbig_keras.data.annotations.kinetics import _read_csv
from smallbig_keras.data.annotations.text_files import LineParser

HEAD = "label,youtube_id,time_start,time_end,split"
TRAIN = f"""{HEAD},is_cc
abseiling,-3B32lodo2M,59,69,train,0
"air drumming",_dbcJuKJQNs,40.0,50.0,train,0
"passing American football (in game)",0wR5jVB-WPk,417,427,train,1
"massaging person's head",a__-_______,0,10,train,0
"""
STEMS = (
    "-3B32lodo2M_000059_000069",
    "_dbcJuKJQNs_000040_000050",
    "0wR5jVB-WPk_000417_000427",
)
LABELS = [0, 1, 208, 196]


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def read(root, split="train"):
    return read_annotations("k400", root, split)


@pytest.mark.parametrize(
    "place",
    [
        *("train.csv", "annotations/train.csv", "kinetics400/train.csv"),
        *("annotations/kinetics_train.csv", "kinetics-400_train.csv"),
    ],
)
@pytest.mark.parametrize(
    "folder", ["train", "videos_train", "videos/train", "train_256", "videos", "."]
)
def test_places(tmp_path, place, folder):
    write(tmp_path, {place: TRAIN, f"{folder}/-3B32lodo2M_000059_000069.mp4": ""})
    videos, names = read(tmp_path)
    assert names == class_names("k400")
    assert [names[video.label] for video in videos] == [
        "abseiling",
        "air drumming",
        "passing American football (in game)",
        "massaging person's head",
    ]
    assert videos[0].path == str(tmp_path / folder / "-3B32lodo2M_000059_000069.mp4")
    assert videos[1].id == "_dbcJuKJQNs_000040_000050"
    assert find_missing(videos) == videos[1:]


@pytest.mark.parametrize("name", ["val", "validate", "validation"])
@pytest.mark.parametrize("split", ["val", "validate", "validation"])
def test_names_of_the_validation_split(tmp_path, name, split):
    text = f"{HEAD}\nabseiling,-3B32lodo2M,59,69,{name}\n"
    write(tmp_path, {f"{name}.csv": text, f"{name}/-3B32lodo2M_000059_000069.mp4": ""})
    path = str(tmp_path / name / "-3B32lodo2M_000059_000069.mp4")
    assert read(tmp_path, split)[0] == [Video(path, 0, "-3B32lodo2M_000059_000069")]


@pytest.mark.parametrize(
    "files",
    [
        # Flat, as extracted; endings of other downloads.
        ("{0}.mp4", "{1}.mkv", "{2}.webm", "{3}_000000_000010.MP4"),
        # Class folders with spaces, underscores, and without what TSM strips; no class at all.
        (
            "abseiling/{0}.mp4",
            "air_drumming/{1}.mp4",
            "passing_American_football_in_game/{2}.mp4",
            "massaging persons head/{3}_000000_000010.mp4",
        ),
        # Times without zeros, the start alone, no times.
        ("-3B32lodo2M_59_69.mp4", "_dbcJuKJQNs_40.mp4", "0wR5jVB-WPk.mp4", "{3}_000000.mp4"),
    ],
)
def test_files(tmp_path, files):
    stems = (*STEMS, "a__-_______")
    paths = [str(tmp_path / "train" / file.format(*stems)) for file in files]
    write(tmp_path, {"train.csv": TRAIN, **dict.fromkeys(paths, "")})
    # Neither is the file of another clip.
    write(tmp_path, {"train/_dbcJuKJQNs_000041_000051.mp4": "", "train/3B32lodo2M.mp4": ""})
    videos, _ = read(tmp_path)
    assert [video.path for video in videos] == paths
    assert [video.label for video in videos] == LABELS


def test_replacements_come_first(tmp_path):
    file = f"{STEMS[0]}.mp4"
    inside = "replacement/replacement_for_corrupted_k400"
    places = [f"train/{file}", f"{inside}/{file}", f"train/{STEMS[1]}.mp4"]
    write(tmp_path, {"train.csv": TRAIN, **dict.fromkeys(places, "")})
    videos, _ = read(tmp_path)
    assert videos[0].path == str(tmp_path / inside / file)
    assert videos[1].path == str(tmp_path / places[2])


def test_one_file_in_two_classes(tmp_path):
    text = f"{HEAD}\nzumba,-3B32lodo2M,59,69,train\nabseiling,-3B32lodo2M,59,69,train\n"
    files = [f"train/{name}/{STEMS[0]}.mp4" for name in ("zumba", "abseiling")]
    write(tmp_path, {"train.csv": text, **dict.fromkeys(files, "")})
    assert [video.path for video in read(tmp_path)[0]] == [str(tmp_path / file) for file in files]


def test_a_clip_that_is_not_there_keeps_its_expected_path(tmp_path):
    write(tmp_path, {"train.csv": TRAIN})
    videos, _ = read(tmp_path)
    assert videos[0].path == str(tmp_path / "train" / f"{STEMS[0]}.mp4")
    write(tmp_path, {"videos_train/air_drumming/x.mp4": ""})
    videos, _ = read(tmp_path)
    assert videos[0].path == str(tmp_path / "videos_train/abseiling" / f"{STEMS[0]}.mp4")
    assert videos[1].path == str(tmp_path / "videos_train/air_drumming" / f"{STEMS[1]}.mp4")


def test_test_csv_with_and_without_labels(tmp_path):
    head = HEAD.removeprefix("label,")
    write(tmp_path, {"train.csv": TRAIN, "test.csv": f"{head}\n-3B32lodo2M,59,69,test\n"})
    ((video,), _) = read(tmp_path, "test")
    assert video.label is None and video.path.endswith(f"test/{STEMS[0]}.mp4")
    write(tmp_path, {"test.csv": f"{HEAD}\nair_drumming,-3B32lodo2M,59,69,test\n"})
    assert read(tmp_path, "test")[0][0].label == 1


def test_other_classes_are_those_of_the_training_csv(tmp_path):
    rows = "fall,falldown001,1,3,x\nabseiling,falldown002,1,3,x\n"
    write(tmp_path, {"train.csv": f"{HEAD}\n{rows}", "val.csv": f"{HEAD}\nfall,b,1,3,x\n"})
    videos, names = read(tmp_path)
    assert names == ["abseiling", "fall"] and [video.label for video in videos] == [1, 0]
    ((video,), names) = read(tmp_path, "val")
    assert names == ["abseiling", "fall"] and video.label == 1
    write(tmp_path, {"val.csv": f"{HEAD}\nfall,b,1,3,x\nair drumming,c,1,3,x\n"})
    with pytest.raises(ValueError, match="val.csv, line 3: .*2 classes .*Received: 'air drumming'"):
        read(tmp_path, "val")


@pytest.mark.parametrize(
    "row, rule",
    [
        ("a,b", "as many fields as the header. Received: 2"),
        (",-3B32lodo2M,59,69,train,0", "class name must not be empty"),
        ("abseiling,../../../x,59,69,train,0", "youtube_id"),
        ("abseiling,#NAME?,59,69,train,0", "youtube_id"),
        ("abseiling,-3B32lodo2M,x,69,train,0", "time_start.*Received: 'x'"),
        ("abseiling,-3B32lodo2M,59,nan,train,0", "time_end"),
        ("abseiling,-3B32lodo2M,59,inf,train,0", "time_end"),
        ("abseiling,-3B32lodo2M,-1,69,train,0", "time_start"),
        ('"abseiling,-3B32lodo2M,-1,69,train,0', "quoting"),
    ],
)
def test_bad_row_is_named_by_file_and_line(tmp_path, row, rule):
    write(tmp_path, {"train.csv": f"{TRAIN}\n{row}\n"})
    with pytest.raises(ValueError, match=rf"train\.csv, line 7: .*{rule}") as caught:
        read(tmp_path)
    assert "Received: " in str(caught.value)
    # The order of the classes comes from there.
    write(tmp_path, {"val.csv": TRAIN})
    with pytest.raises(ValueError, match=r"train\.csv, line 7"):
        read(tmp_path, "val")


@pytest.mark.parametrize("text", ["", "abseiling,-3B32lodo2M,59,69,train\n", TRAIN[6:]])
def test_bad_header(tmp_path, text):
    write(tmp_path, {"train.csv": text})
    with pytest.raises(ValueError, match="header .*label,youtube_id,time_start,time_end"):
        read(tmp_path)


def test_only_a_header(tmp_path):
    write(tmp_path, {"train.csv": HEAD})
    with pytest.raises(ValueError, match="must list at least one video"):
        read(tmp_path)


IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=11, max_size=11)
TEXT = st.text(st.characters(exclude_categories=("C",)), min_size=1).map(str.strip).filter(bool)
ROWS = st.lists(
    st.tuples(TEXT, IDS, st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=5
)


@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
@settings(max_examples=50)
def test_round_trip(tmp_path_factory, rows, quoted, end, mark):
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerow(HEAD.split(","))
    writer.writerows((*row, "train") for row in rows)
    path = tmp_path_factory.mktemp("set") / "train.csv"
    path.write_bytes((mark + text.getvalue()).encode())
    assert [clip for _, clip in _read_csv(path, "train", LineParser())] == rows
