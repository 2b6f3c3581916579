import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import (
    Sampler,
    ShardOptions,
    ShardSource,
    UnreadableVideos,
    VideoSource,
    clip_dataset,
    make_shards,
    read_annotations,
)
from tests.data.miniatures import MINIATURES
from tests.data.shards.shard_files import NAMES, damage, examples, rewrite
from tests.data.videos import numbers


def read(
    source, training=False, epoch=0, calls=2, policy="raise", unreadable=None, frames=4, **options
):
    sampler = Sampler("segment", frames, training=training, **options)
    unreadable = unreadable or UnreadableVideos(policy)
    clips = source.clips(tf.constant(epoch, tf.int64), sampler, unreadable, calls)
    return [tuple(value.numpy() for value in clip) for clip in clips]


@pytest.mark.parametrize("sampling", ["segment", "dense"])
@pytest.mark.parametrize("content, limit", [("frames", 3), ("video", 0)])
def test_clips_are_those_of_the_videos(videos, tmp_path, sampling, content, limit):
    """Frames of JPEG files nearly, files as they were bit by bit."""
    make_shards({"test": videos}, NAMES, tmp_path / "out", ShardOptions("csv", content))
    source = ShardSource(tmp_path / "out", "test")
    sampler = Sampler(sampling, 4, stride=3, clips=3)
    epoch = tf.constant(0, tf.int64)
    expected = VideoSource(videos).clips(epoch, sampler, UnreadableVideos(), 2)
    found = source.clips(epoch, sampler, UnreadableVideos(), 2)
    for one, other in zip(found, expected, strict=True):
        assert numbers(one[0]) == numbers(other[0])
        assert np.abs(one[0].numpy().astype(float) - other[0].numpy()).mean() <= limit
        for value, other_value in zip(one[1:], other[1:], strict=True):
            np.testing.assert_array_equal(value, other_value)
    options = dict(frames=4, size=48, batch_size=2, training=False, views=(2, 3))
    batches = clip_dataset(source, **options)
    assert [clips.shape for clips, _ in batches][-1] == (1, 6, 4, 48, 48, 3)


@pytest.mark.parametrize("dataset, limit", [("sthv1", 0), ("ucf101", 3)])
def test_shards_of_datasets(dataset, limit, tmp_path):
    """Folders of frames are copied, videos are encoded again."""
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
    assert np.abs(clips.numpy().astype(int) - expected.numpy()).mean() <= limit


def test_training_order(shards):
    """Every video once, mixed from all shards, by seed and epoch and by nothing else."""
    source = ShardSource(shards, "train")

    def stream(**options):
        return [(int(i), int(label), numbers(f)) for f, _, label, i in read(source, **options)]

    first = stream(training=True)
    for index, label, frames in first:
        # A name is the index in the list: its file has 20 to 24 frames, and a clip 4 segments.
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
    bounds = np.cumsum([len(examples(p)) for p in sorted(shards.glob("*.tfrecord"))])
    starts = Counter(np.searchsorted(bounds, [i for i, *_ in first[:25]], "right").tolist())
    assert len(starts) == len(bounds)


def test_evaluation_order(shards):
    assert [int(i) for *_, i in read(ShardSource(shards, "train"))] == list(range(100))


def test_resumed_training_sees_the_same(shards):
    options = dict(frames=4, size=32, batch_size=25, training=True, epochs=2, short_side=36)
    source = ShardSource(shards, "train")
    whole = list(clip_dataset(source, **options))
    resumed = list(clip_dataset(source, initial_epoch=1, num_parallel_calls=1, **options))
    assert len(whole) == 8 and len(resumed) == 4
    for (clips, labels), (expected, expected_labels) in zip(resumed, whole[4:], strict=True):
        np.testing.assert_array_equal(clips, expected)
        np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize("kind", ["cut", "cut between examples", "gone"])
def test_damaged_shards_are_errors(shards, tmp_path, kind):
    """Whatever the policy for unreadable videos."""
    copy = shutil.copytree(shards, tmp_path / "copy")
    path = sorted(copy.glob("*.tfrecord"))[1]
    size = path.stat().st_size
    damage(path, kind)
    if kind == "gone":
        expected = f"A shard must be readable. Received: '{path}': No such file"
    else:
        found = path.stat().st_size
        expected = f"must have the {size} bytes of its manifest. Received: '{path}': {found} bytes"
    for policy in ("raise", "skip", "replace"):
        assert expected in error_of(ShardSource(copy, "train"), policy)


def error_of(source, policy="raise"):
    with pytest.raises(tf.errors.OpError, match="ResourceError: ") as caught:
        read(source, training=policy == "replace", policy=policy)
    return str(caught.value)


