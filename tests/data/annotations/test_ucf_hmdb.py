import pytest
from hypothesis import given, settings, strategies as st

from smallbig_keras import class_names
from smallbig_keras.data import DatasetNotFoundError, Video, find_missing, read_annotations

UCF = {
    "ucfTrainTestlist/classInd.txt": "1 Archery\r\n2 HandstandPushups\r\n3 TaiChi\r\n",
    "ucfTrainTestlist/trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 2\n",
    "ucfTrainTestlist/testlist01.txt": "TaiChi/v_TaiChi_g01_c01.avi\r\n",
    "ucfTrainTestlist/trainlist03.txt": "TaiChi/v_TaiChi_g01_c01.avi 3\n",
}


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def test_ucf_splits(tmp_path):
    write(tmp_path, UCF)
    videos, names = read_annotations("ucf101", tmp_path, "train")
    assert names == ["Archery", "HandstandPushups", "TaiChi"]
    stem = "v_HandStandPushups_g08_c01"
    path = str(tmp_path / "UCF-101" / "HandstandPushups" / f"{stem}.avi")
    assert [video.label for video in videos] == [0, 1] and videos[1] == Video(path, 1, stem)
    for split in ("validation", "test"):
        ((video,), _) = read_annotations("ucf101", tmp_path, split)
        assert (video.label, video.id) == (2, "v_TaiChi_g01_c01")
    ((video,), _) = read_annotations("ucf101", tmp_path, "train", split_number=3)
    assert video.label == 2
    with pytest.raises(DatasetNotFoundError, match="no trainlist02.txt in it"):
        read_annotations("ucf101", tmp_path, "train", split_number=2)
    for number in (0, 4, "1"):
        with pytest.raises(ValueError, match="split_number=" + repr(number)):
            read_annotations("ucf101", tmp_path, "train", split_number=number)


@pytest.mark.parametrize("folder", ["UCF-101/", "UCF101/", "videos/", ""])
@pytest.mark.parametrize(
    "file",
    [
        "HandstandPushups/v_HandStandPushups_g08_c01.avi",
        "HandstandPushups/v_HandstandPushups_g08_c01.avi",
        "HandStandPushups/v_HandStandPushups_g08_c01.avi",
        "HandstandPushups/v_HandStandPushups_g08_c01.mp4",
        "v_HandStandPushups_g08_c01.avi",
    ],
)
def test_ucf_files(tmp_path, folder, file):
    write(tmp_path, {**UCF, f"{folder}{file}": ""})
    videos, _ = read_annotations("ucf101", tmp_path, "train")
    assert videos[1].path == str(tmp_path / f"{folder}{file}")
    assert find_missing(videos) == videos[:1]


def test_ucf_spelled_otherwise_in_the_lists(tmp_path):
    lists = {name: text.replace("HandStand", "Handstand") for name, text in UCF.items()}
    file = "UCF-101/HandstandPushups/v_HandStandPushups_g08_c01.avi"
    write(tmp_path, {**lists, file: ""})
    videos, _ = read_annotations("ucf101", tmp_path, "train")
    assert videos[1].path == str(tmp_path / file) and videos[1].label == 1


@pytest.mark.parametrize(
    "name, line, rule",
    [
        ("trainlist01.txt", "Archery/v_Archery_g08_c01.avi", "number of the class"),
        ("trainlist01.txt", "Archery/v_Archery_g08_c01.avi 3", "Archery must be 1"),
        ("trainlist01.txt", "Archery/v_Archery_g08_c01.avi x", "the number of a class"),
        ("trainlist01.txt", "v_Archery_g08_c01.avi 1", "a line must be"),
        ("trainlist01.txt", "Yoga/v_Yoga_g08_c01.avi 1", "a line must be"),
        ("trainlist01.txt", "Archery/ 1", "a line must be"),
        ("classInd.txt", "Yoga", "the number of a class"),
        ("classInd.txt", "4", "class name"),
        ("classInd.txt", "0 Yoga", "the number of a class"),
    ],
)
def test_ucf_damaged(tmp_path, name, line, rule):
    write(tmp_path, UCF)
    path = tmp_path / "ucfTrainTestlist" / name
    before = path.read_text("utf-8")
    path.write_text(f"{before}\n{line}", "utf-8")
    number = before.count("\n") + 2
    with pytest.raises(ValueError, match=f"{name}, line {number}: .*{rule}") as caught:
        read_annotations("ucf101", tmp_path, "train")
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize("text", ["1 a\n3 b", "1 a\n1 b", "1 a\n2 a", "2 a\n3 b"])
def test_ucf_class_numbers(tmp_path, text):
    write(tmp_path, {**UCF, "ucfTrainTestlist/classInd.txt": text})
    with pytest.raises(ValueError, match="2 different classes from 1 to 2. Received"):
        read_annotations("ucf101", tmp_path, "train")


