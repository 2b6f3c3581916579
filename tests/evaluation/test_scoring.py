"""The pass over videos: each gets the mean of its own views, whatever happens on the way."""

import dataclasses
import functools
import shutil

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import (
    ClipConfig,
    UnreadableVideos,
    Video,
    VideoSource,
    clip_dataset,
)
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.evaluation import load_scores, score_videos
from smallbig_keras.files import folder_lock
from smallbig_keras.labels import preprocess_input
from tests.data.miniatures import write_video
from tests.evaluation.small_disk import small_disk

NAMES = ["a", "b", "c", "d"]
CLIPS = ClipConfig(frames=4, size=16, short_side=20)
VIEWS = (2, 3)
COUNT = 5


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Videos of random grey levels, of different lengths."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    videos = []
    for index in range(COUNT):
        levels = rng.integers(256, size=(9 + index, 1, 2, 3), dtype=np.uint8)
        frames = np.ascontiguousarray(levels.repeat(48, axis=1).repeat(32, axis=2))
        path = folder / f"{index}.avi"
        write_video(path, frames, "mpeg4")
        videos.append(Video(str(path), index % 4, f"video {index}"))
    return videos


@dataclasses.dataclass
class Model:
    """Probabilities from the colours of a clip, and the sizes of the batches it was given."""

    limit: int | None = None
    error: type = MemoryError
    stop: int | None = None
    before: object = None
    sizes: list = dataclasses.field(default_factory=list)

    def __call__(self, clips):
        if self.limit is not None and len(clips) > self.limit:
            if self.error is tf.errors.ResourceExhaustedError:
                raise self.error(None, None, "OOM when allocating tensor")
            raise self.error("no more")
        self.sizes.append(len(clips))
        if self.before:
            self.before(len(self.sizes))
        if len(self.sizes) == self.stop:
            raise KeyboardInterrupt
        assert clips.shape[1:] == (4, 16, 16, 3) and clips.dtype == np.uint8
        clips = preprocess_input(clips)
        weights = np.random.default_rng(1).standard_normal((4 * 16 * 16 * 3, 4)) / 40
        logits = tf.reshape(clips, (len(clips), -1)) @ weights.astype(np.float32)
        return tf.nn.softmax(logits)


def one_by_one(videos, views=VIEWS, clips=CLIPS):
    return np.stack([_scores_of(video.path, views, clips) for video in videos])


@functools.cache
def _scores_of(path, views, rule):
    """The expected scores of a video: in a data set of its own, all its views at once."""
    clips = clip_dataset(
        [Video(path, 0, "")], rule, views=views, batch_size=1, training=False, normalize=False
    )
    ((batch, _),) = list(clips)
    return Model()(batch.numpy().reshape(-1, 4, 16, 16, 3)).numpy().astype(float).mean(axis=0)


def score(model, videos, folder, views=VIEWS, clips=CLIPS, **arguments):
    source = videos if hasattr(videos, "clips") else VideoSource(videos)
    arguments = {"protocol": {"weights": "w"}, "progress": lambda line: None, **arguments}
    return score_videos(model, source, clips, NAMES, folder, views=views, **arguments)


def files(folder):
    return {file.name for file in folder.iterdir()} - {".lock"}


ONE = (1, 1)


@pytest.mark.parametrize("views, batch_size", [(VIEWS, 4), (VIEWS, 13), (ONE, 1), (ONE, 2)])
def test_mean_of_the_views(videos, views, batch_size, tmp_path):
    model = Model()
    scores = score(model, videos, tmp_path, views, batch_size=batch_size)
    np.testing.assert_allclose(scores.scores, one_by_one(videos, views), rtol=1e-5)
    assert scores.ids == [video.id for video in videos]
    assert scores.labels.tolist() == [video.label for video in videos]
    assert sum(model.sizes) == COUNT * views[0] * views[1]
    assert max(model.sizes) <= batch_size
    assert files(tmp_path) == {"scores.npz"}


def test_dense_sampling_is_another_protocol(videos, tmp_path):
    clips = CLIPS.replace(sampling="dense", stride=2)
    scores = score(Model(), videos, tmp_path, clips=clips)
    np.testing.assert_allclose(scores.scores, one_by_one(videos, clips=clips), rtol=1e-5)
    assert scores.protocol["sampling"] == "dense"
    assert np.abs(scores.scores - one_by_one(videos)).max() > 1e-3


