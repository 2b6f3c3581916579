from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from smallbig_keras.data.sampling import (
    Sampler,
    dense_centre,
    dense_clips,
    dense_train,
    frames_to_read,
    segment_centre,
    segment_clips,
    segment_train,
)

lengths = st.integers(1, 100_000) | st.integers(1, 200)
sizes = st.integers(1, 64)
strides = st.integers(1, 32)
counts = st.integers(1, 12)
seeds = st.integers(0, 2**32)
rules = st.sampled_from(["even", "reference"])


def check(indices, n, *shape):
    assert indices.dtype == np.int64 and indices.shape == shape
    assert indices.min() >= 0 and indices.max() < n
    assert np.all(np.diff(indices) >= 0)


@given(lengths, sizes, seeds)
def test_train_draws_one_frame_of_each_segment(n, segments, seed):
    indices = segment_train(n, segments, np.random.default_rng(seed))
    check(indices, n, segments)
    for i, index in enumerate(indices.tolist()):
        if n >= segments:
            assert n * i // segments <= index < n * (i + 1) // segments
        else:
            assert index == int((i + 0.5) * n / segments)


@given(lengths, sizes, seeds)
def test_train_of_the_reference(n, segments, seed):
    indices = segment_train(n, segments, np.random.default_rng(seed), rule="reference")
    check(indices, n, segments)
    average = n // segments
    for i, index in enumerate(indices.tolist()):
        if average:
            assert i * average <= index < (i + 1) * average
        else:
            assert index == int((i + 0.5) * n / segments)


