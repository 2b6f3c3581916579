"""Clips from TFRecord shards."""

import json

import numpy as np
import tensorflow as tf

from smallbig_keras.data.decoding import read_frames
from smallbig_keras.data.frame_folders import decode_images, graph_reason, try_images
from smallbig_keras.data.sampling import frames_to_read
from smallbig_keras.data.scanning import FrameTimes
from smallbig_keras.data.shards.examples import parse_example
from smallbig_keras.data.shards.manifest import join, read_manifest
from smallbig_keras.data.video_file import BadVideoError
from smallbig_keras.errors import SmallBigError, did_you_mean

# In training, videos come from this many shards in turn, and are shuffled in windows of this many
# videos whose frames are chosen but not decoded: 18 MB for clips of 8 frames of 320x256 pixels.
_SHARDS_AT_ONCE = 8
_WINDOW = 128
# Each filling of a buffer is a request where shards are not local.
_BUFFER = 4 << 20


class ShardSource:
    """Clips from a folder of shards, see `clip_dataset`.

    Args:
        folder: str or path. The folder that `make_shards` made, or the URL to which it was
            uploaded, such as `gs://bucket/sthv2` or `https://server/sthv2`.
        split: str. `"train"`, `"validation"` or `"test"`.

    Raises:
        NotFoundError: there is no finished folder of shards.
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
        shards = splits[split]["shards"]
        self.class_names = manifest["class_names"]
        self.ids = manifest["videos"][split]["ids"]
        self.labels = manifest["videos"][split]["labels"]
        self.has_labels = splits[split]["has_labels"]
        self._content = manifest["options"]["content"]
        self._files = [join(folder, shard["file"]) for shard in shards]
        # The index of the first video of each shard, and of the one after the last.
        self._bounds = np.cumsum([0, *(shard["records"] for shard in shards)])
        self._bytes = [shard["bytes"] for shard in shards]

    def __len__(self):
        return len(self.ids)

    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        """Makes the clips of one epoch, see `VideoSource.clips`."""
        # In training other videos of the epoch come once more in place of unreadable ones.
        reader = _Reader(self, sampler, unreadable)

        def choose(shard, index, example):
            return reader.choose(epoch, shard, index, example)

        chosen = self._examples(epoch, sampler, num_parallel_calls)
        chosen = chosen.map(choose, num_parallel_calls, deterministic=True)
        chosen = chosen.filter(lambda video: video["num_frames"] > 0)
        if sampler.training:
            chosen = _shuffle(chosen, tf.random.fold_in((sampler.seed, 4), epoch))
        clips = chosen.map(reader.decode, num_parallel_calls, deterministic=True)
        clips = clips.filter(lambda frames, *_: tf.shape(frames)[0] > 0)
        return clips.repeat().take(len(self)) if unreadable.policy == "replace" else clips

    def _examples(self, epoch, sampler, num_parallel_calls):
        """Makes `(shard, index, example)` of all videos; an empty example ends a shard."""
        shards = tf.range(len(self._files), dtype=tf.int64)
        at_once = min(_SHARDS_AT_ONCE, len(self._files)) if sampler.training else 1
        if sampler.training:
            key = tf.random.fold_in((sampler.seed, 3), epoch)
            shards = tf.random.experimental.stateless_shuffle(shards, key)
        files, bounds = tf.constant(self._files), tf.constant(self._bounds)

        def check(shard):
            return tf.numpy_function(self._check_file, [shard], tf.int64, stateful=False)

        def examples(shard):
            # A damaged example ends the shard; the index of the empty one shows how many are
            # missing. A file that cannot be opened would be tried for ever.
            found = tf.data.TFRecordDataset(files[shard], buffer_size=_BUFFER).ignore_errors()
            found = found.concatenate(tf.data.Dataset.from_tensors(""))
            found = found.enumerate(bounds[shard])
            return found.map(lambda index, example: (shard, index, example))

        shards = tf.data.Dataset.from_tensor_slices(shards).map(check)
        shards = shards.map(lambda shard: tf.ensure_shape(shard, ()))
        calls = min(at_once, num_parallel_calls)
        return shards.interleave(examples, at_once, 1, calls, deterministic=True)

    def _check_file(self, shard):
        """Checks that a shard can be opened and is whole; returns its number."""
        file = self._files[shard]
        try:
            size = tf.io.gfile.stat(file).length
            with tf.io.gfile.GFile(file, "rb") as opened:
                opened.read(1)
            received = f"{size} bytes"
        except tf.errors.OpError as error:
            size, received = None, graph_reason(error)
        if size != self._bytes[shard]:
            raise BadVideoError(
                f"A shard must have the {self._bytes[shard]} bytes of its manifest. "
                f"Received: {file!r}: {received}"
            )
        return shard


def _shuffle(videos, key):
    """Shuffles windows; unlike with `Dataset.shuffle`, the order depends only on the key."""

    def shuffle(window, batch):
        order = tf.range(tf.shape(batch["index"])[0])
        order = tf.random.experimental.stateless_shuffle(order, tf.random.fold_in(key, window))
        return {name: tf.gather(value, order) for name, value in batch.items()}

    # The next window is read while this one is decoded.
    return videos.batch(_WINDOW).enumerate().map(shuffle).prefetch(1).unbatch()


class _Reader:
    """Chooses and decodes the frames of examples in one epoch."""

    def __init__(self, source, sampler, unreadable):
        self.source = source
        self.sampler = sampler
        self.unreadable = unreadable
        self.refused = set()

    def choose(self, epoch, shard, index, example):
        """Parses a video and chooses the contents to decode; the empty example has 0 frames."""
        content = self.source._content
        video = parse_example(example, content)
        question = (epoch, shard, index, video["num_frames"])
        types = (tf.int64, tf.int64)
        wanted, frame_positions = tf.numpy_function(self._sample, question, types, stateful=False)
        shape = (self.sampler.clips, self.sampler.frames)
        video["wanted"] = tf.ensure_shape(wanted, (None,))
        video["frame_positions"] = tf.ensure_shape(frame_positions, shape)
        if content == "frames":
            video["contents"] = tf.gather(video["contents"], wanted)
        return video | {"index": index}

    def decode(self, video):
        """Returns `(frames, frame_positions, label, index)`; no frames if they are unreadable."""
        if self.source._content == "frames":
            decoded = try_images(video["contents"], tf.identity)
            refused = (video["index"], video["contents"])
            frames = tf.cond(
                tf.shape(decoded)[0] > 0,
                lambda: decoded,
                lambda: tf.numpy_function(self._refuse_frames, refused, tf.uint8, stateful=False),
            )
        else:
            names = ("index", "contents", "wanted", "times")
            inputs = [video[name] for name in names]
            frames = tf.numpy_function(self._read, inputs, tf.uint8, stateful=False)
        frames = tf.ensure_shape(frames, (None, None, None, 3))
        return frames, video["frame_positions"], video["label"], video["index"]

    def _sample(self, epoch, shard, index, num_frames):
        if num_frames == 0:
            self._check_end(shard, index)
            shape = (self.sampler.clips, self.sampler.frames)
            return np.zeros(0, np.int64), np.zeros(shape, np.int64)
        return frames_to_read(self.sampler(int(num_frames), epoch, index))

    def _check_end(self, shard, index):
        file, (first, end) = self.source._files[shard], self.source._bounds[shard : shard + 2]
        if index == end:
            return
        reason = "it can be read now"
        try:
            count = sum(1 for _ in tf.data.TFRecordDataset(file))
            reason = f"it has {count} examples now"
        except tf.errors.OpError as error:
            reason = graph_reason(error)
        raise BadVideoError(
            f"A shard must hold {end - first} whole examples. "
            f"Received: {file!r}: example {index - first} cannot be read: {reason}"
        )

    def _read(self, index, contents, wanted, times):
        try:
            times = FrameTimes.from_list(json.loads(times))
            return read_frames(contents[0], lambda _: wanted, times)
        except BadVideoError as error:
            return self._refuse(index, error)

    def _refuse_frames(self, index, contents):
        try:
            decode_images(contents)
            reason = "frames of several sizes"
        except tf.errors.OpError as error:
            reason = graph_reason(error)
        return self._refuse(index, reason)

    def _refuse(self, index, reason):
        source = self.source
        shard = int(np.searchsorted(source._bounds, index, "right")) - 1
        name = f"{source._files[shard]}, example {index - source._bounds[shard]}"
        received = f"{name} ({source.ids[index]!r}): {reason}"
        self.unreadable.add(
            name, f"An example must hold a video that can be decoded. Received: {received}"
        )
        self.refused.add(int(index))
        if len(self.refused) == len(source):
            raise BadVideoError(f"One video of a split must be readable. Received: {received}")
        return np.zeros((0, 1, 1, 3), np.uint8)
