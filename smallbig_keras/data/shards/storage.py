"""Shards where they lie, on a disk or on another machine: bytes by their positions."""

import atexit
import ctypes
import importlib.metadata
import os
import platform
import threading
import warnings

import tensorflow as tf

from smallbig_keras.data.frame_folders import graph_reason
from smallbig_keras.errors import (
    MissingPackageError,
    ResourceError,
    SmallBigError,
    did_you_mean,
    warn_caller,
)
from smallbig_keras.files import scheme
from smallbig_keras.machine import READAHEAD, c_library

# Schemes that tensorflow-io adds; Google's buckets are TensorFlow's own.
_ADDED = ("az", "har", "hdfs", "http", "https", "oss", "s3", "viewfs")


def open_file(path):
    """Opens a file for reads at positions, by any number of threads."""
    return RemoteFile(path) if scheme(path) else LocalFile(path)


class LocalFile:
    """A file that is open as long as anybody has this object.

    `size` are its bytes. Ranges that are at most `gap` bytes apart are cheaper to read as one.
    """

    gap = 4096

    def __init__(self, path):
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = open(path, "rb", buffering=0)
        except OSError as error:
            raise _failed(path, error.strerror) from None
        self.size = os.fstat(self._file.fileno()).st_size

    def __del__(self):
        if hasattr(self, "_file"):
            self._file.close()

    def read(self, offset, size):
        """Reads a range of bytes, which must be there."""
        try:
            if hasattr(os, "pread"):
                content = os.pread(self._file.fileno(), size, offset)
            else:  # Windows.
                with self._lock:
                    self._file.seek(offset)
                    content = self._file.read(size)
        except OSError as error:
            raise _failed(self.path, error.strerror) from None
        return _whole(self.path, content, offset, size)


class RemoteFile:
    """The same of a file that TensorFlow reads over a network."""

    # A request to a server takes as long as some megabytes, and TensorFlow asks for 0.5 at least.
    gap = 1 << 20

    def __init__(self, path):
        self.path = path
        try:
            self.size = tf.io.gfile.stat(path).length
        except tf.errors.OpError as error:
            raise _failed(path, graph_reason(error)) from None

    def read(self, offset, size):
        """Reads a range of bytes, which must be there."""
        try:
            with tf.io.gfile.GFile(self.path, "rb") as file:
                file.seek(offset)
                content = file.read(size)
        except tf.errors.OpError as error:
            raise _failed(self.path, graph_reason(error)) from None
        return _whole(self.path, content, offset, size)


def read_ranges(file, ranges):
    """Reads ranges `(offset, size)`, near ones together; returns a list of bytes."""
    spans, end = [], -file.gap - 1
    for offset, size in sorted(set(ranges)):
        if offset - end > file.gap:
            spans.append([])
        spans[-1].append((offset, size))
        end = offset + size
    found = {}
    for span in spans:
        start, end = span[0][0], sum(span[-1])
        content = file.read(start, end - start)
        for offset, size in span:
            found[offset] = content[offset - start : offset - start + size]
    return [found[offset] for offset, _ in ranges]


def _failed(path, reason):
    return ResourceError(f"A shard must be readable. Received: {path!r}: {reason}")


def _whole(path, content, offset, size):
    if len(content) != size:
        raise _failed(path, f"{len(content)} bytes of {size} at {offset}")
    return content


def check_readahead(folder):
    """Warns where TensorFlow would ask for 64 MB whenever a frame is read."""
    if scheme(os.fspath(folder)) == "gs" and READAHEAD not in os.environ:
        warn_caller(
            "TensorFlow reads 64 MB ahead of every frame in a bucket. Set the environment variable "
            f"{READAHEAD}=1048577 before TensorFlow is imported. Received: {folder}"
        )


def ensure_scheme(url):
    """Makes sure that TensorFlow can read a path, loading tensorflow-io if that is needed."""
    name = scheme(str(url))
    if name in tf.io.gfile.get_registered_schemes():
        return
    if name not in _ADDED:
        allowed = ", ".join(f"{other}://" for other in ("gs", *_ADDED))
        raise SmallBigError(
            f"A path must be local or begin with {allowed}.{did_you_mean(name, ('gs', *_ADDED))} "
            f"Received: {url}"
        )
    try:
        # A library that cannot be loaded is only a warning there.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_io  # noqa: F401
    except ImportError:
        pass
    if name not in tf.io.gfile.get_registered_schemes():
        raise MissingPackageError(
            f"{name}:// needs tensorflow-io, whose last release goes with TensorFlow 2.16 and 2.17 "
            'and Python 3.10 to 3.12: pip install "smallbig-keras[io]" "tensorflow==2.17.*". '
            f"Received: {url} with TensorFlow {tf.__version__}, {_installed('tensorflow-io')}, "
            f"Python {platform.python_version()}"
        )
    atexit.register(_skip_destructors)


def _installed(package):
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {package}"


def _skip_destructors():
    """Ends the process before the destructors of the plugins, one of which aborts it."""
    # A process that reads a bucket ends in "pure virtual method called" and code 134, all work
    # done. Python calls this at its end: it flushes and removes its own next, then C's `exit` is
    # called with the true code and calls the function that was registered last, `_exit`.
    library = c_library()
    if hasattr(library, "on_exit"):
        library.on_exit(ctypes.cast(library._exit, ctypes.c_void_p), None)