@pytest.mark.parametrize("batch_size", [6, 20])
def test_bad_videos_shift_no_scores(videos, batch_size, tmp_path):
    bad = [tmp_path / "empty.mp4", tmp_path / "missing.mp4", tmp_path / "text.mp4"]
    bad[0].write_bytes(b"")
    bad[2].write_text("no video")
    odd = [Video(str(path), 3, path.name) for path in bad]
    mixed = [odd[0], *videos[:2], odd[1], *videos[2:], odd[2]]
    folder = tmp_path / "scores"
    skip = UnreadableVideos("skip")
    scores = score(Model(), mixed, folder, batch_size=batch_size, unreadable=skip)
    assert scores.ids == [video.id for video in videos]
    assert scores.labels.tolist() == [video.label for video in videos]
    np.testing.assert_allclose(scores.scores, one_by_one(videos), rtol=1e-5)
    assert len(scores.details["skipped"]) == 3
    for path, line in zip(bad, scores.details["skipped"], strict=True):
        assert str(path) in line
    with pytest.raises(ValueError, match="(?s)without 3.*empty.mp4.*'skip'. .--skip-bad"):
        score(Model(), mixed, folder)
    with pytest.raises(Exception, match="BadVideoError(?s:.*)empty.mp4"):
        score(Model(), mixed, tmp_path / "other")
    with pytest.raises(ValueError, match="must be readable. Received: 3 .*empty.mp4"):
        score(Model(), odd, tmp_path / "other", unreadable=UnreadableVideos("skip"))


class Delegate:
    """A source that is no list of videos, as one of shards."""

    has_labels = True

    def __init__(self, videos):
        self.source = VideoSource(videos)
        self.ids, self.labels = self.source.ids, self.source.labels
        self.clips = self.source.clips

    def __len__(self):
        return len(self.source)


@pytest.mark.parametrize("kind", [VideoSource, Delegate])
def test_killed_at_any_call_of_the_model(videos, kind, tmp_path):
    """The folder as `kill -9` leaves it at each call resumes to the same scores, bit by bit."""
    damaged = [videos[0], dataclasses.replace(videos[1], path="missing.avi"), *videos[2:]]
    folder = tmp_path / "whole"

    def resume(model, folder, **arguments):
        unreadable = UnreadableVideos("skip")
        return score(model, kind(damaged), folder, batch_size=4, unreadable=unreadable, **arguments)

    def copy(call):
        shutil.copytree(folder, tmp_path / str(call))

    expected = resume(Model(before=copy), folder)
    assert len(expected.ids) == 4 and "missing.avi" in expected.details["skipped"][0]
    # A video has two calls, of four and of two views.
    for call in range(1, 9):
        assert files(tmp_path / str(call)) == {"scores.partial"}
        lines, model = [], Model()
        scores = resume(model, tmp_path / str(call), progress=lines.append)
        done = (call - 1) // 2
        assert sum(model.sizes) == 6 * (4 - done)
        # The unreadable second video is not read again.
        assert lines == ([f"continued after {done + (done > 1)} of 5 videos"] if done else [])
        np.testing.assert_array_equal(scores.scores, expected.scores)
        assert (scores.ids, scores.details["skipped"]) == (
            expected.ids,
            expected.details["skipped"],
        )
        assert files(tmp_path / str(call)) == {"scores.npz"}


