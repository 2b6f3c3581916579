"""The index of a shard, and reads at positions, against the bytes of the file."""

import hashlib
import io
import zlib

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import ShardOptions, make_shards
from smallbig_keras.data.shards import reading, shard_index
from smallbig_keras.data.shards.shard_index import IndexBuilder, ShardIndex
from smallbig_keras.data.shards.storage import LocalFile, RemoteFile, read_ranges
from smallbig_keras.errors import ResourceError
from tests.data.shards.shard_files import NAMES, examples


def open_shard(folder):
    (path,) = folder.glob("*.tfrecord")
    described = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "records": 5}
    return path, ShardIndex(path.with_name(f"{path.name}.index").read_bytes(), "", described)


@pytest.mark.parametrize("content", ["frames", "video"])
def test_parts_are_those_of_the_examples(videos, tmp_path, content, monkeypatch):
    monkeypatch.setattr(shard_index, "BLOCK", 1000)
    make_shards({"test": videos}, NAMES, tmp_path / "out", ShardOptions("csv", content))
    path, index = open_shard(tmp_path / "out")
    whole = path.read_bytes()
    for row, example in enumerate(examples(path)):
        feature = example.features.feature
        values = feature[content].bytes_list.value
        if content == "video":
            (video,) = values
            assert len(video) > 2000
            times = feature["times"].bytes_list.value
            values = [*times, *(video[i : i + 1000] for i in range(0, len(video), 1000))]
        parts = [*zip(*index.parts(row), strict=True)]
        assert [whole[offset : offset + size] for offset, size, _ in parts] == list(values)
        assert [checksum for *_, checksum in parts] == [zlib.crc32(value) for value in values]
    # A row of 12 bytes an example, 12 bytes a part.
    parts = sum(index.rows["parts"])
    assert path.with_name(f"{path.name}.index").stat().st_size == 48 + 5 * 12 + 12 * parts


@pytest.mark.parametrize("sizes", [(1,), (127, 128), (16383, 16384, 5), (3 << 20, 0, 7)])
def test_frames_of_any_size(sizes, tmp_path):
    """Lengths of one to four bytes stand between frames."""
    frames = [bytes([i]) * size for i, size in enumerate(sizes)]
    features = {
        "frames": tf.train.Feature(bytes_list=tf.train.BytesList(value=frames)),
        "num_frames": tf.train.Feature(int64_list=tf.train.Int64List(value=[len(sizes)])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x" * 300])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    builder, path = IndexBuilder("frames"), tmp_path / "a"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(2):
            builder.add(example)
            writer.write(example)
    digest = "ab" * 32
    index = ShardIndex(builder.to_bytes(digest), "", {"sha256": digest, "records": 2})
    for row in range(2):
        offsets, found, _ = index.parts(row)
        ranges = [*zip(offsets.tolist(), found.tolist(), strict=True)]
        assert read_ranges(LocalFile(path), ranges) == frames


def test_shard_without_videos():
    digest = "00" * 32
    content = IndexBuilder("frames").to_bytes(digest)
    assert len(ShardIndex(content, "", {"sha256": digest, "records": 0}).rows) == 0


@pytest.mark.parametrize("kind", [LocalFile, RemoteFile])
def test_near_ranges_are_read_together(tmp_path, monkeypatch, kind):
    path = tmp_path / "a"
    whole = np.random.default_rng(0).bytes(4 << 20)
    path.write_bytes(whole)
    file = kind(str(path))
    assert file.size == len(whole)
    requests, read = [], file.read
    monkeypatch.setattr(file, "read", lambda *range: requests.append(range) or read(*range))
    gap = file.gap
    ranges = [(2 * gap + 50, 10), (5, 10), (15 + gap, 20), (5, 10), (2 * gap + 36, 4)]
    assert read_ranges(file, ranges) == [whole[offset : offset + size] for offset, size in ranges]
    assert requests == [(5, gap + 30), (2 * gap + 36, 24)]
    assert read_ranges(file, []) == []
    with pytest.raises(ResourceError, match=f"Received: '{path}': 10 bytes of 11 at "):
        file.read(len(whole) - 10, 11)
    with pytest.raises(ResourceError, match=f"readable. Received: '{path}1': .*No such file"):
        kind(f"{path}1")


def test_windows_has_no_pread(tmp_path, monkeypatch):
    monkeypatch.delattr("os.pread")
    (tmp_path / "a").write_bytes(b"0123456789")
    file = LocalFile(tmp_path / "a")
    assert [file.read(7, 3), file.read(2, 2)] == [b"789", b"23"]


def test_window(videos, tmp_path, monkeypatch):
    """A video file as a decoder reads it: only the blocks that it asks for, each checked."""
    for module in (shard_index, reading):
        monkeypatch.setattr(module, "BLOCK", 1000)
    make_shards({"test": videos}, NAMES, tmp_path / "out", ShardOptions("csv", "video"))
    path, index = open_shard(tmp_path / "out")
    expected = examples(path)[2].features.feature["video"].bytes_list.value[0]
    requests = []

    class File(LocalFile):
        def read(self, offset, size):
            requests.append(size)
            return super().read(offset, size)

    def window():
        return reading.Window(reading._Example(File(path), index, 2, "name"))

    assert window().readall() == expected and sum(requests) == len(expected)
    requests.clear()
    opened = window()
    assert opened.seekable() and opened.readable() and not requests
    assert opened.seek(-10, io.SEEK_END) == len(expected) - 10
    assert opened.read(20) == expected[-10:] and opened.read(5) == b""
    opened.seek(1500)
    assert opened.read(300) == expected[1500:1800] and opened.tell() == 1800
    # The end of a block is the end of a read.
    assert opened.read(300) == expected[1800:2000]
    opened.seek(-200, io.SEEK_CUR)
    assert io.BufferedReader(opened).read(400) == expected[1800:2200]
    assert requests == [len(expected) % 1000, 1000, len(expected) % 1000]
    content = bytearray(path.read_bytes())
    content[content.index(expected) + 1700] ^= 1
    path.write_bytes(content)
    opened = window()
    assert opened.read(1000) == expected[:1000]
    with pytest.raises(ValueError, match="name: part 2 is damaged, it has another checksum"):
        opened.read(1000)
