"""The frames of clips from a list of videos."""

import copy
import hashlib
import json
import os

import numpy as np
import tensorflow as tf

from smallbig_keras.data.annotations.video import as_videos, warn
from smallbig_keras.data.decoding import read_with_times
from smallbig_keras.data.exit import reads
from smallbig_keras.data.frame_folders import (
    find_frames,
    read_frame_folder,
    read_images,
    read_picture_folder,
)
from smallbig_keras.data.index import VideoInfo, file_stamp
from smallbig_keras.data.sampling import frames_to_read
from smallbig_keras.data.video_file import BadVideoError, check_video_file

_MAX_REPLACEMENTS = 10


class ClipSource:
    """The order of clips and the policy for unreadable videos, the same for all sources.

    A source has `ids` and `labels`, lists of the same length, and `name`, `read_frames` and
    `read_pictures` of the video at an index.
    """

    def __len__(self):
        return len(self.labels)

    @property
    def has_labels(self):
        """bool. True if all videos have labels."""
        return all(label is not None for label in self.labels)

    def name(self, index):
        """Returns the file of a video, a str."""
        raise NotImplementedError

    def read_frames(self, index, sampler):
        """Reads the frames `sampler(num_frames)` of a video, uint8, RGB, or `BadVideoError`."""
        raise NotImplementedError

    def read_pictures(self, index, sampler):
        """Returns the frames as list of bytes for `decode_pictures`; empty for other videos."""
        raise NotImplementedError

    # A function in the graph that decodes what `read_pictures` returned, of no frames on any
    # error; None for a source without pictures.
    decode_pictures = None

    def order(self, epoch, seed):
        """Returns the indices of the videos in the random order of an epoch, an int64 tensor."""
        order = tf.range(len(self), dtype=tf.int64)
        key = tf.random.fold_in((seed, 0), epoch)
        return tf.random.experimental.stateless_shuffle(order, key)

    def clips(self, epoch, sampler, unreadable, num_parallel_calls, first=0):
        """Makes the clips of one epoch: in training in random order, else in that of the list.

        Args:
            epoch: int64 tensor of shape `()`.
            sampler: `Sampler`.
            unreadable: `UnreadableVideos`.
            num_parallel_calls: int. Videos decoded at once; the clips do not depend on it.
            first: int64 tensor of shape `()`. Videos of the epoch that are left out. Defaults
                to `0`.

        Returns:
            `tf.data.Dataset` of `(frames, frame_positions, label, index)`: the frames read, uint8
            `(read, height, width, 3)`, RGB; the position in them of each frame of each clip,
            int64 `(clips, frames)`; int32 class id, -1 if unknown; and int64 index in the list,
            from which chance is drawn. A single clip has its frames in order and may have one
            more than once.
        """
        count = len(self)
        order = tf.range(count, dtype=tf.int64)
        if sampler.training:
            order = self.order(epoch, sampler.seed)
        reader = _Reader(self, sampler, unreadable)
        types = (tf.uint8, tf.int64, tf.int32, tf.bool)

        def load(epoch, index):
            def read():
                return tf.numpy_function(reader.read, (epoch, index), types, stateful=False)

            if self.decode_pictures is None:
                clip = read()
            else:
                pictures, frame_positions, label = tf.numpy_function(
                    reader.pictures, (epoch, index), (tf.string, *types[1:3]), stateful=False
                )
                frames = self.decode_pictures(tf.ensure_shape(pictures, (None,)))
                decoded = [frames, frame_positions, label, tf.constant(True)]
                # All but good pictures go the way that names the fault.
                clip = tf.cond(tf.shape(frames)[0] > 0, lambda: decoded, read)
            frames, frame_positions, label, good = clip
            return (
                tf.ensure_shape(frames, (None, None, None, 3)),
                tf.ensure_shape(frame_positions, (sampler.clips, sampler.frames)),
                tf.ensure_shape(label, ()),
                index,
                tf.ensure_shape(good, ()),
            )

        return (
            tf.data.Dataset.from_tensor_slices((tf.repeat(epoch, count), order))
            .skip(first)
            .map(load, num_parallel_calls, deterministic=True)
            .filter(lambda *clip: clip[-1])
            .map(lambda *clip: clip[:-1])
        )


