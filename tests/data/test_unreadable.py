"""Videos that cannot be read: replaced in training, an error or left out in evaluation."""

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import BadVideoError, UnreadableVideos, Video, load_clip
from tests.data.streams import assert_same, stream
from tests.data.videos import write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [Video(str(write_video(folder / f"{i}.webm", 9 + i)), i, str(i)) for i in range(10)]


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "bad.webm").write_bytes(b"bad")
    return Video(str(tmp_path / "bad.webm"), 99, "bad")


def test_unreadable_videos_are_replaced_and_counted(videos, bad):
    unreadable = UnreadableVideos("replace")
    batches = stream([*videos, bad, bad], epochs=2, unreadable=unreadable, drop_remainder=False)
    labels = np.concatenate([y for _, y in batches])
    assert len(labels) == 24 and 99 not in labels
    assert unreadable.num_files == 1 and unreadable.num_clips >= 4
    (line,) = unreadable.report()
    assert bad.path in line and "not a video" in line and f"({unreadable.num_clips}x)" in line
    again = stream([*videos, bad, bad], epochs=2, drop_remainder=False, num_parallel_calls=3)
    assert_same(batches, again)


def test_training_stops_at_the_limit(videos, bad):
    with pytest.raises(tf.errors.InvalidArgumentError, match="At most 0 unreadable") as caught:
        stream(
            [*videos, bad], unreadable=UnreadableVideos("replace", limit=0), drop_remainder=False
        )
    assert bad.path in str(caught.value)
    unreadable = UnreadableVideos("replace", limit=1)
    stream([*videos, bad, bad], unreadable=unreadable, epochs=2, drop_remainder=False)
    assert unreadable.num_files == 1


def test_only_unreadable_videos_come_to_an_end(bad):
    with pytest.raises(tf.errors.InvalidArgumentError, match="10 videos in a row"):
        stream([bad] * 4, batch_size=1)


def test_evaluation_raises_or_skips(videos, bad):
    mixed = [*videos[:4], bad, *videos[4:]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="A video must be") as caught:
        stream(mixed, training=False)
    assert bad.path in str(caught.value)
    unreadable = UnreadableVideos("skip")
    batches = stream(mixed, training=False, unreadable=unreadable)
    assert_same(batches, stream(videos, training=False))
    assert (unreadable.num_files, unreadable.num_clips) == (1, 1)


def test_policies():
    with pytest.raises(ValueError, match=r"Did you mean 'replace'\? Received: policy='replaced'"):
        UnreadableVideos("replaced")
    with pytest.raises(ValueError, match="limit=-1"):
        UnreadableVideos(limit=-1)
    with pytest.raises(BadVideoError, match="rule\nhint"):
        UnreadableVideos(hint="hint").add("a.webm", "rule")


def test_long_lists_are_shortened_in_errors_only():
    unreadable = UnreadableVideos("replace", limit=12)
    for i in range(12):
        unreadable.add(f"{i:02d}.webm", "rule")
    expected = (
        r"Received: 13:\n.00.webm. \(1x\): rule\nand 12 more. Find all: smallbig prepare index"
    )
    with pytest.raises(BadVideoError, match=expected):
        unreadable.add("12.webm", "rule")
    assert len(unreadable.report()) == unreadable.num_files == unreadable.num_clips == 13


def test_load_clip_refuses_an_unreadable_file(bad):
    with pytest.raises(BadVideoError, match="bad.webm"):
        load_clip(bad.path)
    with pytest.raises(BadVideoError, match="3 bytes in memory"):
        load_clip(b"bad")
