import hashlib
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import cv2
import filelock
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import (
    BadVideoError,
    Sampler,
    ShardOptions,
    ShardSource,
    UnreadableVideos,
    Video,
    VideoSource,
    check_shards,
    clip_dataset,
    make_index,
    make_shards,
    read_annotations,
)
from smallbig_keras.data import shards as module
from tests.data.miniatures import MINIATURES
from tests.data.videos import HEIGHT, WIDTH, numbers, write_frames, write_video

TEMPLATE = "img_{:05d}.jpg"
NAMES = ["a", "b", "c"]
FRAMES = ShardOptions("csv")
SMALL = ShardOptions("csv", shard_mb=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [str(write_video(folder / f"{i}.mp4", 20 + i, "libx264")) for i in range(5)]


@pytest.fixture(scope="module")
def videos(files):
    return [Video(path, i % 3, f"name {i}") for i, path in enumerate(files)]


@pytest.fixture(scope="module")
def many(files):
    """Enough for several shards of a megabyte: 100 names of five files."""
    return [Video(files[i % 5], i % 3, str(i)) for i in range(100)]


@pytest.fixture(scope="module")
def shards(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "out"
    make_shards({"train": many}, NAMES, out, SMALL)
    return out


def read(source, training=False, epoch=0, calls=2, policy="raise", unreadable=None, **options):
    sampler = Sampler("segment", 4, training=training, **options)
    unreadable = unreadable or UnreadableVideos(policy)
    clips = source.clips(tf.constant(epoch, tf.int64), sampler, unreadable, calls)
    return [tuple(value.numpy() for value in clip) for clip in clips]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def records(path):
    return [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]


def test_manifest(videos, tmp_path):
    unlabelled = [Video(video.path, None, f"{i}\udce9") for i, video in enumerate(videos[:2])]
    splits = {"validation": videos, "test": unlabelled}
    manifest = make_shards(splits, NAMES, tmp_path / "out", FRAMES)
    assert json.loads((tmp_path / "out" / "shards.json").read_text()) == manifest
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        *("shards.json", "validation-00000-of-00001.tfrecord", "test-00000-of-00001.tfrecord")
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
    for i, example in enumerate(records(path)):
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
    assert (source.ids, source.labels, source.has_labels) == (
        ["0\udce9", "1\udce9"],
        [None, None],
        False,
    )
    assert [label for _, _, label, _ in read(source)] == [-1, -1]
    with pytest.raises(ValueError, match="validation, test. Received: 'train'"):
        ShardSource(tmp_path / "out", "train")


@pytest.mark.parametrize("sampling", ["segment", "dense"])
def test_clips_are_those_of_the_videos(videos, tmp_path, sampling):
    """Frames of JPEG files nearly, files as they were bit by bit."""
    for content, limit in (("frames", 3), ("video", 0)):
        make_shards({"test": videos}, NAMES, tmp_path / content, ShardOptions("csv", content))
        source = ShardSource(tmp_path / content, "test")
        sampler = Sampler(sampling, 4, stride=3, clips=3)
        epoch = tf.constant(0, tf.int64)
        expected = VideoSource(videos).clips(epoch, sampler, UnreadableVideos(), 2)
        for one, other in zip(
            source.clips(epoch, sampler, UnreadableVideos(), 2), expected, strict=True
        ):
            assert numbers(one[0]) == numbers(other[0])
            difference = one[0].numpy().astype(float) - other[0].numpy()
            assert np.abs(difference).mean() <= limit
            for value, other_value in zip(one[1:], other[1:], strict=True):
                np.testing.assert_array_equal(value, other_value)
        batches = clip_dataset(
            source, frames=4, size=48, batch_size=2, training=False, views=(2, 3)
        )
        assert [clips.shape for clips, _ in batches][-1] == (1, 6, 4, 48, 48, 3)


def test_small_frames_are_taken_as_they_are(tmp_path):
    folder = write_frames(tmp_path / "folder", 9)
    png = write_frames(tmp_path / "png", 3, "{}.png")
    videos = [
        Video(str(folder), 0, "0", None, TEMPLATE),
        Video(str(png), 0, "1", None, "{}.png"),
    ]
    make_shards({"test": videos}, NAMES, tmp_path / "out", FRAMES)
    first, second = records(next((tmp_path / "out").glob("*.tfrecord")))
    frames = first.features.feature["frames"].bytes_list.value
    assert list(frames) == [(folder / TEMPLATE.format(i + 1)).read_bytes() for i in range(9)]
    for i, frame in enumerate(second.features.feature["frames"].bytes_list.value):
        image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
        expected = cv2.imread(str(png / f"{i + 1}.png"))
        assert np.abs(image.astype(float) - expected).mean() < 3
    with pytest.raises(ValueError, match=f"Received: '{folder}'"):
        make_shards({"test": videos}, NAMES, tmp_path / "b", ShardOptions("csv", "video"))
    assert not (tmp_path / "b").exists()


def test_short_side(tmp_path):
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
        for example, (width, height) in zip(
            records(next(out.glob("*.tfrecord"))), sizes, strict=True
        ):
            feature = example.features.feature
            assert feature["width"].int64_list.value == [width]
            assert feature["height"].int64_list.value == [height]
            frame = feature["frames"].bytes_list.value[3]
            image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (height, width, 3) and numbers(image[None]) == [3]


def test_same_bytes_with_any_number_of_workers(shards, many, files, tmp_path):
    infos = make_index(many, tmp_path / "index.jsonl")
    seen = []
    make_shards(
        {"train": many},
        NAMES,
        tmp_path / "other",
        SMALL,
        infos,
        workers=3,
        progress=lambda *counts: seen.append(counts),
    )
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


def test_training_stream(shards):
    source = ShardSource(shards, "train")

    def stream(**options):
        return [(int(i), int(label), numbers(f)) for f, _, label, i in read(source, **options)]

    first = stream(training=True)
    for index, label, frames in first:
        # A name is the place in the list: its file has 20 to 24 frames, and a clip 4 segments.
        name = int(source.ids[index])
        assert label == source.labels[index] == name % 3
        count = 20 + name % 5
        assert all(count * i // 4 <= f < count * (i + 1) // 4 for i, f in enumerate(frames))
        sampled = Sampler("segment", 4, training=True)(count, 0, index)[0]
        assert frames == sampled.tolist()
    assert sorted(index for index, *_ in first) == list(range(100))
    tf.random.set_seed(7)
    assert stream(training=True, calls=1) == stream(training=True, calls=5) == first
    for options in (dict(epoch=1), dict(seed=1)):
        other = stream(training=True, **options)
        assert sorted(index for index, *_ in other) == list(range(100))
        moved = sum(a[0] != b[0] for a, b in zip(first, other, strict=True))
        assert moved > 80
    # From all shards from the beginning on.
    bounds = np.cumsum([len(records(p)) for p in sorted(shards.glob("*.tfrecord"))])
    starts = Counter(np.searchsorted(bounds, [i for i, *_ in first[:25]], "right").tolist())
    assert len(starts) == len(bounds)
    assert [index for index, *_ in stream()] == list(range(100))


def test_windows_are_shuffled(monkeypatch, shards):
    from smallbig_keras.data import shard_source

    monkeypatch.setattr(shard_source, "_WINDOW", 32)
    order = [int(i) for *_, i in read(ShardSource(shards, "train"), training=True)]
    assert sorted(order) == list(range(100)) and order != list(range(100))


def test_resumed_training_sees_the_same(shards):
    options = dict(frames=4, size=32, batch_size=25, training=True, epochs=2, short_side=36)
    source = ShardSource(shards, "train")
    whole = list(clip_dataset(source, **options))
    resumed = list(clip_dataset(source, initial_epoch=1, num_parallel_calls=1, **options))
    assert len(whole) == 8 and len(resumed) == 4
    for (clips, labels), (expected, expected_labels) in zip(resumed, whole[4:], strict=True):
        np.testing.assert_array_equal(clips, expected)
        np.testing.assert_array_equal(labels, expected_labels)


def test_stopped_and_continued(shards, many, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def stop(done, total):
        if done == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_shards({"train": many}, NAMES, out, SMALL, workers=1, progress=stop)
    names = {path.name for path in out.iterdir()}
    finished = len(names) - 1
    assert ".progress" in names and 0 < finished < 4
    # As after kill -9: half a shard, and a whole one of which nothing is noted.
    (out / ".writing-train-00001-of-00003.tfrecord").write_bytes(b"half")
    last = sorted(out.glob("*.tfrecord"))[-1]
    (out / ".progress" / f"{last.name}.json").unlink()
    for other in (ShardOptions("csv", quality=80, shard_mb=1), ShardOptions("k400", shard_mb=1)):
        with pytest.raises(ValueError, match="begun with .* Received: |Received: .*begun with"):
            make_shards({"train": many}, NAMES, out, other)
    with pytest.raises(ValueError, match="begun with lists="):
        make_shards({"train": many[1:]}, NAMES, out, SMALL)
    with filelock.FileLock(out / ".progress" / "lock"):
        with pytest.raises(ValueError, match=f"One process .*Received: {out}"):
            make_shards({"train": many}, NAMES, out, SMALL)
    with pytest.raises(FileNotFoundError, match="A finished folder"):
        ShardSource(out, "train")
    encoded = Counter()
    make_record = module.make_record

    def count(video, *arguments):
        encoded[video.id] += 1
        return make_record(video, *arguments)

    monkeypatch.setattr(module, "make_record", count)
    make_shards({"train": many}, NAMES, out, SMALL)
    assert contents(out) == contents(shards)
    assert 0 < len(encoded) < 100 and set(encoded.values()) == {1}
    # What is finished stays as it is.
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    make_shards({"train": many}, NAMES, out, SMALL)
    with pytest.raises(ValueError, match="content=video"):
        make_shards({"train": many}, NAMES, out, ShardOptions("csv", "video", shard_mb=1))
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_bad_videos(videos, tmp_path):
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
            assert [int(index) for *_, index in read(source)] == [0, 1, 2]


def damage(path, kind):
    content = path.read_bytes()
    if kind == "flipped bit":
        place = len(content) // 2
        content = content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
    elif kind == "cut":
        content = content[:-100]
    elif kind == "cut between records":
        (length,) = np.frombuffer(content[:8], "<u8")
        content = content[: int(length) + 16]
    else:
        return path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["flipped bit", "cut", "cut between records", "gone"])
def test_damaged_shards_are_errors(shards, tmp_path, kind):
    copy = shutil.copytree(shards, tmp_path / "copy")
    path = sorted(copy.glob("*.tfrecord"))[1]
    whole, size = len(records(path)), path.stat().st_size
    damage(path, kind)
    if kind == "flipped bit":
        expected = (
            f"A shard must hold {whole} whole records. Received: '{path}': "
            f"record {whole // 2} cannot be read: corrupted record"
        )
    else:
        found = f"{path.stat().st_size} bytes" if path.exists() else f"{path}; No such file"
        expected = (
            f"A shard must have the {size} bytes of its manifest. Received: '{path}': {found}"
        )
    for policy in ("raise", "skip", "replace"):
        training = policy == "replace"
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            read(ShardSource(copy, "train"), training=training, policy=policy)
        assert f"BadVideoError: {expected}" in str(caught.value)


def rewrite(folder, change):
    """Writes the only shard again, with changed records but right checksums of each."""
    (path,) = folder.glob("*.tfrecord")
    examples = records(path)
    change(examples)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            writer.write(example.SerializeToString())
    manifest = json.loads((folder / "shards.json").read_text())
    manifest["splits"]["train"]["shards"][0]["bytes"] = path.stat().st_size
    (folder / "shards.json").write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize("content", ["frames", "video"])
def test_bad_records_follow_the_policy(videos, tmp_path, content):
    make_shards({"train": videos}, NAMES, tmp_path / "out", ShardOptions("csv", content))

    def spoil(examples):
        for place in (1, 3):
            values = examples[place].features.feature[content].bytes_list.value
            values[:] = [value[: len(value) // 2] for value in values]

    path = rewrite(tmp_path / "out", spoil)
    source = ShardSource(tmp_path / "out", "train")
    name = re.escape(f"{path}, record 1 ('{source.ids[1]}')")
    with pytest.raises(tf.errors.InvalidArgumentError, match=name):
        read(source)
    skipped, replaced = UnreadableVideos("skip"), UnreadableVideos("replace")
    assert [int(index) for *_, index in read(source, unreadable=skipped)] == [0, 2, 4]
    clips = read(source, training=True, unreadable=replaced)
    counts = Counter(int(index) for *_, index in clips)
    assert len(clips) == 5 and set(counts) == {0, 2, 4} and max(counts.values()) == 2
    for record in (skipped, replaced):
        assert record.num_files == 2
        assert record.report()[0].startswith(f"'{path}, record 1' (")
    batches = list(
        clip_dataset(
            *(source,),
            **dict(frames=4, size=32, batch_size=5, training=True, epochs=2, short_side=36),
            unreadable=UnreadableVideos("replace"),
        )
    )
    assert len(batches) == 2

    def spoil_all(examples):
        for example in examples:
            values = example.features.feature[content].bytes_list.value
            values[:] = [value[: len(value) // 2] for value in values]

    rewrite(tmp_path / "out", spoil_all)
    with pytest.raises(tf.errors.InvalidArgumentError, match="One video of a split must be good"):
        read(ShardSource(tmp_path / "out", "train"), training=True, policy="replace")


def test_check(shards, videos, tmp_path):
    assert check_shards(shards) == []
    copy = shutil.copytree(shards, tmp_path / "copy")
    first, second, third = sorted(copy.glob("*.tfrecord"))
    sizes = [path.stat().st_size for path in (first, second, third)]
    counts = [len(records(path)) for path in (first, second, third)]
    damage(first, "flipped bit")
    damage(second, "cut between records")
    damage(third, "gone")
    seen = []
    problems = check_shards(str(copy), 1, lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert problems[0].startswith(f"{first}: sha256 {digest}, not ")
    assert problems[1].startswith(f"{first}, record {counts[0] // 2}: corrupted record at ")
    assert problems[2] == f"{first}: {counts[0] // 2} whole records, not {counts[0]}"
    assert problems[3] == f"{second}: bytes {second.stat().st_size}, not {sizes[1]}"
    assert problems[5] == f"{second}: 1 whole records, not {counts[1]}"
    assert problems[6].startswith(f"{third}: ") and "No such file" in problems[6]
    assert len(problems) == 7

    # Checksums alone say nothing of what was written.
    for content, reason in (("frames", "cannot be decoded"), ("video", "not a video")):
        out = tmp_path / content
        make_shards({"train": videos}, NAMES, out, ShardOptions("csv", content))
        assert check_shards(out) == []

        def spoil(examples, content=content):
            examples[1].features.feature[content].bytes_list.value[-1] = b"bad"
            examples[2].features.feature["label"].int64_list.value[0] += 1
            examples[3].Clear()

        path = rewrite(out, spoil)
        problems = check_shards(out)
        assert problems[0].startswith(f"{path}: sha256 ") and len(problems) == 4
        for place, words in ((1, reason), (2, "another label"), (3, "no record of a video")):
            assert problems[place].startswith(f"{path}, record {place}: ")
            assert words in problems[place]


def test_folders_that_hold_no_shards(tmp_path, videos):
    with pytest.raises(FileNotFoundError, match=f"holds a file shards.json. Received: {tmp_path}"):
        ShardSource(tmp_path, "train")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"folder of their own. Received: {tmp_path}"):
        make_shards({"test": videos}, NAMES, tmp_path, FRAMES)
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


@pytest.mark.parametrize("dataset", ["sthv1", "ucf101"])
def test_miniatures(dataset, tmp_path):
    root = MINIATURES[dataset](tmp_path / "data")
    splits = {}
    for split in ("train", "validation"):
        splits[split], names = read_annotations(dataset, root, split)
    make_shards(splits, names, tmp_path / "out", ShardOptions(dataset))
    source = ShardSource(tmp_path / "out", "validation")
    options = dict(frames=4, size=48, batch_size=9, training=False, normalize=False)
    ((clips, labels),) = clip_dataset(source, **options)
    ((expected, expected_labels),) = clip_dataset(splits["validation"], **options)
    np.testing.assert_array_equal(labels, expected_labels)
    assert np.abs(clips - expected).mean() <= (0 if dataset == "sthv1" else 3)
