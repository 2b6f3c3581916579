"""The frames of clips from a list of videos."""

import copy
import hashlib
import json
import os

import numpy as np
import tensorflow as tf

from smallbig_keras.data.annotations.video import as_videos, warn
from smallbig_keras.data.decoding import BadVideoError, check_video_file, read_frames
from smallbig_keras.data.frame_folders import (
    find_frames,
    read_frame_folder,
    read_images,
    read_picture_folder,
)
from smallbig_keras.data.index import VideoInfo, file_bytes
from smallbig_keras.data.sampling import frames_to_read

_MAX_REPLACEMENTS = 10


class VideoSource:
    """Clips from a list of videos, both files and folders of frames.

    `clip_dataset` takes any object with `len()`, the clips of an epoch, `has_labels`, true if all
    of them have labels, and the method `clips`; evaluation also asks for `ids` and `labels`.

    Args:
        videos: list of `Video` or of paths of files; a path is a video without a label, whose id
            is the name of the file.
        infos: dict. `VideoInfo` by path, from `read_index`: it spares the decoding of frames
            that are not sampled, and an unreadable file is not opened again. The info of a file
            that has another size by now is not used, with an `AnnotationWarning`. Defaults to
            `None`.
    """

    def __init__(self, videos, infos=None):
        self.videos = as_videos(videos)
        self._infos = {os.path.abspath(path): info for path, info in (infos or {}).items()}
        self._counted = {}
        self._warned = False

    def __len__(self):
        return len(self.videos)

    @property
    def ids(self):
        """list of str. The names of the videos in their dataset."""
        return [video.id for video in self.videos]

    @property
    def labels(self):
        """list of int or None. The class ids."""
        return [video.label for video in self.videos]

    @property
    def has_labels(self):
        """bool. True if all videos have labels."""
        return all(video.label is not None for video in self.videos)

    def select(self, indices):
        """Returns a source of the videos at these indices of the list, in their order."""
        source = copy.copy(self)
        source.videos = [self.videos[index] for index in indices]
        return source

    def info_of(self, video):
        """Returns the `VideoInfo` of the file that is there now, or None if there is none."""
        path, size = os.path.abspath(video.path), file_bytes(video.path)
        info, counted = self._infos.get(path), self._counted.get(path)
        # No size: nothing cheap tells if the frames of a folder are still the same.
        if info is not None and info.bytes is not None:
            if info.bytes == size:
                return info
            if not self._warned:
                self._warned = True
                warn(
                    "Videos that changed since they were indexed are read as if they were not; "
                    "`smallbig prepare index` brings the index up to date. "
                    f"Received: {video.path!r}"
                )
        return counted if counted is not None and counted.bytes == size else None

    def learn(self, video, num_frames, frames):
        """Notes the number of frames of a file: later epochs need not decode it to its end."""
        height, width = frames.shape[1:3]
        size = file_bytes(video.path)
        info = VideoInfo(num_frames, width, height, False, None, size)
        self._counted[os.path.abspath(video.path)] = info

    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        """Makes the clips of one epoch: in training in random order, else in that of the list.

        Args:
            epoch: int64 tensor of shape `()`.
            sampler: `Sampler`.
            unreadable: `UnreadableVideos`.
            num_parallel_calls: int. Videos decoded at once; the clips do not depend on it.

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
            key = tf.random.fold_in((sampler.seed, 0), epoch)
            order = tf.random.experimental.stateless_shuffle(order, key)
        reader = _Reader(self, sampler, unreadable)
        types = (tf.uint8, tf.int64, tf.int32, tf.bool)
        has_folders = any(video.template is not None for video in self.videos)

        def load(epoch, index):
            def read():
                return tf.numpy_function(reader.read, (epoch, index), types, stateful=False)

            if has_folders:
                files, frame_positions, label = tf.numpy_function(
                    reader.files, (epoch, index), (tf.string, *types[1:3]), stateful=False
                )
                frames = read_images(tf.ensure_shape(files, (None,)))
                decoded = [frames, frame_positions, label, tf.constant(True)]
                # All but folders of good pictures go the way that names the file.
                clip = tf.cond(tf.shape(frames)[0] > 0, lambda: decoded, read)
            else:
                clip = read()
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
            .map(load, num_parallel_calls, deterministic=True)
            .filter(lambda *clip: clip[-1])
            .map(lambda *clip: clip[:-1])
        )


def list_digest(source):
    """Returns a SHA-256 of the names, labels and order of the videos of a source, a str."""
    labels = [-1 if label is None else int(label) for label in source.labels]
    return hashlib.sha256(json.dumps([list(source.ids), labels]).encode()).hexdigest()


def read_video(video, sampler, info=None):
    """Reads the frames that a sampler chooses from a `Video`, bytes, or an array of frames."""
    if isinstance(video, np.ndarray):
        return video[sampler(len(video))]
    if isinstance(video, bytes):
        return read_frames(video, sampler)
    # The number of frames in annotations counts for folders only: that of a file is the one that
    # decoding gives.
    if video.template is not None:
        return read_frame_folder(video.path, video.template, sampler, video.num_frames)
    if os.path.isdir(video.path):
        return read_picture_folder(video.path, sampler)
    if info is None:
        return read_frames(video.path, sampler)
    if info.error is not None:
        raise BadVideoError(info.error)
    return read_frames(video.path, sampler, info.num_frames, info.exact_seek)


class _Reader:
    """Reads the clips of the video at `(epoch, index)`."""

    def __init__(self, source, sampler, unreadable):
        self.source = source
        self.videos = source.videos
        self.sampler = sampler
        self.unreadable = unreadable
        self.no_positions = np.zeros((sampler.clips, sampler.frames), np.int64)

    def files(self, epoch, index):
        """Returns `(files, frame_positions, label)`; no files if it is no readable folder."""
        video = self.videos[index]
        try:
            if video.template is not None:
                count, file = find_frames(video.path, video.template, video.num_frames)
                wanted, frame_positions = frames_to_read(self.sampler(count, epoch, index))
                files = [check_video_file(file(i)).encode() for i in wanted]
                return np.array(files, object), frame_positions, _label(video)
        except BadVideoError:
            pass
        return np.array([], object), self.no_positions, np.int32(-1)

    def read(self, epoch, index):
        """Returns `(frames, frame_positions, label, good)`, by the policy for unreadable videos."""
        choice = np.random.default_rng((self.sampler.seed, int(epoch), int(index), 1))
        video = self.videos[index]
        frame_positions, count = self.no_positions, 0

        def sample(num_frames):
            nonlocal frame_positions, count
            wanted, frame_positions = frames_to_read(self.sampler(num_frames, epoch, index))
            count = num_frames
            return wanted

        for _ in range(_MAX_REPLACEMENTS):
            try:
                info = self.source.info_of(video)
                frames = read_video(video, sample, info)
                if info is None and video.template is None:
                    self.source.learn(video, count, frames)
                return frames, frame_positions, _label(video), np.True_
            except BadVideoError as error:
                self.unreadable.add(video.path, str(error))
            if self.unreadable.policy == "skip":
                return np.zeros((0, 1, 1, 3), np.uint8), frame_positions, np.int32(-1), np.False_
            video = self.videos[choice.integers(len(self.videos))]
        raise BadVideoError(
            f"Of {_MAX_REPLACEMENTS} videos in a row one must be readable. "
            f"Received:\n{self.unreadable.summary()}"
        )


def _label(video):
    return np.int32(-1 if video.label is None else video.label)
