"""Exact frames of a video file."""

import os
import stat

# Bad files are reported by this module; libav would add hundreds of lines to stderr for each.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

# Containers without an index report numbers up to 1e18, positive and negative.
_MAX_FRAMES = 1_000_000


class BadVideoError(ValueError):
    """A file that does not give the frames of a video."""


def check_video_file(path):
    """Checks that a path can be opened as a video without harm.

    OpenCV waits for ever on a FIFO and crashes on a name that is not UTF-8, so neither may
    reach it.

    Args:
        path: str or path. The file.

    Returns:
        The absolute path, a str: OpenCV takes `a:b.mp4` for a protocol, `/c/a:b.mp4` not.

    Raises:
        BadVideoError: the path is missing, not a regular file, empty or not named in UTF-8.
    """
    try:
        path = os.path.abspath(os.fspath(path))
        path.encode("utf-8")
        status = os.stat(path)
    except UnicodeEncodeError:
        raise _bad(path, "a name that is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise _bad(path, getattr(error, "strerror", None) or error) from None
    if not stat.S_ISREG(status.st_mode):
        raise _bad(path, "not a regular file")
    if status.st_size == 0:
        raise _bad(path, "an empty file")
    return path


def read_frames(path, sampler):
    """Reads the frames a sampler chooses.

    All frames are decoded from the first to the last: seeking is off by up to 24 frames in files
    of variable rate or with B-frames, and the number of frames a container states is often
    wrong. When it is, the sampler is asked again with the true number, in a second pass.

    Args:
        path: str or path. The file.
        sampler: callable. `sampler(num_frames)` returns the indices, ints within
            `0 .. num_frames - 1` in any order. It may be called twice and must then depend on
            nothing but its argument.

    Returns:
        uint8 array of shape `(len(indices), height, width, 3)`, RGB. When the size changes
        within the stream, OpenCV scales to the size of the first frame.

    Raises:
        BadVideoError: the file fails `check_video_file`, holds no frame, is a picture, is damaged
            in the middle, or is truncated: shorter than its container says, in bytes and in
            frames. (Fewer frames alone are no fault: files of variable rate, files with B-frames
            and files cut without encoding state too many.)
    """
    path = check_video_file(path)
    try:
        stated, count, frames = _scan(path, sampler)
        if count == 0:
            raise _bad(path, "a file without a frame that can be decoded")
        if count < stated and _stated_bytes(path) > os.path.getsize(path):
            raise _bad(path, f"a truncated file, {count} of {stated} frames")
        if count == 1 and stated <= 0:
            raise _bad(path, "a picture")
        if count != stated:
            _, _, frames = _scan(path, sampler, count)
    except (cv2.error, MemoryError) as error:
        raise _bad(path, f"a file whose frames cannot be held ({error})") from None
    return frames


def _bad(path, received):
    return BadVideoError(
        f"A video must be a regular file with frames that can be decoded. "
        f"Received: {path!r}: {received}"
    )


def _scan(path, sampler, count=None):
    """Decodes a file once: number of frames stated and found, and the frames sampled.

    Without `count`, the sampler gets the stated number if it is plausible, and decoding goes on
    to the end to find the true one.
    """
    # A thread for each of many captures only makes them wait for each other.
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise _bad(path, "a file that is not a video")
        stated = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if count is None else count
        indices = sampler(stated) if 1 <= stated <= _MAX_FRAMES else ()
        end = max(indices, default=0) + 1 if count else None
        places = {}
        for place, index in enumerate(indices):
            places.setdefault(int(index), []).append(place)
        frames = None
        missing = set(places)
        found = 0
        while found != end and capture.grab():
            if found in places:
                decoded, frame = capture.retrieve()
                if not decoded:
                    raise _bad(path, f"a damaged file, frame {found} cannot be decoded")
                if frames is None:
                    frames = np.empty((len(indices), *frame.shape), np.uint8)
                frames[places[found]] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                missing.remove(found)
            found += 1
        # grab() gives up where libav reports too many errors, though frames may follow.
        if found != end and capture.grab():
            raise _bad(path, f"a damaged file, it breaks off after {found} frames and goes on")
    finally:
        capture.release()
    if missing and count:
        raise _bad(path, f"a file that has {count} frames once and {found} the next time")
    return stated, found, frames


def _stated_bytes(path):
    """Bytes a file must have by its own container: RIFF (avi), Matroska (webm, mkv) or mp4.

    Returns 0 where the container does not say (MPEG-TS, live webm).
    """
    with open(path, "rb") as file:
        head = file.read(4096)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little")
        if head[:4] == b"\x1aE\xdf\xa3":
            return _matroska_bytes(head)
        if head[4:8] == b"ftyp":
            return _mp4_bytes(file, os.path.getsize(path))
    return 0


def _matroska_bytes(head):
    """An EBML header, then one Segment: identifier, size, content."""
    size, start = _ebml_size(head, 4)
    segment = start + size
    if head[segment : segment + 4] != b"\x18S\x80g":
        return 0
    size, start = _ebml_size(head, segment + 4)
    return start + size


def _ebml_size(data, position):
    """The number whose length in bytes is told by its leading zero bits, and where it ends."""
    length = 9 - data[position].bit_length()
    value = int.from_bytes(data[position : position + length], "big")
    limit = 1 << 7 * length
    value &= limit - 1
    # All ones: a live stream, of unknown size.
    return 0 if value == limit - 1 else value, position + length


def _mp4_bytes(file, size):
    """A row of boxes: size in 4 bytes, type in 4; size 1 means 8 more bytes of size, 0 the rest."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            break
        position += length
    return position