@pytest.fixture(scope="module")
def interrupted(videos, tmp_path_factory):
    """The scores of all videos, and the file of a pass that was stopped in the fourth."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        score(Model(stop=4), videos, folder, ONE, batch_size=1)
    content = (folder / "scores.partial").read_bytes()
    return score(Model(), videos, folder, ONE, batch_size=1).scores, content


def test_file_cut_or_damaged_anywhere(videos, interrupted, tmp_path):
    """Everything from the first damaged byte on is scored again."""
    expected, content = interrupted
    ends = np.cumsum([len(line) for line in content.splitlines(keepends=True)])
    assert len(ends) == 4 and ends[-1] == len(content)
    for place in [0, 5, ends[0] - 1, ends[0], ends[0] + 9, ends[1] - 1, ends[2] + 1, ends[3]]:
        damaged = bytearray(content)
        damaged[place : place + 1] = bytes([damaged[place] ^ 1]) if place < len(content) else b""
        for number, text in enumerate((content[:place], bytes(damaged))):
            folder = tmp_path / f"{place}-{number}"
            folder.mkdir()
            (folder / "scores.partial").write_bytes(text)
            model = Model()
            scores = score(model, videos, folder, ONE, batch_size=1)
            whole = max(0, np.sum(ends <= place) - 1)
            assert len(model.sizes) == COUNT - whole
            np.testing.assert_array_equal(scores.scores, expected)


def test_interrupted_restart_is_resumed(videos, interrupted, tmp_path):
    first = score(Model(), videos, tmp_path, ONE, batch_size=1)
    with pytest.raises(KeyboardInterrupt):
        score(Model(stop=3), videos, tmp_path, ONE, batch_size=1, restart=True)
    assert files(tmp_path) == {"scores.npz", "scores.partial"}
    model = Model()
    again = score(model, videos, tmp_path, ONE, batch_size=1)
    assert len(model.sizes) == COUNT - 2 and files(tmp_path) == {"scores.npz"}
    np.testing.assert_array_equal(again.scores, first.scores)


def test_full_disk(videos, interrupted, tmp_path):
    """The scores until then are kept."""
    expected, content = interrupted
    with small_disk(len(content) - 10), pytest.raises(ResourceError, match="scores.partial.*large"):
        score(Model(), videos, tmp_path, ONE, batch_size=1)
    model = Model()
    scores = score(model, videos, tmp_path, ONE, batch_size=1)
    assert len(model.sizes) == COUNT - 2
    np.testing.assert_array_equal(scores.scores, expected)


def test_folder_that_cannot_be_used(videos, tmp_path):
    (tmp_path / "file").touch()
    model = Model()
    with pytest.raises(SmallBigError, match="cannot be written.*Received: .*file/new"):
        score(model, videos, tmp_path / "file" / "new")
    with folder_lock(tmp_path), pytest.raises(SmallBigError, match="Another process"):
        score(model, videos, tmp_path)
    (tmp_path / "scores.partial").mkdir()
    with pytest.raises(ResourceError, match="scores.partial could not be read"):
        score(model, videos, tmp_path)
    assert not model.sizes


def test_what_is_scored_is_read_or_scored_anew(videos, tmp_path):
    first = score(Model(), videos, tmp_path)
    lines, model = [], Model()
    again = score(model, videos, tmp_path, progress=lines.append)
    assert not model.sizes and "read from" in lines[0]
    np.testing.assert_array_equal(again.scores, first.scores)
    assert again.details == first.details

    for change, arguments in (
        ("short_side", {"clips": CLIPS.replace(short_side=24)}),
        ("weights, short_side", {"protocol": {"weights": "others"}}),
        ("weights, videos", {"videos": videos[::-1]}),
    ):
        lines, model = [], Model()
        score(
            model,
            arguments.pop("videos", videos),
            tmp_path,
            progress=lines.append,
            **arguments,
        )
        assert len(model.sizes) == COUNT
        assert lines[0].endswith(f"is of another {change}: scored anew")
    model = Model()
    score(model, videos[::-1], tmp_path, restart=True)
    assert len(model.sizes) == COUNT
    assert load_scores(tmp_path / "scores.npz").ids == first.ids[::-1]


def test_partial_scores_of_another_protocol_are_not_continued(videos, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        score(Model(stop=3), videos, tmp_path)
    lines, model = [], Model()
    scores = score(model, videos, tmp_path, protocol={"weights": "others"}, progress=lines.append)
    assert lines == [f"{tmp_path / 'scores.partial'} is of another weights: scored anew"]
    assert len(model.sizes) == COUNT
    np.testing.assert_allclose(scores.scores, one_by_one(videos), rtol=1e-5)


@pytest.mark.parametrize("error", [MemoryError, tf.errors.ResourceExhaustedError])
def test_batch_that_does_not_fit_is_halved(videos, error, tmp_path):
    lines, model = [], Model(limit=2, error=error)
    scores = score(model, videos, tmp_path, batch_size=6, progress=lines.append)
    np.testing.assert_allclose(scores.scores, one_by_one(videos), rtol=1e-5)
    assert lines == [
        "6 clips at once do not fit into memory: from here on 3",
        "3 clips at once do not fit into memory: from here on 1",
    ]
    assert set(model.sizes) == {1}
    with pytest.raises(ValueError, match=r"One clip must fit into memory. Received: \(1, 4, 16"):
        score(Model(limit=0, error=error), videos, tmp_path / "none")


def test_scores_must_be_finite(videos, tmp_path):
    calls = []

    def broken(clips):
        calls.append(len(clips))
        return Model()(clips) * (np.nan if len(calls) == 3 else 1)

    with pytest.raises(ValueError, match="finite. Received: .* from number 3 of the list"):
        score(broken, videos, tmp_path)
    assert len(calls) == 3
    score(broken, videos, tmp_path)
    assert len(calls) == 6


def test_videos_without_labels(videos, tmp_path):
    unknown = [dataclasses.replace(video, label=None) for video in videos]
    scores = score(Model(), unknown, tmp_path)
    assert not scores.has_labels and set(scores.labels.tolist()) == {-1}
    np.testing.assert_allclose(scores.scores, one_by_one(videos), rtol=1e-5)
