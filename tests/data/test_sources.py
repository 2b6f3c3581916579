import pathlib
import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import (
    Sampler,
    ShardOptions,
    ShardSource,
    UnreadableVideos,
    Video,
    VideoSource,
    clip_dataset,
    make_index,
    make_shards,
    probe_video,
)
from smallbig_keras.data.decoding import read_frames, read_with_times
from smallbig_keras.data.sampling import frames_to_read
from smallbig_keras.errors import SmallBigError
from tests.data.streams import assert_same, stream
from tests.data.videos import write_frames, write_video

TEMPLATE = "img_{:05d}.jpg"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [Video(str(write_video(folder / f"{i}.webm", 30 + i)), i, str(i)) for i in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("folders") / "good", 41)


def read(videos, **options):
    options = {"size": 64, "batch_size": 2, "training": False, "normalize": False, **options}
    return stream(videos, **options)


def test_selected_videos(videos):
    infos = {video.path: probe_video(video.path) for video in videos}
    source = VideoSource(videos, infos)
    part = source.select([3, 1])
    assert (part.ids, part.labels, len(part)) == (["3", "1"], [3, 1], 2)
    assert part.info_of(videos[3]) == infos[videos[3].path]
    assert source.videos == videos


def test_paths_are_videos_without_labels(videos):
    paths = [videos[0].path, pathlib.Path(videos[1].path), *videos[2:]]
    source = VideoSource(paths)
    assert source.ids == ["0.webm", "1.webm", "2", "3"]
    assert source.labels == [None, None, 2, 3] and not source.has_labels
    batches = read(paths)
    assert [labels.tolist() for _, labels in batches] == [[-1, -1], [2, 3]]
    for (clips, _), (expected, _) in zip(batches, read(videos), strict=True):
        np.testing.assert_array_equal(clips, expected)
    with pytest.raises(
        SmallBigError, match=r"must have labels: give a list of \(path, label\) pairs"
    ):
        clip_dataset(paths, frames=4, size=64, batch_size=2, training=True)


@pytest.mark.parametrize(
    "wrong, received",
    [
        ("a.mp4", "'a.mp4'"),
        (pathlib.Path("a.mp4"), r"PosixPath\('a.mp4'\)"),
        (b"a.mp4", "b'a.mp4'"),
        (Video("a.mp4", 0, "a"), "Video"),
        ({"a.mp4": 0}, "{'a.mp4': 0}"),
        (3, "3"),
        (None, "None"),
        ([Video("a.mp4", 0, "a"), 3], "item 1 is 3"),
        ([b"a.mp4"], "item 0 is b'a.mp4'"),
        (["a.mp4", ("b.mp4", 0, 1)], r"item 1 is \('b.mp4', 0, 1\)"),
        ([(0, "a.mp4")], r"item 0 is \(0, 'a.mp4'\)"),
        ([None], "item 0 is None"),
    ],
)
def test_what_is_no_list_of_videos(wrong, received, tmp_path):
    def dataset(videos):
        return clip_dataset(videos, frames=4, size=64, batch_size=1, training=False)

    for use in (
        VideoSource,
        dataset,
        lambda videos: make_index(videos, tmp_path / "index"),
        lambda videos: make_shards({"test": videos}, ["a"], tmp_path / "out", ShardOptions("csv")),
    ):
        with pytest.raises(SmallBigError, match=f"`videos` must be a list.*Received: {received}"):
            use(wrong)
    assert not any(tmp_path.iterdir())


def test_pairs(videos, folder):
    """Paths of files and of folders of pictures, with class ids and names, beside others."""
    names = ["left", "right", "up", "down"]
    pairs = [
        (videos[0].path, "left"),
        [pathlib.Path(videos[1].path), np.int64(1)],
        (folder, "up"),
        Video(videos[3].path, 3, "3"),
    ]
    source = VideoSource(pairs, class_names=names)
    assert source.ids == ["0.webm", "1.webm", "good", "3"] and source.labels == [0, 1, 2, 3]
    whole = [*videos[:2], Video(str(folder), 2, "2", template=TEMPLATE), videos[3]]
    for options in ({}, {"training": True}):
        found = read(pairs, class_names=names, **options)
        assert_same(found, read(whole, **options))
    assert VideoSource(zip([videos[0].path], [7], strict=True)).labels == [7]
    (_, labels), _ = read([pairs[2], videos[3].path, (folder, None)], class_names=names)
    assert labels.tolist() == [2, -1]


