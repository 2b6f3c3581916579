"""From a list of videos to batches of clips."""

import os
import threading

import numpy as np
import tensorflow as tf

from smallbig_keras.data import augmentation, sampling
from smallbig_keras.data.decoding import BadVideoError, read_frames
from smallbig_keras.labels import preprocess_input

POLICIES = ("replace", "skip", "raise")
_MAX_REPLACEMENTS = 10


class BadClips:
    """What happens to videos that cannot be read, and which they were.

    May be used from many threads.

    Args:
        policy: str. `"replace"` takes another video (training only), `"skip"` leaves the clip
            out, `"raise"` stops. Defaults to `"raise"`.
        limit: int. Different bad files that are tolerated; one more stops. Defaults to `None`,
            any number.

    Raises:
        ValueError: `policy` is another word or `limit` is negative.
    """

    def __init__(self, policy="raise", limit=None):
        if policy not in POLICIES:
            raise ValueError(f"`policy` must be one of {POLICIES}. Received: policy={policy!r}")
        if limit is not None and limit < 0:
            raise ValueError(f"`limit` must be at least 0 or None. Received: limit={limit}")
        self.policy = policy
        self.limit = limit
        self._lock = threading.Lock()
        self._clips = {}

    def add(self, path, reason):
        """Records a bad clip, and stops if the policy or the limit says so.

        Args:
            path: str. The file.
            reason: str. What is wrong with it.

        Raises:
            BadVideoError: the policy is `"raise"` or more than `limit` files are bad.
        """
        with self._lock:
            _, count = self._clips.get(path, (reason, 0))
            self._clips[path] = reason, count + 1
            files = len(self._clips)
        if self.policy == "raise":
            raise BadVideoError(reason)
        if self.limit is not None and files > self.limit:
            lines = "\n".join(self.report())
            raise BadVideoError(
                f"At most {self.limit} bad videos are allowed. Received: {files}:\n{lines}"
            )

    @property
    def num_files(self):
        """int. Different bad files."""
        with self._lock:
            return len(self._clips)

    @property
    def num_clips(self):
        """int. Clips that were replaced or left out; a file counts every time it was met."""
        with self._lock:
            return sum(count for _, count in self._clips.values())

    def report(self):
        """Returns a list of str, one a file: path, reason and how often it was met."""
        with self._lock:
            clips = sorted(self._clips.items())
        return [f"{path!r} ({count}x): {reason}" for path, (reason, count) in clips]


def clip_dataset(
    videos,
    *,
    frames,
    size,
    batch_size,
    training,
    short_side=None,
    flip=None,
    class_names=None,
    seed=0,
    epochs=1,
    initial_epoch=0,
    drop_remainder=None,
    bad_clips=None,
    num_parallel_calls=None,
    normalize=True,
):
    """Makes batches of clips from videos (SmallBigNet, CVPR 2020, section 6).

    In training: one random frame of each segment, a random short side, a random crop, and a
    flip if asked for. In evaluation: the middle frames and the middle crop. The stream depends
    on `seed`, epoch and place only, so that a run resumed at `initial_epoch` sees what the
    uninterrupted one saw, with any number of parallel calls.

    Args:
        videos: list of `Video`.
        frames: int. Frames in a clip.
        size: int. Height and width of a clip in pixels.
        batch_size: int. Clips in a batch.
        training: bool. Whether order and views are random.
        short_side: int or `(low, high)`. Short side in pixels before the crop; training draws
            from `low` to `high`, evaluation takes one. Defaults to `None`, the paper's ratio:
            256 to 320 for 224 in training, 256 for 224 in evaluation.
        flip: str. `"plain"` mirrors half of the training clips, `"swap"` also swaps labels of
            left and right. Defaults to `None`.
        class_names: list of str. Needed for `"swap"`. Defaults to `None`.
        seed: int. At least 0. Defaults to `0`.
        epochs: int. Where the stream ends. Defaults to `1`.
        initial_epoch: int. Where the stream begins. Defaults to `0`.
        drop_remainder: bool. Whether an epoch's last batch is left out when it is not full.
            Defaults to `None`, which is `training`.
        bad_clips: `BadClips`. Defaults to `None`, which replaces in training and raises in
            evaluation.
        num_parallel_calls: int. Videos decoded at once. Defaults to `None`, one a processor.
        normalize: bool. Whether clips go through `preprocess_input`; else they are 0..255.
            Defaults to `True`.

    Returns:
        `tf.data.Dataset` of `(clips, labels)`: float32 `(batch, frames, size, size, 3)` and
        int32 `(batch,)`, -1 where a video has no label. Its cardinality is known unless bad
        clips are skipped.

    Raises:
        ValueError: an argument is outside the values above.
    """
    drop_remainder = training if drop_remainder is None else drop_remainder
    num_parallel_calls = num_parallel_calls or os.cpu_count()
    bad_clips = bad_clips or BadClips("replace" if training else "raise")
    low, high = _short_sides(short_side, size, training)
    _check(videos, training, frames, batch_size, drop_remainder, seed, epochs, initial_epoch)
    if bad_clips.policy == "replace" and not training:
        raise ValueError('Evaluation must not replace clips. Received: policy="replace"')
    if flip not in (None, "plain", "swap") or (flip and not training):
        raise ValueError(
            "`flip` must be None, or in training 'plain' or 'swap'. "
            f"Received: flip={flip!r}, training={training}"
        )
    if flip == "swap" and class_names is None:
        raise ValueError("`flip='swap'` needs `class_names`. Received: class_names=None")
    label_map = augmentation.left_right_label_map(class_names) if flip == "swap" else None
    loader = _Loader(videos, frames, training, seed, bad_clips)
    count = len(videos)
    steps = count // batch_size if drop_remainder else -(-count // batch_size)

    def order(epoch):
        indices = tf.range(count, dtype=tf.int64)
        if training:
            key = tf.random.fold_in((seed, 0), epoch)
            indices = tf.random.experimental.stateless_shuffle(indices, key)
        return tf.data.Dataset.from_tensor_slices((tf.repeat(epoch, count), indices))

    def load(epoch, index):
        clip, label, good = tf.numpy_function(
            loader, (epoch, index), (tf.uint8, tf.int32, tf.bool), stateful=False
        )
        key = tf.random.fold_in(tf.random.fold_in((seed, 1), epoch), index)
        clip = tf.ensure_shape(clip, (frames, None, None, 3))
        return clip, tf.ensure_shape(label, ()), tf.ensure_shape(good, ()), key

    def view(clip, label, _, key):
        if training:
            keys = tf.random.split(key, 3)
            clip = augmentation.random_short_side(clip, keys[0], low, high)
            clip = augmentation.random_crop(clip, size, keys[1])
            if flip:
                clip, label = augmentation.horizontal_flip(clip, label, keys[2], label_map)
        else:
            clip = augmentation.centre_crop(augmentation.short_side_resize(clip, low), size)
        clip = preprocess_input(clip) if normalize else clip
        return tf.ensure_shape(clip, (frames, size, size, 3)), label

    def one_epoch(epoch):
        return (
            order(epoch)
            .map(load, num_parallel_calls, deterministic=True)
            .filter(lambda _clip, _label, good, _key: good)
            .map(view, num_parallel_calls, deterministic=True)
            .batch(batch_size, drop_remainder)
        )

    dataset = tf.data.Dataset.range(initial_epoch, epochs).flat_map(one_epoch)
    if bad_clips.policy != "skip":
        cardinality = steps * (epochs - initial_epoch)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    options = tf.data.Options()
    # Parallelism is given, and the thread that would tune it holds up the end of an iterator:
    # 18 s between training and validation of every epoch of the sample set.
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def load_clip(path, frames=8, size=224, short_side=None):
    """Loads the middle clip of one video, ready for a model.

    Args:
        path: str or path. The file.
        frames: int. Frames in the clip. Defaults to `8`.
        size: int. Height and width of the clip in pixels. Defaults to `224`.
        short_side: int. Short side in pixels before the crop. Defaults to `None`, 256 for 224.

    Returns:
        float32 array of shape `(1, frames, size, size, 3)`.

    Raises:
        BadVideoError: the file is not a video that can be decoded.
        ValueError: `short_side` is below `size`.
    """
    short_side, _ = _short_sides(short_side, size, training=False)
    clip = read_frames(path, lambda count: sampling.segment_centre(count, frames))
    clip = augmentation.centre_crop(augmentation.short_side_resize(clip, short_side), size)
    return preprocess_input(clip.numpy())[None]


