"""Videos as users hold them: files, bytes, folders of frames, arrays, iterables; one or many."""

import itertools
import os

import numpy as np

from smallbig_keras.data.annotations.video import Video, as_videos
from smallbig_keras.errors import SmallBigError

_KINDS = (
    "a path of a video file or of a folder of frames, bytes, an open file, a `Video`, frames "
    "`(frames, height, width, 3)`, or an iterable of frames"
)


def open_videos(videos):
    """Tells one video from many.

    Args:
        videos: one video, or an iterable of videos; see `as_video`. An array
            `(videos, frames, height, width, 3)` is many.

    Returns:
        `(iterator, one)`: videos for `read_video`, and whether one was given.

    Raises:
        SmallBigError: it is neither; that of a later one is raised when the iterator reaches it.
    """
    one = isinstance(videos, str | os.PathLike | bytes | Video) or hasattr(videos, "read")
    if one or _is_array(videos, 4):
        return iter([as_video(videos)]), True
    if isinstance(videos, dict) or not hasattr(videos, "__iter__"):
        raise _wrong(videos)
    items = iter(videos)
    first = next(items, None)
    if first is None:
        return iter(()), False
    items = itertools.chain([first], items)
    if _is_array(first, 3):
        return iter([as_video(items)]), True
    return map(as_video, items), False


def as_video(video):
    """Returns what `read_video` takes: a `Video`, bytes, an open file, or a uint8 array."""
    if isinstance(video, Video | bytes) or hasattr(video, "read"):
        return video
    if isinstance(video, str | os.PathLike):
        return as_videos([video])[0]
    if isinstance(video, dict) or not (hasattr(video, "__array__") or hasattr(video, "__iter__")):
        raise _wrong(video)
    if not hasattr(video, "__array__"):
        frames = [_to_numpy(frame) for frame in video]
        shapes = {frame.shape for frame in frames}
        if len(shapes) != 1:
            raise SmallBigError(
                "Frames must be of one shape `(height, width, 3)`. "
                f"Received: {', '.join(map(str, sorted(shapes))) or 'no frame'}"
            )
        video = np.stack(frames)
    return _check_frames(_to_numpy(video))


def _check_frames(frames):
    """Returns frames as uint8, if they are RGB values from 0 to 255."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise SmallBigError(
            f"Frames must be `(frames, height, width, 3)`. Received: shape={frames.shape}"
        )
    if frames.dtype == np.uint8:
        return frames
    numbers = frames.dtype.kind in "iuf"
    low, high = (float(frames.min()), float(frames.max())) if numbers else (np.nan, np.nan)
    # Values from 0 to 1 are the likeliest mistake, and would all be black.
    scaled = frames.dtype.kind == "f" and 0 < high <= 1
    if not (0 <= low and high <= 255) or scaled:
        hint = " Multiply them by 255." if scaled and low >= 0 else ""
        raise SmallBigError(
            f"Frames must be RGB values from 0 to 255.{hint} "
            f"Received: {frames.dtype} values from {low:g} to {high:g}"
        )
    return np.rint(frames).astype(np.uint8)


def _is_array(value, axes):
    shape = getattr(value, "shape", None)
    if shape is None and hasattr(value, "__array_interface__"):
        shape = value.__array_interface__["shape"]
    return shape is not None and len(shape) == axes


def _to_numpy(value):
    # A tensor of PyTorch may be on a device or need gradients.
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _wrong(video):
    return SmallBigError(
        f"A video must be {_KINDS}. Received: {type(video).__name__} {video!r:.80}"
    )
