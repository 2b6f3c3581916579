"""Exact frames of a video file."""

from collections import defaultdict

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from smallbig_keras.data.scanning import count_frames, scan
from smallbig_keras.data.video_file import VideoFile
from smallbig_keras.errors import SmallBigError

# Frames that are decoded on the way to the next wanted one, before a seek costs less.
_SHORT_WAY = 12


def read_frames(video, sampler, times=None):
    """Reads the frames that a sampler chooses.

    The packets of the file tell how many frames there are and when each is shown. The frames are
    found by their times, from the key frame before them on. Where times are missing, repeated or
    guessed, and where a frame does not come at its time, all frames are decoded from the first
    one on and counted.

    Args:
        video: str, path, bytes or binary file. The file, or its content.
        sampler: callable, such as a `Sampler`. `sampler(num_frames)` returns the indices, ints
            within `0 .. num_frames - 1` in any order, an array of any shape. It may be called
            twice and must then depend on nothing but its argument.
        times: FrameTimes. Those of this file, which spare the reading of all packets. Defaults to
            `None`.

    Returns:
        uint8 array of the shape of the indices with `(height, width, 3)` behind it, RGB, by matrix
        and range of the stream, turned upright where the file says how. Frames of another size
        are scaled to that of the first one.

    Raises:
        BadVideoError: the file fails `check_video_file`, is no video, is cut off, or is damaged
            where the chosen frames are.
        SmallBigError: `video` is none of these, or the sampler chooses frames that are not there.
    """
    return read_with_times(video, sampler, times)[0]


def read_with_times(video, sampler, times=None):
    """Does `read_frames`; returns `(frames, times)`, times that spare later reads the scan."""
    with VideoFile(video) as file:
        known = times is not None
        times = times or scan(file)
        indices = _choose(sampler, times)
        try:
            if times.times:
                try:
                    return _read_by_time(file, times, indices, at_start=known), times
                except _NotMetError:
                    times = count_frames(file)
                    indices = _choose(sampler, times)
            return _read_in_order(file, times, indices), times
        except MemoryError as error:
            raise file.bad(f"a file whose frames cannot be held ({error})") from None


def _choose(sampler, times):
    indices = np.asarray(sampler(times.count))
    whole = indices.size and np.issubdtype(indices.dtype, np.integer)
    if not whole or indices.min() < 0 or indices.max() >= times.count:
        raise SmallBigError(
            f"A sampler must choose one or more of the frames 0 to {times.count - 1}, as whole "
            f"numbers. Received: {indices.tolist()!r:.200}"
        )
    return indices


class _NotMetError(Exception):
    """A frame does not come at its time."""


def _read_by_time(file, times, indices, at_start):
    times, keys = times.unpack()
    frames = _Frames(file, times[indices], fixed=True)
    wanted = np.unique(times[indices])
    nearest = np.maximum(np.searchsorted(keys, wanted, "right") - 1, 0)
    # Frames between a wanted one and the key frame before the next one: they are decoded, too,
    # where they are few.
    between = np.searchsorted(times, keys[nearest[1:]]) - np.searchsorted(times, wanted[:-1])
    parts = np.flatnonzero(between > _SHORT_WAY) + 1
    for group, key in zip(np.split(wanted, parts), nearest[[0, *parts]], strict=True):
        # Some seeks land behind the key frame: from the one before, the way leads to it.
        starts = dict.fromkeys([*keys[[key, max(0, key - 1)]].tolist(), None])
        if at_start and key == 0:
            starts = [None]
        at_start = False
        if not any(_decode(file, start, group.tolist(), frames) for start in starts):
            raise _NotMetError
    return frames.array


