"""The file of scores, and their fusion."""

import dataclasses

import numpy as np
import pytest

from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.evaluation import Scores, fuse_scores, load_scores
from tests.evaluation.small_disk import small_disk

NAMES = ["left", "right, or not", "Überraschung"]


def make(ids, rng, labels=None):
    labels = np.arange(len(ids)) % 3 if labels is None else np.array(labels)
    rows = rng.dirichlet(np.ones(3), len(ids)).astype("float32")
    return Scores(list(ids), labels, rows, NAMES, {"clips": 2}, {"run": "runs/a"})


def test_file(tmp_path, rng):
    scores = make(["a", "b c", "\udcff.mp4"], rng, [0, 2, -1])
    assert not scores.has_labels
    scores.save(tmp_path / "scores.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["scores.npz"]
    loaded = load_scores(tmp_path / "scores.npz")
    assert (loaded.ids, loaded.class_names) == (scores.ids, NAMES)
    assert (loaded.protocol, loaded.details) == ({"clips": 2}, {"run": "runs/a"})
    np.testing.assert_array_equal(loaded.scores, scores.scores)
    np.testing.assert_array_equal(loaded.labels, [0, 2, -1])
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as arrays:
        assert arrays["scores"].dtype == np.float32 and arrays["labels"].dtype == np.int32


def test_damaged_file(tmp_path, rng):
    file = tmp_path / "scores.npz"
    with pytest.raises(FileNotFoundError, match="Received: .*scores.npz"):
        load_scores(file)
    make("abc", rng).save(file)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="must be a whole file.*Received: .*scores.npz"):
            load_scores(file)
    np.savez(file, ids=np.array(["a"]))
    with pytest.raises(ValueError, match="must be a whole file.*labels"):
        load_scores(file)
    np.savez(file, ids=np.array([{}], object))
    with pytest.raises(ValueError, match="must be a whole file"):
        load_scores(file)


def test_disk_trouble(tmp_path, rng):
    """The old file stays, and nothing is beside it."""
    file = tmp_path / "new" / "scores.npz"
    make("abc", rng).save(file)
    whole = file.read_bytes()
    with small_disk(500), pytest.raises(ResourceError, match="scores.npz could not be written"):
        make("abcd", rng).save(file)
    assert file.read_bytes() == whole and list(file.parent.iterdir()) == [file]
    with pytest.raises(SmallBigError, match="cannot be written.*Received: .*scores.npz"):
        make("abc", rng).save(file / "scores.npz")


def test_scores_must_fit(rng):
    scores = make("abc", rng)
    with pytest.raises(ValueError, match="one row a video.*Received: 2 videos, 3 classes"):
        dataclasses.replace(scores, ids=["a", "b"])
    rows = scores.scores.copy()
    rows[1, 0] = np.nan
    with pytest.raises(ValueError, match="finite. Received: .* 1 videos, the first of them 'b'"):
        dataclasses.replace(scores, scores=rows)


def test_fusion_is_the_mean_of_the_scores_by_id(rng):
    one, two, three = make("abcd", rng), make("abcd", rng), make("abcd", rng)
    order = [2, 0, 3, 1]
    moved = dataclasses.replace(
        three,
        ids=[three.ids[i] for i in order],
        labels=three.labels[order],
        scores=three.scores[order],
    )
    fused = fuse_scores([one, two, moved])
    assert fused.ids == one.ids and fused.scores.dtype == np.float32
    np.testing.assert_array_equal(fused.labels, one.labels)
    expected = (one.scores.astype(float) + two.scores + three.scores) / 3
    np.testing.assert_allclose(fused.scores, expected, rtol=1e-6)
    assert fused.protocol == {"ensemble": [{"clips": 2}] * 3}


def test_fusion_of_different_videos(rng):
    one = make("abcd", rng)
    with pytest.raises(ValueError, match="two members or more. Received: 1"):
        fuse_scores([one])
    rule = r"member 2 with 4 videos where member 1 has 4, without 1 \('d'\) .* with 1 \('e'\)"
    with pytest.raises(ValueError, match=rule):
        fuse_scores([one, make("abce", rng)])
    with pytest.raises(ValueError, match=r"without 2 \('c', 'd'\) of them, with no others"):
        fuse_scores([one, make("ab", rng)])
    with pytest.raises(ValueError, match="other labels of 1 videos in member 2"):
        fuse_scores([one, make("abcd", rng, [0, 1, 2, 1])])
    with pytest.raises(ValueError, match="same classes in the same order"):
        fuse_scores([one, dataclasses.replace(one, class_names=NAMES[::-1])])
    twice = make("aab", rng, [0, 0, 0])
    assert fuse_scores([twice, twice]).ids == ["a", "a", "b"]
    with pytest.raises(ValueError, match="1 ids more than once in member 2"):
        fuse_scores([make("aba", rng, [0, 0, 0]), twice])