class _Loader:
    """Decodes the clip at `(epoch, index)`: `(clip, label, whether it is one)`."""

    def __init__(self, videos, frames, training, seed, bad_clips):
        self.videos = videos
        self.frames = frames
        self.training = training
        self.seed = seed
        self.bad_clips = bad_clips

    def __call__(self, epoch, index):
        key = self.seed, int(epoch), int(index)
        choice = np.random.default_rng((*key, 1))
        video = self.videos[key[2]]
        for _ in range(_MAX_REPLACEMENTS):
            try:
                clip = read_frames(video.path, lambda count: self._sample(count, key))
                label = -1 if video.label is None else video.label
                return clip, np.int32(label), np.True_
            except BadVideoError as error:
                self.bad_clips.add(video.path, str(error))
            if self.bad_clips.policy == "skip":
                return np.zeros((self.frames, 1, 1, 3), np.uint8), np.int32(-1), np.False_
            video = self.videos[choice.integers(len(self.videos))]
        raise BadVideoError(
            f"Of {_MAX_REPLACEMENTS} videos in a row one must be good. Received:\n"
            + "\n".join(self.bad_clips.report())
        )

    def _sample(self, count, key):
        if self.training:
            # A fresh generator: read_frames may ask twice.
            return sampling.segment_train(count, self.frames, np.random.default_rng(key))
        return sampling.segment_centre(count, self.frames)


def _short_sides(short_side, size, training):
    if short_side is None:
        short_side = round(size * 256 / 224)
        short_side = (short_side, round(size * 320 / 224)) if training else short_side
    low, high = short_side if isinstance(short_side, tuple | list) else (short_side,) * 2
    if not 1 <= size <= low <= high or (low < high and not training):
        raise ValueError(
            "`short_side` must be at least `size`: an int, or in training (low, high). "
            f"Received: short_side={short_side}, size={size}, training={training}"
        )
    return low, high


def _check(videos, training, frames, batch_size, drop_remainder, seed, epochs, initial_epoch):
    if not videos or frames < 1 or batch_size < 1 or seed < 0:
        raise ValueError(
            "A data set needs at least one video, one frame and one clip a batch, and a seed of "
            f"at least 0. Received: {len(videos)} videos, frames={frames}, "
            f"batch_size={batch_size}, seed={seed}"
        )
    if not 0 <= initial_epoch <= epochs:
        raise ValueError(
            "`initial_epoch` must be from 0 to `epochs`. "
            f"Received: initial_epoch={initial_epoch}, epochs={epochs}"
        )
    if drop_remainder and len(videos) < batch_size:
        raise ValueError(
            "A full batch needs `batch_size` videos. "
            f"Received: batch_size={batch_size}, {len(videos)} videos"
        )
    if training and any(video.label is None for video in videos):
        raise ValueError("Training videos must have labels. Received: a video with label None")
