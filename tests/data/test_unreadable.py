"""Videos that cannot be read: replaced in training, an error or left out in evaluation."""

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import (
    AnnotationWarning,
    BadVideoError,
    DatasetNotFoundError,
    UnreadableVideos,
    Video,
    VideoSource,
    clip_dataset,
    load_clip,
)
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
    options = dict(epochs=2, drop_remainder=False, num_parallel_calls=3)
    for again in (None, "replace"):
        with pytest.warns(AnnotationWarning) as caught:
            assert_same(batches, stream([*videos, bad, bad], unreadable=again, **options))
        (message,) = [str(warning.message) for warning in caught]
        assert "is replaced by another. unreadable=UnreadableVideos('replace')" in message
        assert f"Received: {bad.path!r}: " in message and "not a video" in message


def test_a_warning_that_is_an_error_stops_the_training(videos, bad):
    """Warnings are errors here; the error is of a thread of `tf.data`."""
    with pytest.raises(tf.errors.OpError, match="AnnotationWarning.*replaced") as caught:
        stream([*videos, bad], drop_remainder=False)
    assert bad.path in str(caught.value)


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
    error = tf.errors.InvalidArgumentError
    with pytest.warns(AnnotationWarning), pytest.raises(error, match="10 videos in a row"):
        stream([bad] * 4, batch_size=1)
    for training in (True, False):
        with (
            pytest.warns(AnnotationWarning),
            pytest.raises(error, match="Received: 4 that are not"),
        ):
            stream([bad] * 4, batch_size=2, training=training, unreadable="skip")
    # Its owner looks at the list.
    unreadable = UnreadableVideos("skip")
    assert stream([bad] * 4, training=False, unreadable=unreadable) == []
    assert unreadable.num_clips == 4


def test_evaluation_raises_or_skips(videos, bad):
    mixed = [*videos[:4], bad, *videos[4:]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="A video must be") as caught:
        stream(mixed, training=False)
    assert bad.path in str(caught.value)
    unreadable = UnreadableVideos("skip")
    batches = stream(mixed, training=False, unreadable=unreadable)
    assert_same(batches, stream(videos, training=False))
    assert (unreadable.num_files, unreadable.num_clips) == (1, 1)
    with pytest.warns(AnnotationWarning, match="is left out.*bad.webm"):
        assert_same(batches, stream(mixed, training=False, unreadable="skip"))


@pytest.mark.parametrize("kind", [list, VideoSource])
@pytest.mark.parametrize("training", [True, False])
def test_files_that_do_not_exist_are_an_error_before_the_first_batch(videos, kind, training):
    gone = [Video(f"nowhere/{i}.mp4", i, str(i)) for i in range(12)]
    options = dict(frames=4, size=24, batch_size=3, training=training)
    for unreadable in (None, "raise", UnreadableVideos()):
        options["unreadable"] = unreadable
        with pytest.raises(DatasetNotFoundError, match="12 of 22 .*'nowhere/9.mp4' and 2 more$"):
            clip_dataset(kind([*videos, *gone]), **options)
        with pytest.raises(DatasetNotFoundError, match="None of the 12 listed videos is there"):
            clip_dataset(kind(gone), **options)


def test_files_that_do_not_exist_are_unreadable_by_policy(videos):
    gone = Video("nowhere/0.mp4", 99, "0")
    skipping = UnreadableVideos("skip")
    assert_same(
        stream([*videos, gone], training=False, unreadable=skipping),
        stream(videos, training=False),
    )
    replacing = UnreadableVideos("replace")
    batches = stream([*videos, gone], unreadable=replacing, drop_remainder=False)
    labels = np.concatenate([y for _, y in batches])
    assert len(labels) == 11 and 99 not in labels
    for unreadable in (skipping, replacing):
        (line,) = unreadable.report()
        assert "'nowhere/0.mp4' (" in line and "No such file" in line
    for policy, training in (("replace", True), ("skip", False)):
        with pytest.warns(AnnotationWarning, match="nowhere/0.mp4"):
            stream([*videos, gone], training=training, unreadable=policy, drop_remainder=False)


def test_the_error_of_a_graph_begins_with_file_and_reason(videos, bad):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        stream([*videos, bad], training=False)
    line = str(caught.value).splitlines()[0]
    assert bad.path in line and "not a video" in line
    # Without the frames of the decoder.
    assert "video_file.py" not in str(caught.value)


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
