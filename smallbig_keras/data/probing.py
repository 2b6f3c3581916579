"""What decoding a video once tells for all later times."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np

from smallbig_keras.data.decoding import SHORT_WAY, BadVideoError, VideoReader

_PLACES = 8


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video that was decoded from its first frame to its last.

    Facts are equal if they say the same of the frames.

    Args:
        num_frames: int. Frames that decoding gives, 0 if there is an error.
        width: int. Pixels, upright.
        height: int. Pixels, upright.
        exact_seek: bool. Whether seeking gave the same frames as decoding in order, at several
            places.
        error: str or None. What is wrong with the file.
        bytes: int. Size of the file, by which facts of an older file of that name are known.
            Defaults to `None`: there is no file, or it is a folder.
    """

    num_frames: int
    width: int
    height: int
    exact_seek: bool
    error: str | None
    bytes: int | None = field(default=None, compare=False)


def probe_video(video):
    """Counts the frames of a video and tries whether seeking finds them.

    Frames are told apart by a hash of their pixels. Where too few of them differ from all others,
    as in a still, nothing shows whether seeking is exact, and it counts as not exact.

    Args:
        video: str, path or bytes. The file, or what it holds.

    Returns:
        `VideoInfo`. A file that `read_frames` would refuse has an `error` and no frames; none
        is raised.
    """
    size = len(video) if isinstance(video, bytes) else file_bytes(video)
    try:
        hashes = []
        with VideoReader(video) as reader:
            for _, frame in reader.walk():
                height, width = frame.shape[:2]
                hashes.append(_hash(frame))
            count = reader.check_whole()
        return VideoInfo(count, width, height, _seeks_exactly(video, hashes), None, size)
    except BadVideoError as error:
        return VideoInfo(0, 0, 0, False, str(error), size)
    except (cv2.error, MemoryError) as error:
        bad = BadVideoError.about(video, f"a file whose frames cannot be held ({error})")
        return VideoInfo(0, 0, 0, False, str(bad), size)


def file_bytes(path):
    """Asks for the size of a file.

    Args:
        path: str or path.

    Returns:
        int, or None where there is no file.
    """
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None


def _seeks_exactly(video, hashes):
    times = Counter(hashes)
    sought = range(SHORT_WAY + 1, len(hashes))
    alone = [index for index in sought if times[hashes[index]] == 1]
    if len(alone) < min(_PLACES, len(sought)):
        return False
    if not alone:
        return True
    # The last frame is one of them: a wrong rate shows there most.
    for place in np.unique(np.linspace(0, len(alone) - 1, _PLACES).astype(int)):
        index = alone[place]
        try:
            with VideoReader(video) as reader:
                reader.seek(index)
                found = [_hash(frame) for _, frame in reader.walk([index], index + 1)]
        except BadVideoError:
            return False
        if found != [hashes[index]]:
            return False
    return True


def _hash(frame):
    return hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
