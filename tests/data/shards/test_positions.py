"""Bytes read and memory held: no more than the clips need."""

import os
import subprocess
import sys

import numpy as np
import pytest

from smallbig_keras.data import ClipConfig, ShardOptions, ShardSource, Video, make_shards
from smallbig_keras.evaluation import score_videos
from tests.data.shards.shard_files import NAMES, bytes_read
from tests.data.shards.test_reading import read
from tests.data.videos import write_video

# Prints by how much the largest memory of a process grows with three batches of training clips.
MEMORY = """
import itertools, sys
from smallbig_keras.data import ShardSource, clip_dataset
from smallbig_keras.machine import peak_memory

def read(folder):
    options = dict(frames=2, size=32, batch_size=4, training=True, num_parallel_calls=2)
    for _ in itertools.islice(clip_dataset(ShardSource(folder, "train"), **options), 3):
        pass
    return peak_memory()

before = read(sys.argv[1])
print(read(sys.argv[2]) - before)
"""


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Shards of videos of 300 frames, of which a clip needs 4."""
    folder = tmp_path_factory.mktemp("long")
    path = str(write_video(folder / "long.mp4", 300, "libx264"))
    videos = [Video(path, i % 3, str(i)) for i in range(24)]
    make_shards({"train": videos}, NAMES, folder / "out", ShardOptions("csv", shard_mb=4))
    return folder / "out"


@pytest.mark.parametrize("training", [False, True])
def test_a_clip_reads_only_its_frames(long, training):
    source = ShardSource(long, "train")
    before = bytes_read()
    clips = read(source, training=training)
    size = sum(path.stat().st_size for path in long.glob("*.tfrecord"))
    assert len(clips) == 24
    assert bytes_read() - before < size / 10


@pytest.mark.parametrize("content", ["frames", "video"])
def test_a_resumed_evaluation_reads_only_what_is_left(videos, tmp_path, content):
    make_shards({"test": videos * 8}, NAMES, tmp_path / "out", ShardOptions("csv", content))
    source = ShardSource(tmp_path / "out", "test")
    calls = 0

    def evaluate(stop):
        nonlocal calls
        calls = 0

        def predict(clips):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise KeyboardInterrupt
            return np.tile(np.float32([0.2, 0.3, 0.5]), (len(clips), 1))

        before = bytes_read()
        options = dict(protocol={}, batch_size=1, num_parallel_calls=1, progress=lambda _: None)
        clips = ClipConfig(frames=4, size=32, short_side=32)
        scores = score_videos(predict, source, clips, NAMES, tmp_path / "scores", **options)
        return scores, bytes_read() - before

    whole, all_bytes = evaluate(None)
    os.unlink(tmp_path / "scores" / "scores.npz")
    with pytest.raises(KeyboardInterrupt):
        evaluate(36)
    scores, read_bytes = evaluate(None)
    assert calls == 5 and scores.ids == whole.ids
    np.testing.assert_array_equal(scores.scores, whole.scores)
    assert read_bytes < all_bytes / 4


def test_memory_holds_the_clips_in_flight(files, tmp_path):
    """Of 40 video files of 6 MB each, not a window of them."""
    with open(files[0], "rb") as file:
        content = file.read()
    size = 6 << 20
    padded = tmp_path / "padded.mp4"
    padded.write_bytes(content + (size + 8).to_bytes(4, "big") + b"free" + os.urandom(size))
    options = ShardOptions("csv", "video")
    for name, path in (("small", files[0]), ("large", padded)):
        videos = [Video(str(path), i % 3, str(i)) for i in range(40)]
        make_shards({"train": videos}, NAMES, tmp_path / name, options)
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "small"), str(tmp_path / "large")],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    # Each of two readers holds a file and its decoder's copy.
    assert int(result.stdout) < 10 * size
