"""The frames of a clip: pure functions from a number of frames to indices.

Indices count from 0, are int64 and never decrease within a clip, but where the authors' rule
starts again from the first frame. `n` is the number of frames in the video, `T` of frames in a
clip, `s` the stride, `N` the number of clips.
"""

from dataclasses import dataclass

import numpy as np

from smallbig_keras.errors import SmallBigError, did_you_mean

_RULES = ("even", "reference")


def segment_train(num_frames, segments, rng, rule="even"):
    """Draws one random frame from each of equal segments (SmallBigNet, CVPR 2020, section 6).

    Segment `i` is `floor(n i / T) .. floor(n (i + 1) / T) - 1`, so that together they hold every
    frame; with `rule="reference"` it is the authors' `i floor(n / T) .. (i + 1) floor(n / T) - 1`,
    which never sees the last `n mod T` frames. A video of fewer frames than segments has no
    frames to choose between and gives `segment_centre`, where the authors' code repeats the
    first frame.

    Args:
        num_frames: int. Frames in the video, `n`.
        segments: int. Frames in the clip, `T`.
        rng: `numpy.random.Generator`. It is used for one draw per segment.
        rule: str. `"even"` or `"reference"`. Defaults to `"even"`.

    Returns:
        int64 array of shape `(segments,)`, within `0 .. num_frames - 1`.

    Raises:
        SmallBigError: `num_frames` or `segments` is below 1, or `rule` is another word.
    """
    _check(rule, num_frames=num_frames, segments=segments)
    if num_frames < segments:
        return segment_centre(num_frames, segments)
    steps = np.arange(segments + 1, dtype=np.int64)
    even = rule == "even"
    bounds = num_frames * steps // segments if even else num_frames // segments * steps
    return rng.integers(bounds[:-1], bounds[1:])


def segment_centre(num_frames, segments, rule="even"):
    """Takes the middle frame of each of equal segments: `floor((i + 0.5) n / T)`.

    It is TSM's formula `int(tick / 2 + tick i)` with `tick = n / T`. `rule="reference"` is that
    of the authors' validation, `tick = (n - 1) / T`, at most one frame earlier; with fewer frames
    than segments, where they repeat the first frame, both rules repeat frames evenly.

    Args:
        num_frames: int. Frames in the video, `n`.
        segments: int. Frames in the clip, `T`.
        rule: str. `"even"` or `"reference"`. Defaults to `"even"`.

    Returns:
        int64 array of shape `(segments,)`, within `0 .. num_frames - 1`.

    Raises:
        SmallBigError: `num_frames` or `segments` is below 1, or `rule` is another word.
    """
    _check(rule, num_frames=num_frames, segments=segments)
    if rule == "reference" and num_frames >= segments:
        tick = (num_frames - 1) / segments
        return (tick / 2 + tick * np.arange(segments)).astype(np.int64)
    return segment_clips(num_frames, segments, 1)[0]


def segment_clips(num_frames, segments, clips):
    """Takes a frame at the same fraction of each of equal segments, another one for every clip.

    Clip `k` takes frames `floor((i + p) n / T)` with `p = (1 / 2 + k / N) mod 1`. Two clips are
    those of the authors' test, the middles and the starts of the segments, which their code can
    do for two only; one is `segment_centre`. No two clips share a frame from `n = N T` on.

    Args:
        num_frames: int. Frames in the video, `n`.
        segments: int. Frames in a clip, `T`.
        clips: int. Clips, `N`.

    Returns:
        int64 array of shape `(clips, segments)`, within `0 .. num_frames - 1`.

    Raises:
        SmallBigError: an argument is below 1.
    """
    _check(num_frames=num_frames, segments=segments, clips=clips)
    # In integers: (i + p) n / T rounds differently in floating point for some n.
    fraction = (clips + 2 * np.arange(clips, dtype=np.int64)) % (2 * clips)
    parts = 2 * clips * np.arange(segments, dtype=np.int64) + fraction[:, None]
    return parts * num_frames // (2 * clips * segments)


def dense_train(num_frames, frames, stride, rng):
    """Takes `T` frames `s` apart from a random start, `start + s i` (section 6 of the paper).

    The authors' rule: `start` is any from `0` to `n - 1 - (T - 1) s`, so that the last frame is
    in the video; TSM, mmaction2 and SlowFast keep `T s` frames free and draw from fewer starts.
    In a shorter video the stride is the largest that fits, `floor((n - 1) / (T - 1))` and at
    least 1, and with fewer frames than `T` the last frame is repeated; TSM and mmaction2 start
    again from the first.

    Args:
        num_frames: int. Frames in the video, `n`.
        frames: int. Frames in the clip, `T`.
        stride: int. From one frame to the next, `s`.
        rng: `numpy.random.Generator`. It is used for one draw.

    Returns:
        int64 array of shape `(frames,)`, within `0 .. num_frames - 1`.

    Raises:
        SmallBigError: a number is below 1.
    """
    _check(num_frames=num_frames, frames=frames, stride=stride)
    clip, room = _dense(num_frames, frames, stride)
    return clip + (rng.integers(room + 1) if room else 0)


def dense_centre(num_frames, frames, stride):
    """Takes `T` frames `s` apart from the middle of a video.

    `start = floor((n - 1 - (T - 1) s) / 2)`, as mmaction2 validates; the authors' code and TSM
    validate on a random clip, which is `dense_train`. Short videos are handled as there.

    Args:
        num_frames: int. Frames in the video, `n`.
        frames: int. Frames in the clip, `T`.
        stride: int. From one frame to the next, `s`.

    Returns:
        int64 array of shape `(frames,)`, within `0 .. num_frames - 1`.

    Raises:
        SmallBigError: a number is below 1.
    """
    return dense_clips(num_frames, frames, stride, 1)[0]


