import os
import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from smallbig_keras.data import (
    AnnotationWarning,
    DatasetNotFoundError,
    Video,
    drop_missing,
    find_missing,
)
from smallbig_keras.data.annotations.listing import FRAME_TEMPLATES, Listing
from smallbig_keras.errors import SmallBigError


def make(root, names):
    return [Video(os.path.join(root, name), 0, name) for name in names]


def test_each_folder_is_listed_once_and_no_file_asked_for(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for i in range(20):
        (tmp_path / "a" / f"{i}.mp4").touch()
        (tmp_path / "b" / f"{i}").mkdir()
    videos = make(tmp_path, [f"a/{i}.mp4" for i in range(1000)])
    videos += [
        Video(str(tmp_path / "b" / f"{i}"), 0, "", template="{:05d}.jpg") for i in range(1000)
    ]
    listed = []

    def fail(path):
        raise AssertionError(path)

    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, fail)
    for name in ("exists", "lexists", "isfile"):
        monkeypatch.setattr(os.path, name, fail)
    missing = find_missing(videos)
    monkeypatch.undo()
    assert missing == [*videos[20:1000], *videos[1020:]]
    assert sorted(listed) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_other_spellings_are_left_to_the_file_system(tmp_path):
    composed = unicodedata.normalize("NFC", "é.mp4")
    (tmp_path / composed).touch()
    names = [composed, unicodedata.normalize("NFD", composed), "É.mp4", "e.mp4"]
    videos = make(tmp_path, names)
    expected = [video for video in videos if not os.path.exists(video.path)]
    assert find_missing(videos) == expected and videos[0] not in expected


@pytest.mark.parametrize("first", [0, 1, 57, 99_990])
@pytest.mark.parametrize("template", FRAME_TEMPLATES)
def test_names_of_frames(tmp_path, first, template):
    """From any number on; beyond 99,999 frames the names of several templates look alike."""
    names = [template.format(number) for number in range(first, first + 25)]
    for name in (*names, "flow_x_00001.jpg", "1.jpg", "thumbs.db"):
        (tmp_path / name).touch()
    found = Listing().find_template([str(tmp_path)])
    assert [found.format(number) for number in range(first, first + 25)] == names
    assert Listing().find_template([str(tmp_path)], template) == template
    with pytest.raises(SmallBigError, match="must be named like 'f1.png'"):
        Listing().find_template([str(tmp_path)], "f{}.png")


def test_odd_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "-_").mkdir()
    (tmp_path / "-_" / "#1, (ü)+.mp4").touch()
    there = ["a", "./a", "-_/#1, (ü)+.mp4", "-_//#1, (ü)+.mp4", "-_/", "-_/../a"]
    gone = ["b", "a/b", "\0", "-_/\0", "x" * 5000, "\udcff", "none/a"]
    videos = make("", there + gone)
    assert [video.path for video in find_missing(videos)] == gone


def test_policies(tmp_path):
    (tmp_path / "a").touch()
    videos = make(tmp_path, [*(f"gone {i}" for i in range(12)), "a"])
    with pytest.raises(DatasetNotFoundError, match="12 of 13 .*'gone 0'|gone 0") as caught:
        drop_missing(videos)
    message = str(caught.value)
    assert "Received: 12 of 13 listed videos are missing: " in message
    assert "gone 9" in message and "gone 10" not in message and message.endswith("and 2 more")
    with pytest.warns(AnnotationWarning, match="12 of 13 .* left out: .*gone 9.* and 2 more"):
        assert drop_missing(videos, "skip") == videos[12:]
    assert drop_missing(videos[12:], "skip") == videos[12:]
    assert drop_missing([], "raise") == []
    with pytest.raises(ValueError, match="Received: policy='drop'"):
        drop_missing(videos, "drop")


def test_all_missing_says_what_is_there(tmp_path):
    videos = make(tmp_path / "train" / "x", ["a.mp4", "b.mp4"])
    for files, there in (
        ([], f"{str(tmp_path)!r} holds nothing"),
        (["train_256", "val_256"], f"{str(tmp_path)!r} holds 'train_256', 'val_256'"),
        (["train/y"], f"{str(tmp_path / 'train')!r} holds 'y'"),
    ):
        for file in files:
            (tmp_path / file).mkdir(parents=True)
        for policy in ("raise", "skip"):
            with pytest.raises(DatasetNotFoundError, match="None of the 2 ") as caught:
                drop_missing(videos, policy)
            assert f"expected at {videos[0].path!r}" in str(caught.value)
            assert str(caught.value).endswith(f"Received: {there}")


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",))
    | st.sampled_from("#-_ ,;()+'.")
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=("Cs",)),
    min_size=1,
    max_size=20,
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) < 200)


@given(st.lists(NAMES, min_size=2, unique=True), st.data())
@settings(max_examples=50)
def test_any_names(tmp_path_factory, names, data):
    root = tmp_path_factory.mktemp("set")
    there = data.draw(st.lists(st.sampled_from(names), unique=True))
    for name in there:
        (root / name).touch()
    videos = make(root, names)
    assert find_missing(videos) == [video for video in videos if not os.path.lexists(video.path)]
