"""The process and its machine: processors, memory, and a quiet TensorFlow.

Nothing here imports TensorFlow before `quiet_tensorflow` does.
"""

import collections
import concurrent.futures
import contextlib
import ctypes
import itertools
import math
import os
import pathlib
import sys
import tempfile

from smallbig_keras.errors import ResourceError

# By default glibc gives the memory of clips back and asks for it again, which clears it page by
# page. Training clips from folders of JPEG files took 14.7 ms of processor time each, and 9.8 ms
# with memory kept, for 0.6 GB more (8 x 224 x 224, 2 cores).
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
# Variable of the bytes that TensorFlow reads ahead in Google's buckets, 64 MB unless it is set
# before TensorFlow is imported. A seek reads one byte; here a megabyte comes with it.
READAHEAD = "GCS_READAHEAD_BUFFER_SIZE_BYTES"
_READAHEAD_BYTES = (1 << 20) + 1


def num_processors():
    """Returns the processors that this process may use: affinity and container limits count."""
    import joblib

    return joblib.cpu_count()


def peak_memory(proc="/proc"):
    """Returns the largest memory of the process so far, in bytes."""
    # Linux counts in `getrusage` what the process was before its program began: a copy of another.
    with contextlib.suppress(OSError), open(f"{proc}/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows has none.
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_memory(proc="/proc", cgroups="/sys/fs/cgroup"):
    """Returns the bytes that this process may still take, or `None` where nothing tells.

    The limits of containers and batch systems count. `proc` and `cgroups` are where Linux has the
    files that tell.
    """
    try:
        lines = (pathlib.Path(proc) / "meminfo").read_text().splitlines()
        (free,) = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        groups = (pathlib.Path(proc) / "self" / "cgroup").read_text().splitlines()
    except (OSError, ValueError):
        try:
            import psutil
        except ImportError:
            return None
        return psutil.virtual_memory().available
    for line in groups:
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            # Every group above may have a limit. A container may see its own as the root.
            group = pathlib.PurePosixPath(path.lstrip("/"))
            for folder in (group, *group.parents):
                free = min(free, _group_memory(pathlib.Path(cgroups) / kinds / folder))
    return max(0, free)


# Files of the limit and of the use, and the key of the part that the system takes back: files that
# were read. Of both versions of control groups.
_GROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def _group_memory(folder):
    """Returns the bytes left in a control group, infinite where it has no limit."""
    for limit, use, cache in _GROUP_FILES:
        try:
            left = int((folder / limit).read_text()) - int((folder / use).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # The limit may be "max".
            continue
        return left + int(stat.get(cache, 0))
    return math.inf


def set_environment():
    """Chooses backend and oneDNN, unless the user did, and keeps freed memory."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # TensorFlow takes oneDNN by itself on processors with AVX-512 only. With AVX2 a training step
    # of SmallBigR50 (4 clips of 8 x 112 x 112, 2 cores) took 3.6 s with it and 7.2 s without.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(READAHEAD, str(_READAHEAD_BYTES))
    library = c_library()
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 256 << 20)
        library.mallopt(_TRIM_THRESHOLD, 512 << 20)


def c_library():
    """Returns the C library that the process has loaded, or `None` where there is no such name."""
    try:
        return ctypes.CDLL(None)
    except TypeError:  # Windows.
        return None


@contextlib.contextmanager
def hidden_stderr():
    """Holds back what libraries write to the standard error stream, unless an error follows."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def quiet_tensorflow():
    """Imports TensorFlow and finds its devices without its start-up lines.

    Raises `ResourceError` where no temporary folder can be written, without which it fails.
    """
    set_environment()
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise ResourceError(
            "TensorFlow needs a temporary folder that can be written: free the disk, or set "
            f"TMPDIR. Received: {error.strerror}"
        ) from None
    with hidden_stderr():
        import tensorflow as tf

        tf.config.list_logical_devices()
    return tf


def map_parallel(function, items):
    """Yields `function(item)` of each item in order; a few are computed ahead, in threads."""
    workers = num_processors()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def groups(items, size):
    """Yields lists of `size` items, the last one of those that are left."""
    items = iter(items)
    while group := list(itertools.islice(items, size)):
        yield group