@pytest.mark.parametrize("rule", ["even", "reference"])
@pytest.mark.parametrize("n", [8, 9, 15, 30])
def test_train_reaches_every_frame_evenly(n, rule):
    rng = np.random.default_rng(0)
    drawn = np.stack([segment_train(n, 8, rng, rule) for _ in range(2000)])
    drawn_times = np.bincount(drawn.ravel(), minlength=n)
    assert drawn_times.shape == (n,)
    for i in range(8):
        start, end = (
            (n * i // 8, n * (i + 1) // 8) if rule == "even" else (n // 8 * i, n // 8 * (i + 1))
        )
        expected = 2000 / (end - start)
        # Five standard deviations of a binomial count.
        assert np.all(np.abs(drawn_times[start:end] - expected) <= 5 * np.sqrt(expected))
    assert np.all(drawn_times[n // 8 * 8 :] == 0) or rule == "even"


@given(lengths, sizes)
def test_centre_is_the_middle_of_each_segment(n, segments):
    indices = segment_centre(n, segments)
    check(indices, n, segments)
    assert indices.tolist() == [(2 * i + 1) * n // (2 * segments) for i in range(segments)]
    mirrored = n - 1 - indices[::-1]
    assert np.all(np.abs(mirrored - indices) <= 1)


@given(lengths, sizes)
def test_centre_of_the_reference(n, segments):
    indices = segment_centre(n, segments, rule="reference")
    check(indices, n, segments)
    if n >= segments:
        tick = (n - 1) / segments
        assert indices.tolist() == [int(tick / 2 + tick * i) for i in range(segments)]
    assert np.all(segment_centre(n, segments) - indices <= 1)


def test_centre_values():
    # TSM: tick = n / 8, int(tick / 2 + tick * i); the authors: tick = (n - 1) / 8.
    assert segment_centre(45, 8).tolist() == [2, 8, 14, 19, 25, 30, 36, 42]
    assert segment_centre(45, 8, "reference").tolist() == [2, 8, 13, 19, 24, 30, 35, 41]
    assert segment_centre(8, 8).tolist() == list(range(8))
    assert segment_centre(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert segment_centre(1, 4).tolist() == [0, 0, 0, 0]
    other = [
        n
        for n in range(8, 200)
        if not np.array_equal(segment_centre(n, 8), segment_centre(n, 8, "reference"))
    ]
    assert len(other) == 180


@given(lengths, sizes, counts)
def test_segment_clips(n, segments, clips):
    indices = segment_clips(n, segments, clips)
    check(indices, n, clips, segments)
    assert np.array_equal(indices[0], segment_centre(n, segments))
    for k, clip in enumerate(indices.tolist()):
        place = (Fraction(1, 2) + Fraction(k, clips)) % 1
        assert clip == [int((i + place) * n / segments) for i in range(segments)]
    if n >= clips * segments:
        assert all(len(set(column)) == clips for column in indices.T.tolist())


def test_two_segment_clips_are_those_of_the_authors():
    for n in (8, 12, 45, 117):
        tick = n / 8
        middles = [int(tick / 2 + tick * i) for i in range(8)]
        assert segment_clips(n, 8, 2).tolist() == [middles, [int(tick * i) for i in range(8)]]


def span(n, frames, stride):
    """Stride that fits, and frames that the clip covers."""
    if frames > 1:
        stride = max(1, min(stride, (n - 1) // (frames - 1)))
    return stride, min((frames - 1) * stride + 1, n)


@given(lengths, sizes, strides, seeds)
def test_dense_train(n, frames, stride, seed):
    indices = dense_train(n, frames, stride, np.random.default_rng(seed))
    check(indices, n, frames)
    assert np.array_equal(indices, dense_train(n, frames, stride, np.random.default_rng(seed)))
    step, _ = span(n, frames, stride)
    if n >= frames:
        assert np.all(np.diff(indices) == step)
    else:
        assert indices.tolist() == [min(i, n - 1) for i in range(frames)]
    if n > (frames - 1) * stride:
        assert np.all(np.diff(indices) == stride)


@pytest.mark.parametrize(
    "n, stride", [(300, 8), (57, 8), (56, 7), (50, 7), (30, 4), (16, 2), (9, 1), (8, 1), (5, 1)]
)
def test_stride_of_short_videos(n, stride):
    """The authors' strides for eight frames of stride 8."""
    indices = dense_train(n, 8, 8, np.random.default_rng(0))
    assert indices[1] - indices[0] == stride
    assert np.array_equal(np.diff(dense_centre(n, 8, 8)), np.diff(indices))


def test_dense_train_draws_every_start():
    rng = np.random.default_rng(0)
    starts = [dense_train(60, 8, 8, rng)[0] for _ in range(400)]
    # The last frame is start + 56: it may be frame 59.
    times = np.bincount(starts)
    assert len(times) == 4 and np.all(np.abs(times - 100) < 5 * np.sqrt(75))


def test_dense_values():
    assert dense_centre(300, 8, 8).tolist() == [121 + 8 * i for i in range(8)]
    assert dense_centre(57, 8, 8).tolist() == [8 * i for i in range(8)]
    assert dense_centre(3, 8, 8).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert dense_clips(300, 8, 8, 10)[:, 0].tolist() == [27 * k for k in range(10)]
    reference = dense_clips(300, 8, 8, 10, "reference")
    assert (reference[0, 0], reference[-1, 0]) == (0, 235)


@given(lengths, sizes, strides, counts)
def test_dense_clips(n, frames, stride, clips):
    indices = dense_clips(n, frames, stride, clips)
    check(indices, n, clips, frames)
    step, covered = span(n, frames, stride)
    starts = indices[:, 0].tolist()
    if clips == 1:
        assert starts == [(n - covered) // 2]
        assert np.array_equal(indices[0], dense_centre(n, frames, stride))
    else:
        assert (starts[0], starts[-1]) == (0, n - covered)
        steps = np.diff(starts)
        assert steps.max() - steps.min() <= 1
    if n - covered + 1 >= clips:
        assert len(set(starts)) == clips
    assert np.array_equal(indices - indices[:, :1], np.tile(indices[0] - starts[0], (clips, 1)))
    assert frames == 1 or n < frames or indices[0, 1] - starts[0] == step


@given(lengths, sizes, strides, counts)
def test_dense_clips_of_the_reference(n, frames, stride, clips):
    indices = dense_clips(n, frames, stride, clips, rule="reference")
    assert indices.dtype == np.int64 and indices.shape == (clips, frames)
    starts = np.linspace(0, max(1, n - frames * stride) - 1, clips, dtype=int)
    assert indices.tolist() == [[(s + i * stride) % n for i in range(frames)] for s in starts]
    if n >= frames * stride + clips:
        assert len(set(starts.tolist())) == clips


@given(st.sampled_from(["segment", "dense"]), lengths, st.integers(1, 16), strides, counts, seeds)
def test_sampler(sampling, n, frames, stride, clips, seed):
    middle = Sampler(sampling, frames, stride)(n)
    functions = {
        "segment": (segment_centre(n, frames), segment_clips(n, frames, clips)),
        "dense": (dense_centre(n, frames, stride), dense_clips(n, frames, stride, clips)),
    }
    assert np.array_equal(middle, functions[sampling][0][None])
    several = Sampler(sampling, frames, stride, clips)(n, epoch=3, index=4)
    assert np.array_equal(several, functions[sampling][1])
    train = Sampler(sampling, frames, stride, training=True, seed=seed)
    check(train(n, 1, 2), n, 1, frames)
    assert np.array_equal(train(n, 1, 2), train(n, 1, 2))


def test_training_differs_by_seed_epoch_and_index():
    for sampling in ("segment", "dense"):
        drawn = {
            Sampler(sampling, 8, training=True, seed=seed)(10_000, epoch, index).tobytes()
            for seed in range(3)
            for epoch in range(3)
            for index in range(3)
        }
        assert len(drawn) == 27


@given(lengths, st.integers(1, 16), strides, counts, st.sampled_from(["segment", "dense"]))
def test_frames_to_read(n, frames, stride, clips, sampling):
    indices = Sampler(sampling, frames, stride, clips)(n)
    wanted, frame_positions = frames_to_read(indices)
    assert np.array_equal(wanted[frame_positions], indices)
    assert frame_positions.dtype == np.int64 and frame_positions.shape == indices.shape
    if clips > 1:
        assert len(set(wanted.tolist())) == len(wanted)
    else:
        assert np.array_equal(wanted, indices[0])


@pytest.mark.parametrize("n, segments", [(0, 8), (-1, 8), (8, 0), (8, -2)])
def test_nothing_to_sample(n, segments):
    for sample in (segment_centre, lambda *a: segment_train(*a, np.random.default_rng(0))):
        with pytest.raises(ValueError, match=f"Received: num_frames={n}, segments={segments}"):
            sample(n, segments)
    with pytest.raises(ValueError, match=f"Received: num_frames={n}, frames={segments}, stride=1"):
        dense_centre(n, segments, 1)


def test_wrong_arguments():
    for sample in (
        lambda: segment_centre(9, 8, "tsm"),
        lambda: segment_train(9, 8, np.random.default_rng(0), "tsm"),
        lambda: dense_clips(9, 8, 1, 2, "tsm"),
    ):
        with pytest.raises(ValueError, match="`rule` must be one of .* Received: rule='tsm'"):
            sample()
    with pytest.raises(ValueError, match="stride=0"):
        dense_centre(9, 8, 0)
    with pytest.raises(ValueError, match="clips=0"):
        segment_clips(9, 8, 0)
    with pytest.raises(ValueError, match="`sampling` must be one of .* Received: 'random'"):
        Sampler("random", 8)
    with pytest.raises(ValueError, match="stride=0"):
        Sampler("dense", 8, stride=0)
    with pytest.raises(ValueError, match="Training takes one clip.* Received: clips=2"):
        Sampler("dense", 8, clips=2, training=True)
