"""Machines other than the developer's: fewer processors, and Windows as Linux can play it."""

import os
import subprocess
import sys

import pytest

# Makes an index, shards, clips and a sample set; prints the workers that each takes by default:
# index, shards, their check, clips, and the two splits of the sample set.
USE = """
import concurrent.futures, multiprocessing.pool, pathlib, pkgutil, sys
workers = []

def spy(pool):
    return lambda count: workers.append(count) or pool(count)

concurrent.futures.ThreadPoolExecutor = spy(concurrent.futures.ThreadPoolExecutor)
multiprocessing.pool.ThreadPool = spy(multiprocessing.pool.ThreadPool)
from smallbig_keras import data
for module in pkgutil.walk_packages(data.__path__, "smallbig_keras.data."):
    __import__(module.name)
from smallbig_keras.data import sample_set
from smallbig_keras.data.shards.storage import _skip_destructors
from tests.data.videos import write_frames, write_video

class Source(data.VideoSource):
    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        workers.append(num_parallel_calls)
        return super().clips(epoch, sampler, unreadable, num_parallel_calls)

folder = pathlib.Path(sys.argv[1])
videos = [
    data.Video(str(write_video(folder / "a.webm", 9)), 0, "a"),
    data.Video(str(write_frames(folder / "b", 9)), 0, "b", None, "img_{:05d}.jpg"),
]
assert not data.find_missing(videos)
infos = data.make_index(videos, folder / "index.jsonl")
data.make_shards({"test": videos}, ["a"], folder / "shards", data.ShardOptions("csv"), infos)
assert data.check_shards(folder / "shards") == []
options = dict(frames=2, size=16, batch_size=1, training=False)
assert len(list(data.clip_dataset(Source(videos, infos), **options))) == 2
assert len(list(data.clip_dataset(data.ShardSource(folder / "shards", "test"), **options))) == 2
sources = (("carphone_pristine.mp4", "a man"),)
sample_set._FOOTAGE = dict.fromkeys(sample_set._FOOTAGE, sources)
data.make_sample(folder / "sample", 0, 1, 1)
_skip_destructors()
print(workers)
"""
ONE_PROCESSOR = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
"""
# Takes away the parts of Linux; libraries that ask for them themselves are imported before.
WINDOWS = """
import ctypes, os, sys
import av, cv2, filelock, joblib, keras, tensorflow

class CDLL(ctypes.CDLL):
    def __init__(self, name, *args, **kwargs):
        if name is None:
            raise TypeError("LoadLibrary() argument 1 must be str, not None")
        super().__init__(name, *args, **kwargs)

ctypes.CDLL = CDLL
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "sched_setaffinity", "mkfifo", "fork", "getuid", "statvfs"):
    delattr(os, name)
"""


def run(script, folder):
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins a process so")
def test_default_workers_are_the_processors_of_the_process(tmp_path):
    """One where the process may use one, whatever the machine has."""
    assert run(ONE_PROCESSOR + USE, tmp_path) == "[1, 1, 1, 1, 1, 1]\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows need not be played there")
def test_nothing_asks_for_unix(tmp_path):
    run(WINDOWS + USE, tmp_path)