def test_damaged_indexes_are_errors(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    source = ShardSource(copy, "train")
    first, second = (f"{path}.index" for path in sorted(copy.glob("*.tfrecord"))[:2])
    whole = Path(second).read_bytes()
    for position in (0, 10, 30, len(whole) // 2, len(whole) - 1):
        content = bytearray(whole)
        content[position] ^= 1
        Path(second).write_bytes(content)
        assert f"prepare check. Received: '{second}': a damaged file" in error_of(source)
    for content in (b"", whole[:7], whole[:60], whole[:-1], whole + b"0"):
        Path(second).write_bytes(content)
        assert f"Received: '{second}': a damaged file" in error_of(source)
    shutil.copy(first, second)
    assert f"Received: '{second}': the index of another shard" in error_of(source)
    Path(second).unlink()
    assert f"'{second}': No such file or directory. Is it missing? Run: " in error_of(source)
    Path(first).unlink()
    with pytest.raises(FileNotFoundError, match=f"prepare check {copy}. Received: no {first}"):
        ShardSource(copy, "train")


def test_damaged_frames_follow_the_policy(shards, tmp_path):
    """A bit that a JPEG decoder does not see."""
    copy = shutil.copytree(shards, tmp_path / "copy")
    path = sorted(copy.glob("*.tfrecord"))[1]
    first = len(examples(sorted(copy.glob("*.tfrecord"))[0]))
    example = examples(path)[3]
    content = bytearray(path.read_bytes())
    start = content.index(example.SerializeToString(deterministic=True))
    frame = example.features.feature["frames"].bytes_list.value[2]
    content[content.index(frame, start) + len(frame) - 5] ^= 1
    path.write_bytes(content)
    source = ShardSource(copy, "train")
    name = f"{path}, example 3"
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        read(source.select([first + 3]), frames=20)
    assert (
        f"BadVideoError: An example must hold a video that can be decoded. Received: {name} "
        f"({source.ids[first + 3]!r}): part 2 is damaged, it has another checksum"
    ) in str(caught.value)
    skipped = UnreadableVideos("skip")
    assert len(read(source, unreadable=skipped, frames=20)) == 99
    assert skipped.report()[0].startswith(f"{name!r} (1x): ")
    replaced = UnreadableVideos("replace")
    clips = read(source, training=True, unreadable=replaced, frames=20)
    assert sorted(int(index) for *_, index in clips) == list(range(100))
    assert replaced.num_files == 1


def halve(feature):
    """Cuts the contents of an example in the middle."""
    values = feature.bytes_list.value
    values[:] = [value[: len(value) // 2] for value in values]


@pytest.mark.parametrize("content", ["frames", "video"])
def test_unreadable_examples_follow_the_policy(videos, tmp_path, content):
    make_shards({"train": videos}, NAMES, tmp_path / "out", ShardOptions("csv", content))
    path = rewrite(
        tmp_path / "out",
        lambda found: [halve(found[i].features.feature[content]) for i in (1, 3)],
    )
    source = ShardSource(tmp_path / "out", "train")
    name = re.escape(f"{path}, example 1 ('{source.ids[1]}')")
    with pytest.raises(tf.errors.InvalidArgumentError, match=name):
        read(source)
    skipped, replaced = UnreadableVideos("skip"), UnreadableVideos("replace")
    assert [int(index) for *_, index in read(source, unreadable=skipped)] == [0, 2, 4]
    clips = read(source, training=True, unreadable=replaced)
    assert sorted(int(index) for *_, index in clips) == [0, 1, 2, 3, 4]
    # Other videos in their place.
    assert all(max(numbers(frames)) < 24 for frames, *_ in clips)
    for unreadable in (skipped, replaced):
        assert unreadable.num_files == 2
        assert unreadable.report()[0].startswith(f"'{path}, example 1' (")
    options = dict(frames=4, size=32, batch_size=5, training=True, epochs=2, short_side=36)
    assert len(list(clip_dataset(source, unreadable=UnreadableVideos("replace"), **options))) == 2

    rewrite(tmp_path / "out", lambda found: [halve(e.features.feature[content]) for e in found])
    with pytest.raises(tf.errors.InvalidArgumentError, match="10 videos in a row one must be read"):
        read(ShardSource(tmp_path / "out", "train"), training=True, policy="replace")


@pytest.mark.parametrize("place", [5, 600, -5])
def test_damaged_video_files_follow_the_policy(videos, tmp_path, place):
    """In the first block of a file, which tells its container, as in others."""
    make_shards({"train": videos}, NAMES, tmp_path / "out", ShardOptions("csv", "video"))
    (path,) = (tmp_path / "out").glob("*.tfrecord")
    video = examples(path)[2].features.feature["video"].bytes_list.value[0]
    content = bytearray(path.read_bytes())
    content[content.index(video) + place % len(video)] ^= 255
    path.write_bytes(content)
    source = ShardSource(tmp_path / "out", "train")
    name = f"{path}, example 2"
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        read(source.select([2]))
    # Named once.
    assert (
        f"An example must hold a video that can be decoded. Received: {name} "
        f"({source.ids[2]!r}): part 1 is damaged, it has another checksum"
    ) in str(caught.value)
    skipped = UnreadableVideos("skip")
    assert len(read(source, unreadable=skipped)) == 4
    assert skipped.report()[0].startswith(f"{name!r} (1x): ")