class VideoSource(ClipSource):
    """Clips from a list of videos, both files and folders of frames.

    `clip_dataset` takes any object with `len()`, the clips of an epoch, `has_labels`, true if all
    of them have labels, and the method `clips`; evaluation also asks for `ids` and `labels`, and
    where there is one for `select`.

    Args:
        videos: list of paths, of `(path, label)` pairs and of `Video`s. A path is that of a file
            or of a folder of numbered pictures; its name is the id, and without a pair there is
            no label.
        infos: dict. `VideoInfo` by path, from `read_index`: it spares the reading of all packets,
            and an unreadable file is not opened again. The info of a file that changed since is
            not used, with an `AnnotationWarning`. Defaults to `None`.
        class_names: list of str. Needed for labels that are names. Defaults to `None`.

    Raises:
        SmallBigError: `videos` is no such list, or a label is no class; it names the item.
    """

    def __init__(self, videos, infos=None, class_names=None):
        self.videos = as_videos(videos, class_names)
        self._infos = {os.path.abspath(path): info for path, info in (infos or {}).items()}
        self._learned = {}
        self._warned = False

    @property
    def ids(self):
        """list of str. The names of the videos in their dataset."""
        return [video.id for video in self.videos]

    @property
    def labels(self):
        """list of int or None. The class ids."""
        return [video.label for video in self.videos]

    def select(self, indices):
        """Returns a source of the videos at these indices of the list, in their order."""
        source = copy.copy(self)
        source.videos = [self.videos[index] for index in indices]
        return source

    def info_of(self, video):
        """Returns the `VideoInfo` of the file that is there now, or None if there is none."""
        path = os.path.abspath(video.path)
        info, learned = self._infos.get(path), self._learned.get(path)
        # Nothing cheap tells if the frames of a folder are still the same.
        if video.template is not None or not (info or learned):
            return None
        stamp = file_stamp(path)
        if info is not None and info.stamp == stamp:
            return info
        if info is not None and not self._warned:
            self._warned = True
            warn(
                "Videos that changed since they were indexed are read as if they were not; "
                "`smallbig prepare index` brings the index up to date. "
                f"Received: {video.path!r}"
            )
        return learned if learned is not None and learned.stamp == stamp else None

    def learn(self, video, times, frames):
        """Notes the times of the frames of a file: later epochs need not read all its packets."""
        height, width = frames.shape[1:3]
        info = VideoInfo(times.count, width, height, times, stamp=file_stamp(video.path))
        self._learned[os.path.abspath(video.path)] = info

    def name(self, index):
        """Returns the path of a video."""
        return self.videos[index].path

    def read_frames(self, index, sampler):
        """Reads the frames `sampler(num_frames)` of a video."""
        video = self.videos[index]
        info = self.info_of(video)
        frames, times = read_video(video, sampler, info)
        if info is None and times is not None:
            self.learn(video, times, frames)
        return frames

    def read_pictures(self, index, sampler):
        """Returns the files of frames of a folder, no files of other videos."""
        video = self.videos[index]
        if video.template is None:
            return []
        count, file = find_frames(video.path, video.template, video.num_frames)
        return [check_video_file(file(index)).encode() for index in sampler(count)]

    @property
    def decode_pictures(self):
        """`read_images`, or None where no video is a folder."""
        return read_images if any(video.template is not None for video in self.videos) else None


def list_digest(source):
    """Returns a SHA-256 of the names, labels and order of the videos of a source, a str."""
    labels = [-1 if label is None else int(label) for label in source.labels]
    return hashlib.sha256(json.dumps([list(source.ids), labels]).encode()).hexdigest()


def read_video(video, sampler, info=None):
    """Reads the frames that a sampler chooses from a `Video`, bytes, an open file, or an array.

    Returns:
        `(frames, times)`, the `FrameTimes` of a file, else None.
    """
    if isinstance(video, np.ndarray):
        return video[sampler(len(video))], None
    if isinstance(video, bytes) or hasattr(video, "read"):
        return read_with_times(video, sampler)
    # The number of frames in annotations counts for folders only: that of a file is the one that
    # decoding gives.
    if video.template is not None:
        return read_frame_folder(video.path, video.template, sampler, video.num_frames), None
    if os.path.isdir(video.path):
        return read_picture_folder(video.path, sampler), None
    if info is not None and info.error is not None:
        raise BadVideoError(info.error)
    return read_with_times(video.path, sampler, info and info.times)


class _Reader:
    """Reads the clips of the video at `(epoch, index)`."""

    def __init__(self, source, sampler, unreadable):
        self.source = source
        self.labels = source.labels
        self.sampler = sampler
        self.unreadable = unreadable
        self.skipped = set()
        self.no_positions = np.zeros((sampler.clips, sampler.frames), np.int64)

    def pictures(self, epoch, index):
        """Returns `(pictures, frame_positions, label)`; no pictures if they cannot be read."""
        with reads:
            return self._pictures(epoch, index)

    def _pictures(self, epoch, index):
        chosen = _Chosen(self, epoch, index)
        try:
            pictures = self.source.read_pictures(index, chosen)
        except BadVideoError:
            pictures = []
        return np.array(pictures, object), chosen.frame_positions, self._label(index)

    def read(self, epoch, index):
        """Returns `(frames, frame_positions, label, good)`, by the policy for unreadable videos."""
        with reads:
            return self._read(epoch, index)

    def _read(self, epoch, index):
        choice = np.random.default_rng((self.sampler.seed, int(epoch), int(index), 1))
        chosen, video = _Chosen(self, epoch, index), index
        for _ in range(_MAX_REPLACEMENTS):
            try:
                frames = self.source.read_frames(video, chosen)
                return frames, chosen.frame_positions, self._label(video), np.True_
            except BadVideoError as error:
                reason = str(error)
            # Not in the handler: an error of a graph prints the tracebacks of its whole chain.
            self.unreadable.add(self.source.name(video), reason)
            if self.unreadable.policy == "skip":
                self._check_any(video)
                return np.zeros((0, 1, 1, 3), np.uint8), self.no_positions, np.int32(-1), np.False_
            video = choice.integers(len(self.labels))
        raise BadVideoError(
            f"Of {_MAX_REPLACEMENTS} videos in a row one must be readable. "
            f"Received:\n{self.unreadable.summary()}"
        )

    def _check_any(self, video):
        """Stops where every video is skipped, if nobody else looks at the list of them."""
        self.skipped.add(int(video))
        if self.unreadable.warns and len(self.skipped) == len(self.labels):
            raise BadVideoError(
                "One video at least must be readable. "
                f"Received: {len(self.skipped)} that are not:\n{self.unreadable.summary()}"
            )

    def _label(self, index):
        label = self.labels[index]
        return np.int32(-1 if label is None else label)


class _Chosen:
    """The sampler of one video, which keeps where the frames of its clips are in those read."""

    def __init__(self, reader, epoch, index):
        self.sampler, self.epoch, self.index = reader.sampler, epoch, index
        self.frame_positions = reader.no_positions

    def __call__(self, num_frames):
        indices = self.sampler(num_frames, self.epoch, self.index)
        wanted, self.frame_positions = frames_to_read(indices)
        return wanted
