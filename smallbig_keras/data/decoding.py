"""Exact frames of a video file."""

import io
import os
import stat

# This module reports unreadable files; libav would add hundreds of lines to stderr for each.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from smallbig_keras.data.containers import (  # noqa: E402
    begins_like_picture,
    ends_in_zeros,
    is_matroska,
    is_multi_picture,
    stated_bytes,
)
from smallbig_keras.errors import SmallBigError

# Containers without an index report numbers up to 1e18, positive and negative.
_MAX_FRAMES = 1_000_000
# OpenCV itself goes as far back before the frame it seeks: up to here seeking gains nothing.
SHORT_WAY = 16
# Attempts to read on at the end of a file, with and without a stated length.
_TRIES, _MANY_TRIES = 10, 1000
# Smallest gap that counts as damage in a stream of regular times, in milliseconds and in frames,
# and at its end, where sound may go on, in milliseconds and as a part of its length.
_GAP = 500, 10
_END = 1000, 0.2


class BadVideoError(SmallBigError):
    """A file that does not give the frames of a video."""

    @classmethod
    def about(cls, video, received):
        """Returns the error for a video, a path or bytes, with the reason `received`."""
        memory = isinstance(video, bytes)
        name = f"{len(video)} bytes in memory" if memory else repr(os.path.abspath(video))
        return cls(
            "A video must be a regular file with frames that can be decoded. "
            f"Received: {name}: {received}"
        )