CLAP = [
    "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi 1 ",
    "(500)_days & more;_it's!_clap_u_nm_np1_fr_goo_1.avi 2 ",
    "a_clap_u_nm_np1_fr_goo_1.avi 0 ",
]


@pytest.mark.parametrize(
    "lists",
    [
        *("testTrainMulti_7030_splits/", "test_train_splits/testTrainMulti_7030_splits/"),
        *("test_train_splits/", "annotations/", ""),
    ],
)
@pytest.mark.parametrize("folder", ["hmdb51_org/", "hmdb51/", "videos/", ""])
def test_hmdb(tmp_path, lists, folder):
    names = [line.rsplit(" ", 2)[0] for line in CLAP]
    write(tmp_path, {f"{lists}clap_test_split1.txt": "\n".join(CLAP)})
    write(tmp_path, {f"{lists}wave_test_split1.txt": "b.avi 2 \n"})
    write(tmp_path, {f"{folder}clap/{name}": "" for name in names})
    ((video,), classes) = read_annotations("hmdb51", tmp_path, "train")
    assert classes == class_names("hmdb51")
    path = str(tmp_path / folder / "clap" / names[0])
    assert video == Video(path, classes.index("clap"), names[0][:-4])
    for split in ("validation", "test"):
        videos, _ = read_annotations("hmdb51", tmp_path, split)
        assert videos[0].path == str(tmp_path / folder / "clap" / names[1])
        assert [classes[video.label] for video in videos] == ["clap", "wave"]
        assert find_missing(videos) == videos[1:]
    with pytest.raises(DatasetNotFoundError, match=r"no {class}_test_split2.txt in it"):
        read_annotations("hmdb51", tmp_path, "train", split_number=2)
    with pytest.raises(ValueError, match="Received: split_number=5"):
        read_annotations("hmdb51", tmp_path, "train", split_number=5)


def test_hmdb_other_classes(tmp_path):
    write(tmp_path, {"clap_test_split3.txt": "a.avi 1", "Clap_test_split3.txt": "b.avi 1"})
    videos, names = read_annotations("hmdb51", tmp_path, "train", split_number=3)
    assert names == ["Clap", "clap"] and [video.label for video in videos] == [0, 1]
    with pytest.raises(ValueError, match="videos for the split. Received: split='test'"):
        read_annotations("hmdb51", tmp_path, "test", split_number=3)


@pytest.mark.parametrize("line", ["a.avi", "a.avi 3", "a.avi train", "1", "a.avi1"])
def test_hmdb_damaged(tmp_path, line):
    write(tmp_path, {"clap_test_split1.txt": "\n".join([*CLAP, "", line])})
    with pytest.raises(ValueError, match="clap_test_split1.txt, line 5: a line must be .*Received"):
        read_annotations("hmdb51", tmp_path, "train")


NAMES = st.text(st.characters(exclude_categories=("C",), exclude_characters="/"), min_size=1)


@given(st.lists(st.tuples(NAMES, st.integers(0, 2)), min_size=1, max_size=6), st.data())
@settings(max_examples=50)
def test_hmdb_round_trip(tmp_path_factory, entries, data):
    root = tmp_path_factory.mktemp("set")
    lines = [f"x{name}.avi {use}{data.draw(st.sampled_from(['', ' ']))}" for name, use in entries]
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    (root / "wave_test_split1.txt").write_bytes((end.join([*lines, "l.avi 2"])).encode())
    videos, _ = read_annotations("hmdb51", root, "validation")
    expected = [f"x{name}.avi" for name, use in entries if use == 2]
    assert [video.path.rpartition("/")[2] for video in videos] == [*expected, "l.avi"]