def dense_clips(num_frames, frames, stride, clips, rule="even"):
    """Takes clips of `T` frames `s` apart, evenly spread from the first frame to the last.

    Clip `k` starts at `floor(k (n - 1 - (T - 1) s) / (N - 1))`, as in mmaction2, and a single
    clip is `dense_centre`; all clips differ where the video has `N` starts. Short videos are
    handled as in `dense_train`.

    `rule="reference"` is the authors' rule, also that of TSM within one frame:
    `int(linspace(0, max(1, n - T s) - 1, N))`, frames beyond the last taken modulo `n`. It
    stops `s` frames earlier and gives `N` times the same clip for `n` up to `T s + 1`.

    Args:
        num_frames: int. Frames in the video, `n`.
        frames: int. Frames in a clip, `T`.
        stride: int. From one frame to the next, `s`.
        clips: int. Clips, `N`.
        rule: str. `"even"` or `"reference"`. Defaults to `"even"`.

    Returns:
        int64 array of shape `(clips, frames)`, within `0 .. num_frames - 1`.

    Raises:
        SmallBigError: a number is below 1, or `rule` is another word.
    """
    _check(rule, num_frames=num_frames, frames=frames, stride=stride, clips=clips)
    if rule == "reference":
        last = max(1, num_frames - frames * stride) - 1
        starts = np.linspace(0, last, clips).astype(np.int64)
        clip = stride * np.arange(frames, dtype=np.int64)
        return (starts[:, None] + clip) % num_frames
    clip, room = _dense(num_frames, frames, stride)
    if clips == 1:
        starts = np.array([room // 2])
    else:
        starts = np.arange(clips, dtype=np.int64) * room // (clips - 1)
    # The bound is reached only where the last frame is repeated, and there all starts are 0.
    return starts[:, None] + clip


@dataclass(frozen=True)
class Sampler:
    """The clips of a video: random ones in training, the same ones in evaluation.

    Args:
        sampling: str. `"segment"`: a frame from each of as many segments as the clip has frames,
            over the whole video. `"dense"`: frames `stride` apart, a part of the video.
        frames: int. Frames in a clip.
        stride: int. From one frame to the next in dense sampling. Defaults to `8`.
        clips: int. Clips of a video; training has one. Defaults to `1`.
        training: bool. True for random frames. Defaults to `False`.
        seed: int. Of the random frames. Defaults to `0`.

    Raises:
        SmallBigError: an argument is outside the values above.

    Example:

    >>> Sampler("dense", frames=4, stride=8, clips=2)(num_frames=60)
    array([[ 0,  8, 16, 24],
           [35, 43, 51, 59]])
    """

    sampling: str
    frames: int
    stride: int = 8
    clips: int = 1
    training: bool = False
    seed: int = 0

    def __post_init__(self):
        if self.sampling not in _SAMPLINGS:
            raise SmallBigError(
                f"`sampling` must be one of {tuple(_SAMPLINGS)}."
                f"{did_you_mean(self.sampling, _SAMPLINGS)} Received: {self.sampling!r}"
            )
        _check(frames=self.frames, stride=self.stride, clips=self.clips)
        if self.training and self.clips > 1:
            raise SmallBigError(f"Training takes one clip of a video. Received: clips={self.clips}")

    def __call__(self, num_frames, epoch=0, index=0):
        """Returns the frames of the clips.

        Args:
            num_frames: int. Frames in the video.
            epoch: int. Training gives other frames in every epoch. Defaults to `0`.
            index: int. Index of the video in its list; others give other frames. Defaults to
                `0`.

        Returns:
            int64 array of shape `(clips, frames)`, within `0 .. num_frames - 1`.
        """
        train, clips = _SAMPLINGS[self.sampling]
        step = (self.stride,) if uses_stride(self.sampling) else ()
        if self.training:
            rng = np.random.default_rng((self.seed, int(epoch), int(index)))
            return train(num_frames, self.frames, *step, rng)[None]
        return clips(num_frames, self.frames, *step, self.clips)


def frames_to_read(indices):
    """Returns the frames that clips have in common, and the position in them of each clip's."""
    # Each frame is read once; a single clip is read as it is.
    if len(indices) == 1:
        return indices[0], np.arange(indices.size)[None]
    wanted, frame_positions = np.unique(indices, return_inverse=True)
    return wanted, frame_positions.reshape(indices.shape).astype(np.int64)


_SAMPLINGS = {"segment": (segment_train, segment_clips), "dense": (dense_train, dense_clips)}
SAMPLINGS = tuple(_SAMPLINGS)


def uses_stride(sampling):
    """Tells whether a sampling has a use for a stride."""
    return sampling == "dense"


def _dense(num_frames, frames, stride):
    """Returns the clip that starts at the first frame, and how far it can be moved."""
    if frames > 1:
        stride = max(1, min(stride, (num_frames - 1) // (frames - 1)))
    clip = np.minimum(stride * np.arange(frames, dtype=np.int64), num_frames - 1)
    return clip, num_frames - 1 - int(clip[-1])


def _check(rule="even", **numbers):
    if min(numbers.values()) < 1:
        given = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise SmallBigError(
            "A clip needs at least one frame of a video of at least one frame, and a stride "
            f"and a number of clips of at least 1. Received: {given}"
        )
    if rule not in _RULES:
        raise SmallBigError(f"`rule` must be one of {_RULES}. Received: rule={rule!r}")
