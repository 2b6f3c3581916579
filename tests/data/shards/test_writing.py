import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import filelock
import numpy as np
import pytest

from smallbig_keras.data import (
    BadVideoError,
    ShardOptions,
    ShardSource,
    Video,
    make_index,
    make_shards,
)
from tests.data.shards.shard_files import NAMES, TEMPLATE, contents, examples
from tests.data.videos import HEIGHT, WIDTH, numbers, write_frames, write_video

FRAMES = ShardOptions("csv")
SMALL = ShardOptions("csv", shard_mb=1)


def test_manifest_and_examples(videos, tmp_path):
    """The format of `docs/preparation.md`."""
    unlabelled = [Video(video.path, None, f"{i}\udce9") for i, video in enumerate(videos[:2])]
    splits = {"validation": videos, "test": unlabelled}
    manifest = make_shards(splits, NAMES, tmp_path / "out", FRAMES)
    assert json.loads((tmp_path / "out" / "shards.json").read_text()) == manifest
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "shards.json",
        *(f"validation-00000-of-00001.tfrecord{suffix}" for suffix in ("", ".index")),
        *(f"test-00000-of-00001.tfrecord{suffix}" for suffix in ("", ".index")),
    }
    digests = manifest["options"].pop("lists")
    assert set(digests) == {"validation", "test"}
    assert manifest["options"] == {
        **{"dataset": "csv", "content": "frames", "short_side": 256, "quality": 90},
        "shard_mb": 256,
    }
    assert manifest["class_names"] == NAMES
    (shard,) = manifest["splits"]["validation"]["shards"]
    path = tmp_path / "out" / shard["file"]
    assert (shard["records"], shard["bytes"]) == (5, path.stat().st_size)
    assert shard["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    for i, example in enumerate(examples(path)):
        feature = example.features.feature
        assert len(feature["frames"].bytes_list.value) == 20 + i
        values = {n: list(f.int64_list.value) for n, f in feature.items() if f.int64_list.value}
        assert values == {
            **{"label": [i % 3], "num_frames": [20 + i], "width": [WIDTH], "height": [HEIGHT]}
        }
        assert feature["id"].bytes_list.value == [f"name {i}".encode()]
    source = ShardSource(tmp_path / "out", "validation")
    assert len(source) == 5 and source.has_labels and source.class_names == NAMES
    assert source.ids == [v.id for v in videos] and source.labels == [0, 1, 2, 0, 1]
    source = ShardSource(str(tmp_path / "out") + "/", "test")
    assert source.ids == ["0\udce9", "1\udce9"]
    assert (source.labels, source.has_labels) == ([None, None], False)
    with pytest.raises(ValueError, match="validation, test. Received: 'train'"):
        ShardSource(tmp_path / "out", "train")


def test_jpeg_files_are_copied_and_other_pictures_encoded(tmp_path):
    folder = write_frames(tmp_path / "folder", 9)
    png = write_frames(tmp_path / "png", 3, "{}.png")
    videos = [
        Video(str(folder), 0, "0", None, TEMPLATE),
        Video(str(png), 0, "1", None, "{}.png"),
    ]
    make_shards({"test": videos}, NAMES, tmp_path / "out", FRAMES)
    first, second = examples(next((tmp_path / "out").glob("*.tfrecord")))
    frames = first.features.feature["frames"].bytes_list.value
    assert list(frames) == [(folder / TEMPLATE.format(i + 1)).read_bytes() for i in range(9)]
    for i, frame in enumerate(second.features.feature["frames"].bytes_list.value):
        image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
        expected = cv2.imread(str(png / f"{i + 1}.png"))
        assert np.abs(image.astype(float) - expected).mean() < 3
    with pytest.raises(ValueError, match=f"Received: '{folder}'"):
        make_shards({"test": videos}, NAMES, tmp_path / "b", ShardOptions("csv", "video"))
    assert not (tmp_path / "b").exists()


def test_frames_are_made_smaller_and_never_larger(tmp_path):
    wide = write_video(tmp_path / "wide.mp4", 9, "libx264", size=(192, 128))
    portrait = write_video(tmp_path / "portrait.mp4", 9, "libx264", size=(100, 140))
    folder = write_frames(tmp_path / "folder", 4, size=(192, 129))
    videos = [
        Video(str(wide), 0, "0"),
        Video(str(portrait), 0, "1"),
        Video(str(folder), 0, "2", None, TEMPLATE),
    ]
    for short_side, sizes in (
        (66, [(99, 66), (66, 92), (98, 66)]),
        (120, [(180, 120), (100, 140), (178, 120)]),
        (0, [(192, 128), (100, 140), (192, 129)]),
    ):
        out = tmp_path / str(short_side)
        make_shards({"test": videos}, NAMES, out, ShardOptions("csv", short_side=short_side))
        made = examples(next(out.glob("*.tfrecord")))
        for example, (width, height) in zip(made, sizes, strict=True):
            feature = example.features.feature
            assert feature["width"].int64_list.value == [width]
            assert feature["height"].int64_list.value == [height]
            frame = feature["frames"].bytes_list.value[3]
            image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (height, width, 3) and numbers(image[None]) == [3]


def test_same_bytes_with_any_number_of_workers(shards, many, tmp_path):
    infos = make_index(many, tmp_path / "index.jsonl")
    seen = []
    options = dict(infos=infos, workers=3, progress=lambda *counts: seen.append(counts))
    make_shards({"train": many}, NAMES, tmp_path / "other", SMALL, **options)
    assert contents(tmp_path / "other") == contents(shards)
    assert seen == [(i + 1, 100) for i in range(100)]
    manifest = json.loads((shards / "shards.json").read_text())
    counts = [shard["records"] for shard in manifest["splits"]["train"]["shards"]]
    sizes = [shard["bytes"] for shard in manifest["splits"]["train"]["shards"]]
    assert len(counts) > 2 and max(counts) - min(counts) <= 1 and max(sizes) < 1.1e6
    # Classes are mixed, and every video is there once.
    assert sorted(map(int, manifest["videos"]["train"]["ids"])) == list(range(100))
    labels = manifest["videos"]["train"]["labels"]
    assert all(len(set(labels[i : i + 20])) == 3 for i in range(0, 100, 20))


def test_stopped_and_continued(shards, many, tmp_path):
    """The same bytes in any number of steps; finished shards are kept, other arguments refused."""
    out = tmp_path / "out"

    def stop_at(step):
        def progress(done, total):
            if done == step:
                raise KeyboardInterrupt

        return progress

    for step, workers in ((1, 2), (70, 1), (20, 1)):
        with pytest.raises(KeyboardInterrupt):
            make_shards({"train": many}, NAMES, out, SMALL, workers=workers, progress=stop_at(step))
    names = {path.name for path in out.iterdir()}
    finished = len(names) - 1
    assert ".progress" in names and 0 < finished < len(contents(shards)) - 1
    for other in (ShardOptions("csv", quality=80, shard_mb=1), ShardOptions("k400", shard_mb=1)):
        with pytest.raises(ValueError, match="begun with .* Received: |Received: .*begun with"):
            make_shards({"train": many}, NAMES, out, other)
    with pytest.raises(ValueError, match="begun with lists="):
        make_shards({"train": many[1:]}, NAMES, out, SMALL)
    with filelock.FileLock(out / ".progress" / ".lock"):
        with pytest.raises(ValueError, match=f"Another process .*Received: {out}"):
            make_shards({"train": many}, NAMES, out, SMALL)
    with pytest.raises(FileNotFoundError, match="A finished folder"):
        ShardSource(out, "train")
    seen = []
    make_shards({"train": many}, NAMES, out, SMALL, progress=lambda *counts: seen.append(counts))
    assert contents(out) == contents(shards)
    assert 0 < len(seen) < 100 and seen[-1] == (len(seen), len(seen))
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    make_shards({"train": many}, NAMES, out, SMALL)
    with pytest.raises(ValueError, match="content=video"):
        make_shards({"train": many}, NAMES, out, ShardOptions("csv", "video", shard_mb=1))
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_killed_and_continued(shards, many, files, tmp_path):
    """Killed within a shard, twice: the same bytes."""
    out = tmp_path / "out"
    script = (
        "from smallbig_keras.data import ShardOptions, Video, make_shards\n"
        f"videos = [Video({files}[i % 5], i % 3, str(i)) for i in range(100)]\n"
        "show = lambda done, total: print(done, flush=True)\n"
        f"make_shards({{'train': videos}}, {NAMES}, {str(out)!r},"
        " ShardOptions('csv', shard_mb=1), workers=2, progress=show)"
    )
    for step in (9, 50):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert any(int(line) == step for line in process.stdout)
        process.kill()
        process.communicate()
        assert not (out / "shards.json").exists()
    make_shards({"train": many}, NAMES, out, SMALL)
    assert contents(out) == contents(shards)


def test_unreadable_videos(videos, tmp_path):
    """An error that names the first one, or left out and named in the manifest."""
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    (tmp_path / "cut.mp4").write_bytes(Path(videos[0].path).read_bytes()[:-400])
    bad = [Video(str(tmp_path / f"{name}.mp4"), 0, name) for name in ("bad", "cut", "missing")]
    mixed = [bad[0], *videos[:2], bad[1], videos[2], bad[2]]
    infos = make_index(mixed, tmp_path / "index.jsonl")
    for content in ("frames", "video"):
        options = ShardOptions("csv", content)
        for known in (None, infos):
            out = tmp_path / f"{content}{known is None}"
            with pytest.raises(BadVideoError, match=f"Received: '{bad[0].path}'"):
                make_shards({"test": mixed}, NAMES, out, options, known)
            assert [path.name for path in out.iterdir()] == [".progress"]
            manifest = make_shards({"test": mixed}, NAMES, out, options, known, skip_bad=True)
            found = manifest["splits"]["test"]["bad"]
            assert [item["id"] for item in found] == ["bad", "cut", "missing"]
            assert all(v.path in item["reason"] for v, item in zip(bad, found, strict=True))
            source = ShardSource(out, "test")
            assert source.ids == ["name 0", "name 1", "name 2"] and len(source) == 3


def test_folders_that_hold_no_shards(tmp_path, videos):
    with pytest.raises(FileNotFoundError, match=f"holds a file shards.json. Received: {tmp_path}"):
        ShardSource(tmp_path, "train")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"folder of their own. Received: {tmp_path}"):
        make_shards({"test": videos}, NAMES, tmp_path, FRAMES)
    with pytest.raises(ValueError, match="cannot be written: .*Received: .*file"):
        make_shards({"test": videos}, NAMES, tmp_path / "file", FRAMES)
    assert os.listdir(tmp_path) == ["file"]
    for content in ("{", "[]", '{"options": {}}'):
        (tmp_path / "shards.json").write_text(content)
        with pytest.raises(ValueError, match="whole JSON file. Received: .*shards.json"):
            ShardSource(tmp_path, "train")


@pytest.mark.parametrize(
    "options", [dict(content="gif"), dict(short_side=-1), dict(quality=0), dict(shard_mb=0)]
)
def test_options(options):
    with pytest.raises(ValueError, match="must be .* Received: "):
        ShardOptions("csv", **options)