@pytest.mark.parametrize(
    "label, names, message",
    [
        ("left", None, "needs `class_names`"),
        ("lef", ["left", "right"], "Did you mean 'left'?"),
        (2, ["left", "right"], "from 0 below the 2 of `class_names`"),
        (-1, None, "a class id from 0, or a name"),
        (1 << 31, None, "a class id from 0, or a name"),
        (1.0, None, "a class id from 0, or a name"),
        (True, None, "a class id from 0, or a name"),
    ],
)
def test_wrong_labels(label, names, message):
    for item in (("b.mp4", label), Video("b.mp4", label, "b")):
        with pytest.raises(SmallBigError) as error:
            VideoSource(["a.mp4", item], class_names=names)
        assert message in str(error.value) and "Received: item 1 is " in str(error.value)
        assert "b.mp4" in str(error.value)


def test_shards_of_pairs(videos, tmp_path):
    pairs = [(video.path, "right") for video in videos]
    make_shards({"train": pairs}, ["left", "right"], tmp_path / "out", ShardOptions("csv"))
    assert ShardSource(tmp_path / "out", "train").labels == [1] * 4


def test_index_and_shards_of_paths(videos, tmp_path):
    paths = [video.path for video in videos]
    infos = make_index(paths, tmp_path / "index")
    assert [infos[path].num_frames for path in paths] == [30, 31, 32, 33]
    make_shards({"test": paths}, ["a"], tmp_path / "out", ShardOptions("csv"))
    source = ShardSource(tmp_path / "out", "test")
    assert source.ids == ["0.webm", "1.webm", "2.webm", "3.webm"] and not source.has_labels


def test_a_file_is_scanned_once(tmp_path, monkeypatch):
    """Later epochs give what they would without the first; a file that changed begins anew."""
    path = write_video(tmp_path / "a.webm", 60)
    videos = [Video(str(path), 0, "a")]
    asked = []

    def spy(video, sampler, times=None):
        asked.append(times and times.count)
        return read_with_times(video, sampler, times)

    monkeypatch.setattr("smallbig_keras.data.sources.read_with_times", spy)
    options = dict(training=True, batch_size=1, size=48, sampling="dense", stride=2)
    source = VideoSource(videos)
    first, second = read(source, epochs=2, **options)
    assert asked == [None, 60]
    assert_same([second], read(videos, initial_epoch=1, epochs=2, **options))
    write_video(path, 20)
    assert_same(read(videos, **options), read(source, **options))
    assert asked == [None, 60, None, None, None]


def test_probed_videos_give_the_same_clips(videos, tmp_path):
    (tmp_path / "bad.webm").write_bytes(b"bad")
    bad = Video(str(tmp_path / "bad.webm"), 9, "bad")
    infos = {video.path: probe_video(video.path) for video in (*videos, bad)}
    assert all(infos[video.path].times for video in videos)
    for options in (dict(sampling="dense", stride=2), dict(views=(3, 3))):
        expected = read(videos, **options)
        assert_same(expected, read(VideoSource(videos, infos), **options))
        unreadable = UnreadableVideos("skip")
        source = VideoSource([bad, *videos], infos)
        assert_same(expected, read(source, unreadable=unreadable, **options))
        assert unreadable.report() == [f"{bad.path!r} (1x): {infos[bad.path].error}"]


