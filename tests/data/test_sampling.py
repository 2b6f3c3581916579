import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallbig_keras.data.sampling import segment_centre, segment_train

lengths = st.integers(1, 100_000)
clips = st.integers(1, 64)


@given(lengths, clips, st.integers(0, 2**32))
def test_train_draws_one_frame_of_each_segment(n, segments, seed):
    indices = segment_train(n, segments, np.random.default_rng(seed))
    assert indices.dtype == np.int64 and indices.shape == (segments,)
    assert indices.min() >= 0 and indices.max() < n
    for i, index in enumerate(indices.tolist()):
        if n >= segments:
            assert n * i // segments <= index < n * (i + 1) // segments
        else:
            assert index == int((i + 0.5) * n / segments)


@pytest.mark.parametrize("n", [8, 9, 15, 30])
def test_train_reaches_every_frame_evenly(n):
    rng = np.random.default_rng(0)
    drawn = np.stack([segment_train(n, 8, rng) for _ in range(2000)])
    counts = np.bincount(drawn.ravel(), minlength=n)
    assert counts.shape == (n,)
    for i in range(8):
        start, end = n * i // 8, n * (i + 1) // 8
        expected = 2000 / (end - start)
        # Five standard deviations of a binomial count.
        assert np.all(np.abs(counts[start:end] - expected) <= 5 * np.sqrt(expected))


@given(lengths, clips)
def test_centre_is_the_middle_of_each_segment(n, segments):
    indices = segment_centre(n, segments)
    assert indices.dtype == np.int64
    assert indices.tolist() == [(2 * i + 1) * n // (2 * segments) for i in range(segments)]
    mirrored = n - 1 - indices[::-1]
    assert np.all(np.abs(mirrored - indices) <= 1)


def test_centre_values():
    # TSM: tick = n / 8, int(tick / 2 + tick * i).
    assert segment_centre(45, 8).tolist() == [2, 8, 14, 19, 25, 30, 36, 42]
    assert segment_centre(8, 8).tolist() == list(range(8))
    assert segment_centre(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert segment_centre(1, 4).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("n, segments", [(0, 8), (-1, 8), (8, 0), (8, -2)])
def test_nothing_to_sample(n, segments):
    for sample in (segment_centre, lambda *a: segment_train(*a, np.random.default_rng(0))):
        with pytest.raises(ValueError, match=f"Received: num_frames={n}, segments={segments}"):
            sample(n, segments)
