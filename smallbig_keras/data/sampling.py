"""Which frames of a video make a clip: pure functions from a number of frames to indices."""

import numpy as np


def segment_train(num_frames, segments, rng):
    """Draws one random frame from each of equal segments (SmallBigNet, CVPR 2020, section 6).

    Segment `i` of `T` is `floor(n i / T) .. floor(n (i + 1) / T) - 1`, so that together they hold
    every frame; the authors' code uses segments of `floor(n / T)` frames and never sees the last
    `n mod T`. A video of fewer frames than segments has no frames to choose between and gives
    `segment_centre`, where the authors' code repeats the first frame.

    Args:
        num_frames: int. Frames in the video, `n`.
        segments: int. Frames in the clip, `T`.
        rng: `numpy.random.Generator`. It is used for one draw per segment.

    Returns:
        int64 array of shape `(segments,)`, not decreasing, within `0 .. num_frames - 1`.

    Raises:
        ValueError: `num_frames` or `segments` is below 1.
    """
    _check(num_frames, segments)
    if num_frames < segments:
        return segment_centre(num_frames, segments)
    bounds = num_frames * np.arange(segments + 1, dtype=np.int64) // segments
    return rng.integers(bounds[:-1], bounds[1:])


def segment_centre(num_frames, segments):
    """Takes the middle frame of each of equal segments: `floor((i + 0.5) n / T)`.

    It is TSM's formula `int(tick / 2 + tick i)` with `tick = n / T`; the authors' code validates
    with `tick = (n - 1) / T`, which is at most one frame earlier, and repeats the first frame
    when the video has fewer frames than segments, where this one repeats frames evenly.

    Args:
        num_frames: int. Frames in the video, `n`.
        segments: int. Frames in the clip, `T`.

    Returns:
        int64 array of shape `(segments,)`, not decreasing, within `0 .. num_frames - 1`.

    Raises:
        ValueError: `num_frames` or `segments` is below 1.
    """
    _check(num_frames, segments)
    # In integers: (i + 0.5) n / T rounds differently in floating point for some n.
    return (2 * np.arange(segments, dtype=np.int64) + 1) * num_frames // (2 * segments)


def _check(num_frames, segments):
    if num_frames < 1 or segments < 1:
        raise ValueError(
            "A clip needs at least one frame of a video of at least one frame. "
            f"Received: num_frames={num_frames}, segments={segments}"
        )