def check_video_file(path):
    """Returns the absolute path of a file that can be opened as a video without harm."""
    # OpenCV waits for ever on a FIFO and crashes on a name that is not UTF-8. It takes `a:b.mp4`,
    # but not `/c/a:b.mp4`, for a protocol.
    try:
        path = os.path.abspath(os.fspath(path))
        path.encode("utf-8")
        status = os.stat(path)
    except UnicodeEncodeError:
        raise BadVideoError.about(path, "a name that is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise BadVideoError.about(path, getattr(error, "strerror", None) or error) from None
    if not stat.S_ISREG(status.st_mode):
        raise BadVideoError.about(path, "not a regular file")
    if status.st_size == 0:
        raise BadVideoError.about(path, "an empty file")
    return path


def read_frames(video, sampler, num_frames=None, exact_seek=False):
    """Reads the frames a sampler chooses.

    All frames are decoded from the first one on: seeking is off by up to 24 frames in files of
    variable rate or with B-frames, and the number of frames a container states is often wrong.
    When it is, the sampler is asked again with the true number, in a second pass. The results of
    `probe_video` spare the frames after the last one sampled, and those before the first one.

    Args:
        video: str, path or bytes. The file, or its content.
        sampler: callable. `sampler(num_frames)` returns the indices, ints within
            `0 .. num_frames - 1` in any order. It may be called twice and must then depend on
            nothing but its argument.
        num_frames: int. Number of frames that decoding the whole file gave. Defaults to `None`,
            not known: the file is decoded to its end.
        exact_seek: bool. True if seeking was found exact for this file: frames before the first
            one sampled are skipped. Needs `num_frames`. Defaults to `False`.

    Returns:
        uint8 array of shape `(len(indices), height, width, 3)`, RGB, turned upright where the
        file says how. When the size changes within the stream, OpenCV scales to the size of the
        first frame.

    Raises:
        BadVideoError: the file fails `check_video_file`, holds no frame, is a picture, is damaged
            in the middle, has fewer frames than `num_frames`, or is truncated: shorter than its
            container says, in bytes and in frames. (Fewer frames alone are no fault: files of
            variable rate, files with B-frames and files cut without encoding state too many.)
        SmallBigError: `exact_seek` without `num_frames`.
    """
    if exact_seek and num_frames is None:
        raise SmallBigError("`exact_seek` needs `num_frames`. Received: num_frames=None")
    try:
        if num_frames is None:
            with VideoReader(video) as reader:
                indices = sampler(reader.stated) if reader.stated else ()
                frames = _collect(reader.walk(indices), indices)
                count = reader.check_whole()
            if count == reader.stated:
                return frames
            num_frames = count
        indices = sampler(num_frames)
        with VideoReader(video) as reader:
            if exact_seek:
                reader.seek(min(indices))
            frames = _collect(reader.walk(indices, max(indices) + 1), indices)
            if reader.count <= max(indices):
                raise reader.bad(f"a file of {reader.count} frames where {num_frames} are expected")
    except (cv2.error, MemoryError) as error:
        raise BadVideoError.about(video, f"a file whose frames cannot be held ({error})") from None
    return frames


class VideoReader:
    """An open video: `stated` frames by its container, 0 if not plausible, and `count` passed."""

    def __init__(self, video):
        if not isinstance(video, bytes):
            video = check_video_file(video)
        self.video = video
        self.count = 0
        self._times = []
        self._open()
        if self._is_picture():
            self._capture.release()
            raise self.bad("a picture")
        if not self._capture.isOpened():
            self._capture.release()
            raise self.bad("a file that is not a video")
        # Some versions of OpenCV do not turn pictures upright unless told.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._header = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.stated = self._header if 1 <= self._header <= _MAX_FRAMES else 0

    def _open(self):
        stream = io.BytesIO(self.video) if isinstance(self.video, bytes) else None
        # A thread for each of many captures only makes them wait for each other.
        options = [cv2.CAP_PROP_N_THREADS, 1]
        self._capture = cv2.VideoCapture(stream or self.video, cv2.CAP_FFMPEG, options)
        # OpenCV does not keep the stream alive, and crashes when it is gone before the capture.
        self._stream = stream

    def _is_picture(self):
        """Tells a picture from a film; the decoders tell by the name, and not all of them."""
        try:
            with self._file() as file:
                if not begins_like_picture(file):
                    return False
                if is_multi_picture(file):
                    return True
        except OSError:
            # The decoder cannot read it, either.
            return False
        # A film of such pictures, as MJPEG and APNG, goes on.
        if not (self._capture.grab() and self._capture.grab()):
            return True
        self._capture.release()
        self._open()
        return False

    def _file(self):
        return io.BytesIO(self.video) if isinstance(self.video, bytes) else open(self.video, "rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._capture.release()

    def bad(self, received):
        """Returns the `BadVideoError` for this video."""
        return BadVideoError.about(self.video, received)

    def seek(self, index):
        """Goes to a frame, exactly where `probe_video` found so; before `walk`."""
        if index > SHORT_WAY:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            self.count = int(index)

    def walk(self, wanted=None, end=None):
        """Yields `(index, frame)`, BGR, of the wanted frames before `end`; None is all."""
        wanted = None if wanted is None else {int(index) for index in wanted}
        while self.count != end and self._capture.grab():
            if wanted is None or self.count in wanted:
                decoded, frame = self._capture.retrieve()
                if not decoded:
                    raise self.bad(f"a damaged file, frame {self.count} cannot be decoded")
                yield self.count, frame
            self.count += 1
            self._times.append(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        # grab() gives up at a frame that VP9's decoder refuses, and after 64 errors of others,
        # though frames may follow.
        tries = max(_TRIES, self.stated - self.count) if self.stated else _MANY_TRIES
        if self.count != end and any(self._capture.grab() for _ in range(tries)):
            raise self.bad(f"a damaged file, it breaks off after {self.count} frames and goes on")

    def check_whole(self):
        """Checks that the frames that `walk` passed are a whole video; returns their number."""
        if self.count == 0:
            raise self.bad("a file without a frame that can be decoded")
        if self.count < self._header:
            with self._file() as file:
                if stated_bytes(file) > file.seek(0, os.SEEK_END) or ends_in_zeros(file):
                    raise self.bad(f"a truncated file, {self.count} of {self._header} frames")
                if is_matroska(file):
                    self._check_times()
        if self.count == 1 and self._header <= 0:
            raise self.bad("a picture")
        return self.count

    def _check_times(self):
        """Tells lost frames from a variable rate: the others come regularly."""
        times = np.array(self._times)
        gaps = np.diff(times)
        if len(gaps) < 2:
            return
        usual = np.median(gaps)
        # Times are in whole milliseconds.
        if np.mean(np.abs(gaps - usual) < 2) < 0.9:
            return
        lost = gaps.argmax()
        stop = 1000 * self._header / self._capture.get(cv2.CAP_PROP_FPS)
        if gaps[lost] > max(_GAP[0], _GAP[1] * usual):
            missing = times[lost], times[lost + 1]
        elif stop - times[-1] > max(_END[0], _END[1] * stop):
            missing = times[-1], stop
        else:
            return
        start, stop = (value / 1000 for value in missing)
        raise self.bad(f"a damaged file, no frame from {start:.1f} s to {stop:.1f} s")


def _collect(found, indices):
    """Puts frames in the order of `indices`, as RGB; `None` if there are none."""
    positions = {}
    for position, index in enumerate(indices):
        positions.setdefault(int(index), []).append(position)
    frames = None
    for index, frame in found:
        if frames is None:
            frames = np.empty((len(indices), *frame.shape), np.uint8)
        frames[positions[index]] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    return frames
