"""Where the frames of clips come from."""

import copy
import os

import numpy as np
import tensorflow as tf

from smallbig_keras.data.annotations.video import warn
from smallbig_keras.data.decoding import BadVideoError, check_video_file, read_frames
from smallbig_keras.data.frame_folders import (
    count_frames,
    frame_file,
    read_frame_folder,
    read_images,
)
from smallbig_keras.data.probing import VideoInfo, file_bytes
from smallbig_keras.data.sampling import frames_to_read

_MAX_REPLACEMENTS = 10


class VideoSource:
    """Clips from a list of videos, both files and folders of frames.

    `clip_dataset` takes any object with `len()`, the clips of an epoch, `has_labels`, whether
    all of them have labels, and the method `clips`; evaluation also asks for `ids` and `labels`.

    Args:
        videos: list of `Video`.
        facts: dict. What `probe_video` found out, by path: it spares the decoding of frames
            that are not sampled, and a bad file is not opened again. Facts of a file that has
            another size by now are not used, with an `AnnotationWarning`. Defaults to `None`.
    """

    def __init__(self, videos, facts=None):
        self.videos = list(videos)
        self._facts = {os.path.abspath(path): known for path, known in (facts or {}).items()}
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
        """bool. Whether all videos have labels."""
        return all(video.label is not None for video in self.videos)

    def select(self, places):
        """Takes some of the videos.

        Args:
            places: iterable of ints. Their places in the list, in the order wanted.

        Returns:
            `VideoSource` that knows what this one knows of them.
        """
        source = copy.copy(self)
        source.videos = [self.videos[place] for place in places]
        return source

    def facts_of(self, video):
        """Looks up what is known of a video.

        Args:
            video: `Video`.

        Returns:
            `VideoInfo`, or None where nothing is known of the file that is there now.
        """
        path, size = os.path.abspath(video.path), file_bytes(video.path)
        facts, counted = self._facts.get(path), self._counted.get(path)
        # No size: nothing cheap tells whether the frames of a folder are still the same.
        if facts is not None and facts.bytes is not None:
            if facts.bytes == size:
                return facts
            if not self._warned:
                self._warned = True
                warn(
                    "Videos that changed since they were indexed are read as if they were not; "
                    f"`prepare.py index` brings the index up to date. Received: {video.path!r}"
                )
        return counted if counted is not None and counted.bytes == size else None

    def learn(self, video, num_frames, frames):
        """Notes what decoding a file to its end has shown: later epochs need not go so far.

        Args:
            video: `Video`, a file.
            num_frames: int. Frames that decoding gave.
            frames: array `(n, height, width, 3)`. Some of them.
        """
        height, width = frames.shape[1:3]
        size = file_bytes(video.path)
        known = VideoInfo(num_frames, width, height, False, None, size)
        self._counted[os.path.abspath(video.path)] = known

    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        """Makes the clips of one epoch: in training in random order, else in that of the list.

        Args:
            epoch: int64 tensor of shape `()`.
            sampler: `Sampler`.
            unreadable: `UnreadableVideos`.
            num_parallel_calls: int. Videos decoded at once.

        Returns:
            `tf.data.Dataset` of `(frames, places, label, index)`: the frames read, uint8
            `(read, height, width, 3)`, RGB; the place in them of each frame of each clip, int64
            `(clips, frames)`; int32 class id, -1 if unknown; and int64 place in the list,
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
                files, places, label = tf.numpy_function(
                    reader.files, (epoch, index), (tf.string, *types[1:3]), stateful=False
                )
                frames = read_images(tf.ensure_shape(files, (None,)))
                decoded = [frames, places, label, tf.constant(True)]
                # What is not a folder of good pictures goes the way that names the file.
                clip = tf.cond(tf.shape(frames)[0] > 0, lambda: decoded, read)
            else:
                clip = read()
            frames, places, label, good = clip
            return (
                tf.ensure_shape(frames, (None, None, None, 3)),
                tf.ensure_shape(places, (sampler.clips, sampler.frames)),
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


def read_video(video, sampler, facts=None):
    """Reads frames of a file or of a folder.

    Args:
        video: `Video`. The number of frames is taken for folders only: that of a file is the
            one that decoding gives.
        sampler: callable. `sampler(num_frames)` returns the indices, see `read_frames`.
        facts: `VideoInfo`. Defaults to `None`.

    Returns:
        uint8 array of shape `(len(indices), height, width, 3)`, RGB.

    Raises:
        BadVideoError: the frames cannot be read.
    """
    if video.template is not None:
        return read_frame_folder(video.path, video.template, sampler, video.num_frames)
    if facts is None:
        return read_frames(video.path, sampler)
    if facts.error is not None:
        raise BadVideoError(facts.error)
    return read_frames(video.path, sampler, facts.num_frames, facts.exact_seek)


class _Reader:
    """Reads the clips of the video at `(epoch, index)`."""

    def __init__(self, source, sampler, unreadable):
        self.source = source
        self.videos = source.videos
        self.sampler = sampler
        self.unreadable = unreadable
        self.no_places = np.zeros((sampler.clips, sampler.frames), np.int64)

    def files(self, epoch, index):
        """`(files, places, label)`; no files where they are not those of a folder, or not there."""
        video = self.videos[index]
        try:
            if video.template is not None:
                count = video.num_frames or count_frames(video.path, video.template)
                wanted, places = frames_to_read(self.sampler(count, epoch, index))
                files = [frame_file(video.path, video.template, i) for i in wanted]
                files = [check_video_file(file).encode() for file in files]
                return np.array(files, object), places, _label(video)
        except BadVideoError:
            pass
        return np.array([], object), self.no_places, np.int32(-1)

    def read(self, epoch, index):
        """`(frames, places, label, whether they are good)`, by the policy for bad clips."""
        choice = np.random.default_rng((self.sampler.seed, int(epoch), int(index), 1))
        video = self.videos[index]
        places, count = self.no_places, 0

        def sample(num_frames):
            nonlocal places, count
            wanted, places = frames_to_read(self.sampler(num_frames, epoch, index))
            count = num_frames
            return wanted

        for _ in range(_MAX_REPLACEMENTS):
            try:
                facts = self.source.facts_of(video)
                frames = read_video(video, sample, facts)
                if facts is None and video.template is None:
                    self.source.learn(video, count, frames)
                return frames, places, _label(video), np.True_
            except BadVideoError as error:
                self.unreadable.add(video.path, str(error))
            if self.unreadable.policy == "skip":
                return np.zeros((0, 1, 1, 3), np.uint8), places, np.int32(-1), np.False_
            video = self.videos[choice.integers(len(self.videos))]
        raise BadVideoError(
            f"Of {_MAX_REPLACEMENTS} videos in a row one must be good. Received:\n"
            + "\n".join(self.unreadable.report())
        )


def _label(video):
    return np.int32(-1 if video.label is None else video.label)
