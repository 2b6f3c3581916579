"""Clips from TFRecord shards, of which only what a clip needs is read."""

import copy
import functools
import io
import json
import os
import zlib

import numpy as np
import tensorflow as tf

from smallbig_keras.data.decoding import read_frames
from smallbig_keras.data.frame_folders import decode_image, graph_reason, try_images
from smallbig_keras.data.scanning import FrameTimes
from smallbig_keras.data.shards.manifest import join, read_manifest
from smallbig_keras.data.shards.shard_index import BLOCK, SUFFIX, ShardIndex
from smallbig_keras.data.shards.storage import check_readahead, open_file, read_ranges
from smallbig_keras.data.sources import ClipSource
from smallbig_keras.data.video_file import BadVideoError
from smallbig_keras.errors import NotFoundError, ResourceError, SmallBigError, did_you_mean
from smallbig_keras.files import PositionedReader, scheme

# Shards that are open at once, each with its index: 0.1 MB for 256 MB of frames. A local one has
# a file descriptor. A remote one costs three requests to open again.
_OPEN_LOCAL, _OPEN_REMOTE = 64, 4096


class ShardSource(ClipSource):
    """Clips from a folder of shards, see `clip_dataset`.

    A clip reads the bytes of its frames and no others, in any order of videos.

    Args:
        folder: str or path. The folder that `make_shards` made, or the URL to which it was
            uploaded, such as `gs://bucket/sthv2` or `https://server/sthv2`.
        split: str. `"train"`, `"validation"` or `"test"`.

    Raises:
        NotFoundError: there is no finished folder of shards, or the shards have no index.
        SmallBigError: it has no such split.
        MissingPackageError: the URL needs tensorflow-io, which is not there.
    """

    def __init__(self, folder, split):
        manifest = read_manifest(folder)
        splits = manifest["splits"]
        if split not in splits:
            raise SmallBigError(
                f"A split must be one that the shards hold, {', '.join(splits)}."
                f"{did_you_mean(split, splits)} Received: {split!r} of {folder}"
            )
        check_readahead(folder)
        self.class_names = manifest["class_names"]
        self.ids = manifest["videos"][split]["ids"]
        self.labels = manifest["videos"][split]["labels"]
        self._content = manifest["options"]["content"]
        self._shards = splits[split]["shards"]
        self._files = [join(folder, shard["file"]) for shard in self._shards]
        # The number of the first video of each shard, and of the one after the last.
        self._bounds = np.cumsum([0, *(shard["records"] for shard in self._shards)])
        self._videos = range(len(self.ids))
        open_shards = _OPEN_REMOTE if scheme(os.fspath(folder)) else _OPEN_LOCAL
        self._open = functools.lru_cache(open_shards)(self._open_shard)
        if not tf.io.gfile.exists(self._files[0] + SUFFIX):
            raise NotFoundError(
                "Every shard has an index beside it. Write those that are missing: "
                f"smallbig prepare check {folder}. Received: no {self._files[0]}{SUFFIX}"
            )

    def select(self, indices):
        """Returns a source of the videos at these indices of the list, in their order."""
        source = copy.copy(self)
        for name in ("ids", "labels", "_videos"):
            values = getattr(self, name)
            setattr(source, name, [values[index] for index in indices])
        return source

    def name(self, index):
        """Returns the file and the example of a video."""
        shard, row = self._locate(index)
        return f"{self._files[shard]}, example {row}"

    def read_pictures(self, index, sampler):
        """Returns the JPEG files `sampler(num_frames)` of a video."""
        video = self._video(index)
        return video.parts(sampler(len(video.sizes)))

    @property
    def decode_pictures(self):
        """Decodes in the graph, or None for video files."""
        return None if self._content == "video" else lambda files: try_images(files, tf.identity)

    def read_frames(self, index, sampler):
        """Reads the frames `sampler(num_frames)` of a video."""
        video = self._video(index)
        if self._content == "video":
            try:
                return read_frames(io.BufferedReader(Window(video)), sampler, video.times())
            except DamagedPartError:
                raise
            except BadVideoError as error:
                raise video.bad(str(error).rpartition("Received: ")[2]) from None
        frames, wanted = [], sampler(len(video.sizes))
        for number, picture in zip(wanted, video.parts(wanted), strict=True):
            try:
                frame = decode_image(picture).numpy()
            except tf.errors.InvalidArgumentError as error:
                raise video.bad(f"frame {number}: {graph_reason(error)}") from None
            if frames and frame.shape != frames[0].shape:
                raise video.bad(f"frame {number}: {frame.shape} after one of {frames[0].shape}")
            frames.append(frame)
        return np.stack(frames)

    def _locate(self, index):
        """Returns the number of a video's shard, and of its example there."""
        number = self._videos[index]
        shard = int(np.searchsorted(self._bounds, number, "right")) - 1
        return shard, int(number - self._bounds[shard])

    def _video(self, index):
        shard, row = self._locate(index)
        return _Example(*self._open(shard), row, f"{self.name(index)} ({self.ids[index]!r})")

    def _open_shard(self, number):
        """Opens a shard that is as the manifest says; returns it and its index."""
        path, described = self._files[number], self._shards[number]
        shard = open_file(path)
        if shard.size != described["bytes"]:
            raise ResourceError(
                f"A shard must have the {described['bytes']} bytes of its manifest. "
                f"Received: {path!r}: {shard.size} bytes"
            )
        try:
            index = open_file(path + SUFFIX)
            content = index.read(0, index.size)
        except ResourceError as error:
            raise ResourceError(f"{error}. Is it missing? Run: smallbig prepare check") from None
        return shard, ShardIndex(content, index.path, described)


class DamagedPartError(BadVideoError):
    """A part of an example that is not what was written; it names the example."""


class _Example:
    """The parts of a video in a shard, each read when it is asked for."""

    def __init__(self, shard, index, row, name):
        self._shard, self._name = shard, name
        self.offsets, self.sizes, self._checksums = index.parts(row)

    def parts(self, numbers):
        """Reads parts; returns a list of bytes, each with the checksum of the index."""
        ranges = [(int(self.offsets[i]), int(self.sizes[i])) for i in numbers]
        contents = read_ranges(self._shard, ranges)
        for number, content in zip(numbers, contents, strict=True):
            if zlib.crc32(content) != self._checksums[number]:
                reason = f"part {number} is damaged, it has another checksum"
                raise DamagedPartError(str(self.bad(reason)))
        return contents

    def times(self):
        """Returns the `FrameTimes` of a video file, None in shards of version 0.1.0."""
        (content,) = self.parts([0])
        return FrameTimes.from_list(json.loads(content)) if content else None

    def bad(self, reason):
        """Returns the `BadVideoError` for this video."""
        return BadVideoError(
            f"An example must hold a video that can be decoded. Received: {self._name}: {reason}"
        )


class Window(PositionedReader):
    """The video file in an example, of which the blocks are read that a decoder asks for."""

    def __init__(self, video):
        super().__init__(int(video.sizes[1:].sum()))
        self._video = video
        self._block = None, b""

    def readinto(self, buffer):
        """Reads from the position on, to the end of a block at most; returns how many bytes."""
        number, start = divmod(self._position, BLOCK)
        if self._position >= self._size:
            return 0
        if self._block[0] != number:
            self._block = number, self._video.parts([number + 1])[0]
        content = self._block[1][start : start + len(buffer)]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
