"""Videos, and the shards that most tests read; helpers are in `shard_files.py`."""

import pytest

from smallbig_keras.data import ShardOptions, Video, make_shards
from tests.data.shards.shard_files import NAMES
from tests.data.videos import write_video


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [str(write_video(folder / f"{i}.mp4", 20 + i, "libx264")) for i in range(5)]


@pytest.fixture(scope="session")
def videos(files):
    return [Video(path, i % 3, f"name {i}") for i, path in enumerate(files)]


@pytest.fixture(scope="session")
def many(files):
    """Enough for several shards of a megabyte: 100 names of five files."""
    return [Video(files[i % 5], i % 3, str(i)) for i in range(100)]


@pytest.fixture(scope="session")
def shards(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "out"
    make_shards({"train": many}, NAMES, out, ShardOptions("csv", shard_mb=1))
    return out
