import json
import os

import numpy as np
import pytest

from smallbig_keras.data import make_sample, read_frames, read_sthv2
from smallbig_keras.data.sample_set import _CLASSES, _FOOTAGE, _camera_path, _film

NAMES = [template.replace("[", "").replace("]", "") for template, _ in _CLASSES]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    # A folder that is there but empty is taken.
    folder = tmp_path_factory.mktemp("set")
    return make_sample(str(folder), 3, train_clips=12, val_clips=7)


@pytest.fixture
def short_footage(monkeypatch):
    sources = (("carphone_pristine.mp4", "a man"),)
    monkeypatch.setattr("smallbig_keras.data.sample_set._FOOTAGE", dict.fromkeys(_FOOTAGE, sources))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout(sample):
    labels = json.loads((sample / "labels" / "labels.json").read_text())
    assert labels == {name: str(i) for i, name in enumerate(sorted(NAMES))}
    for split, count in (("train", 12), ("validation", 7)):
        videos, names = read_sthv2(sample, split)
        assert names == sorted(NAMES) and len(videos) == count
        assert [video.label for video in videos] == [i % 6 for i in range(count)]
        for video in videos:
            lengths = []
            (frame,) = read_frames(video.path, lambda n, seen=lengths: seen.append(n) or [n // 2])
            assert frame.shape == (240, 320, 3)
            assert len(lengths) == 1 and 24 <= lengths[0] <= 30
    entry = json.loads((sample / "labels" / "train.json").read_text())[3]
    assert entry["template"] == "Turning the camera left while filming [something]"
    assert entry["label"] == entry["template"].lower().replace(
        "[something]", *entry["placeholders"]
    )


@pytest.mark.usefixtures("short_footage")
def test_same_seed_same_bytes_and_nothing_left_over(tmp_path):
    seen = []
    one = make_sample(tmp_path / "one", 3, 4, 3, workers=1, progress=lambda *now: seen.append(now))
    assert seen == [(i, 7) for i in range(1, 8)]
    assert contents(make_sample(tmp_path / "two", 3, 4, 3, workers=3)) == contents(one)
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]
    other = contents(make_sample(tmp_path / "other", 4, 4, 3))
    same = [name for name, data in contents(one).items() if other[name] == data]
    assert all(name.startswith("labels") for name in same)


def test_a_complete_set_is_used_and_nothing_overwritten(sample, tmp_path):
    before = (sample / "sample.json").stat().st_mtime_ns
    seen = []
    assert make_sample(sample, 3, 12, 7, progress=lambda *now: seen.append(now)) == sample
    assert seen == [] and (sample / "sample.json").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="made with"):
        make_sample(sample, 4, 12, 7)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="other files"):
        make_sample(tmp_path)
    assert os.listdir(tmp_path) == ["mine.txt"]


@pytest.mark.usefixtures("short_footage")
def test_an_interrupted_run_leaves_no_set(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_sample(tmp_path / "set", 0, 6, 6, progress=stop)
    assert os.listdir(tmp_path) == []


def test_wrong_numbers(tmp_path):
    with pytest.raises(ValueError, match="Received: val_clips=0"):
        make_sample(tmp_path / "set", val_clips=0)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "smallbig-keras\[sample\]"'):
        make_sample(tmp_path / "set")
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ImportError, match=r'pip install "smallbig-keras\[sample\]"'):
        make_sample(tmp_path / "set")


@pytest.mark.parametrize("width, height", [(640, 272), (176, 144), (512, 288), (100, 100)])
@pytest.mark.parametrize("direction", [direction for _, direction in _CLASSES])
def test_the_camera_goes_where_the_label_says(width, height, direction):
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y, size = _camera_path(width, height, 27, direction, rng).T
        moves = (x[-1] - x[0]) / size.max(), (y[-1] - y[0]) / size.max(), size[0] / size[-1]
        right, down, nearer = direction
        if nearer:
            assert (moves[2] > 1.4) if nearer > 0 else (moves[2] < 1 / 1.4)
        else:
            assert 0.95 < moves[2] < 1.05
        for move, way in zip(moves, (right, down), strict=False):
            assert way * move > 0.12 if way else abs(move) < 0.12
        # The window stays on the footage but for the shake of the hand.
        slack = 0.03 * size
        assert np.all(x - size * 2 / 3 > -slack * 4 / 3)
        assert np.all(x + size * 2 / 3 < width + slack * 4 / 3)
        assert np.all(y - size / 2 > -slack) and np.all(y + size / 2 < height + slack)


def test_pictures_move_against_the_camera():
    # One bright column in still footage.
    footage = np.zeros((30, 120, 320, 3), np.uint8)
    footage[:, :, 150:160] = 255
    for direction, sign in (((-1, 0, 0), 1), ((1, 0, 0), -1)):
        moves = []
        for seed in range(20):
            frames = np.stack(list(_film(footage, direction, np.random.default_rng(seed))))
            weight = frames.astype(float).mean(axis=(1, 3))
            weight -= weight.min()
            inside = weight.max(axis=1) > 100
            place = weight.argmax(axis=1)[inside]
            if len(place) > 3:
                moves.append(place[-1] - place[0])
        assert len(moves) > 5 and all(sign * move > 0 for move in moves)