def test_frames_of_folders_are_those_of_opencv(folder):
    """Bit by bit, by way of the graph."""
    ((clips, labels),) = read([Video(str(folder), 1, "a", None, TEMPLATE)], short_side=64)
    assert labels.tolist() == [1]
    names = [TEMPLATE.format(i + 1) for i in Sampler("segment", 4)(41)[0]]
    frames = [cv2.imread(str(folder / name))[:, 16:80, ::-1] for name in names]
    np.testing.assert_array_equal(clips[0], np.stack(frames))


@pytest.mark.parametrize("first", [0, 1, 57])
@pytest.mark.parametrize("num_frames", [None, 8])
def test_frames_begin_at_the_lowest_number(tmp_path, first, num_frames):
    """All of them are read, by way of the graph and of shards, and counted by an index."""
    folder = write_frames(tmp_path / "a", 8, first=first)
    videos = [Video(str(folder), 1, "a", num_frames, TEMPLATE)]
    options = dict(frames=8, short_side=64)
    ((clips, _),) = read(videos, **options)
    files = sorted(folder.iterdir())
    np.testing.assert_array_equal(
        clips[0], [cv2.imread(str(file))[:, 16:80, ::-1] for file in files]
    )
    (info,) = make_index(videos, tmp_path / "index").values()
    assert (info.error, info.num_frames) == (None, 8)
    make_shards({"test": videos}, ["a", "b"], tmp_path / "out", ShardOptions("frames"))
    assert_same(
        [(clips, [1])], read(ShardSource(tmp_path / "out", "test"), frames=8, short_side=64)
    )


def test_unreadable_frames_follow_the_policy(folder, tmp_path):
    folders = {"good": folder}
    # The first of four frames of 41.
    middle = TEMPLATE.format(6)
    for kind in ("empty", "gap", "truncated"):
        folders[kind] = shutil.copytree(folder, tmp_path / kind)
    for file in folders["empty"].iterdir():
        file.unlink()
    (folders["gap"] / middle).unlink()
    (folders["truncated"] / middle).write_bytes((folder / middle).read_bytes()[:-300])
    videos = [
        Video(str(path), i, kind, 41, TEMPLATE) for i, (kind, path) in enumerate(folders.items())
    ]
    unreadable = UnreadableVideos("skip")
    ((_, labels),) = read(videos, unreadable=unreadable)
    assert labels.tolist() == [0] and (unreadable.num_files, unreadable.num_clips) == (3, 3)
    places = ("empty': no frame", f"gap/{middle}'", f"truncated/{middle}'")
    for line, place in zip(unreadable.report(), places, strict=True):
        assert place in line
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"gap/{middle}': No such file"):
        read([videos[0], videos[2]])
    unreadable = UnreadableVideos("replace")
    batches = read(videos, frames=40, training=True, epochs=3, unreadable=unreadable)
    assert all(labels.tolist() == [0, 0] for _, labels in batches)
    assert len(batches) == 6 and unreadable.num_files == 3


class MemorySource:
    """Videos in memory: `clip_dataset` takes any source."""

    has_labels = True

    def __init__(self, videos):
        self.contents = [pathlib.Path(video.path).read_bytes() for video in videos]

    def __len__(self):
        return len(self.contents)

    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        def decode(content, index, epoch):
            found = []

            def sample(count):
                found[:] = frames_to_read(sampler(count, epoch, index))
                return found[0]

            return read_frames(content, sample), found[1]

        def load(index, content):
            types = (tf.uint8, tf.int64)
            frames, frame_positions = tf.numpy_function(decode, (content, index, epoch), types)
            frames = tf.ensure_shape(frames, (None, None, None, 3))
            frame_positions = tf.ensure_shape(frame_positions, (sampler.clips, sampler.frames))
            return frames, frame_positions, tf.cast(index, tf.int32), index

        contents = tf.data.Dataset.from_tensor_slices(self.contents)
        return contents.enumerate().map(load, num_parallel_calls)


@pytest.mark.parametrize("options", [{}, dict(sampling="dense", stride=2, views=(2, 3))])
def test_another_source(videos, options):
    assert_same(read(videos, **options), read(MemorySource(videos), **options))