def _decode(file, start, wanted, frames):
    """Decodes frames of sorted times from a key frame on, None is the beginning of the file.

    Returns:
        bool. False if one of them did not come, or the key frame is behind the first one.
    """
    left = set(wanted)
    try:
        if start is None:
            file.rewind()
        else:
            file.container.seek(start, stream=file.stream)
        file.open_decoder()
        context, skip, begun = file.stream.codec_context, None, start is None
        for packet in file.container.demux(file.stream):
            if not packet.size:
                break
            time = packet.pts
            if not begun:
                if not packet.is_keyframe:
                    continue
                if time is None or time > wanted[0]:
                    return False
                begun = True
            if packet.is_corrupt:
                raise file.bad(f"a damaged file, {file}: a damaged packet where the clip is")
            # Pictures that no other one refers to are not needed on the way.
            if skip != (skip := "DEFAULT" if time in left else "NONREF"):
                context.skip_frame = skip
            for frame in packet.decode():
                if frame.pts in frames.missing:
                    frames.take(frame.pts, frame)
            left.discard(time)
            if not left:
                break
        context.skip_frame = "DEFAULT"
        for frame in file.stream.decode(None):
            if frame.pts in frames.missing:
                frames.take(frame.pts, frame)
    except av.FFmpegError:
        return False
    return frames.missing.isdisjoint(wanted)


def iterate_frames(video):
    """Yields all frames of a video file, as `read_frames` gives them, one at a time."""
    with VideoFile(video) as file:
        scan(file)
        reformatter, shape = VideoReformatter(), None
        for frame in file.frames():
            shape = shape or (frame.width, frame.height)
            yield to_rgb(frame, reformatter, *shape)


def _read_in_order(file, times, indices):
    frames, last = _Frames(file, indices), int(indices.max())
    for index, frame in enumerate(file.frames()):
        if index == 0:
            frames.shape = frame.width, frame.height
        if index in frames.missing:
            frames.take(index, frame)
        if index == last:
            return frames.array
    raise file.bad(f"a file of {index + 1} frames where {times.count} are expected")


class _Frames:
    """The array of frames, as RGB and upright, and which of them are missing.

    Args:
        file: VideoFile.
        keys: array. What tells the frame of each place in the array.
        fixed: bool. True if a frame of another size than the file states is a `_NotMetError`,
            False if frames are scaled to `shape`, that of the first one. Defaults to `False`.
    """

    def __init__(self, file, keys, fixed=False):
        self.file, self.shape, self.array = file, file.shape, None
        self._places = defaultdict(list)
        self._counts = keys.shape
        for place, key in enumerate(keys.ravel().tolist()):
            self._places[key].append(place)
        self.missing = set(self._places)
        self._fixed = fixed
        self._reformatter = VideoReformatter()

    def take(self, key, frame):
        """Puts a missing frame where it belongs."""
        if self._fixed and (frame.width, frame.height) != self.shape:
            raise _NotMetError
        if frame.is_corrupt:
            raise self.file.bad(f"a damaged file, {self.file}: a damaged frame")
        picture = to_rgb(frame, self._reformatter, *self.shape)
        if self.array is None:
            self.array = np.empty((*self._counts, *picture.shape), np.uint8)
        places = self.array.reshape(-1, *picture.shape)
        for place in self._places[key]:
            places[place] = picture
        self.missing.discard(key)


def to_rgb(frame, reformatter, width, height):
    """Returns a decoded frame as an upright uint8 array `(height, width, 3)`, read-only."""
    plain = _without_fields(frame) if frame.interlaced_frame else frame
    converted = reformatter.reformat(plain, width, height, "rgb24", threads=1)
    # A view: `to_ndarray` makes a copy.
    (plane,) = converted.planes
    picture = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)[:, : 3 * width]
    picture = picture.reshape(height, width, 3)
    turns = round(frame.rotation / 90)
    return np.rot90(picture, turns) if turns else picture


def _without_fields(frame):
    """Returns a copy of an interlaced frame that is converted as a whole, as `ffmpeg` does."""
    plain = av.VideoFrame(frame.width, frame.height, frame.format.name)
    plain.colorspace, plain.color_range = frame.colorspace, frame.color_range
    for source, target in zip(frame.planes, plain.planes, strict=True):
        rows = np.zeros((target.height, target.line_size), np.uint8)
        width = min(source.line_size, target.line_size)
        content = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
        rows[:, :width] = content[: target.height, :width]
        target.update(rows)
    return plain
