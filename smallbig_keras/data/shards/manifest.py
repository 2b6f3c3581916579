"""A folder of shards, local or on another machine: its manifest, and if the shards are whole."""

import atexit
import ctypes
import hashlib
import importlib.metadata
import json
import os
import platform
import warnings
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from smallbig_keras.data.frame_folders import graph_reason
from smallbig_keras.data.shards.examples import check_example
from smallbig_keras.errors import (
    MissingPackageError,
    NotFoundError,
    ResourceError,
    SmallBigError,
    did_you_mean,
)
from smallbig_keras.files import scheme
from smallbig_keras.machine import c_library, num_processors

MANIFEST = "shards.json"
_KEYS = {"options", "class_names", "splits", "videos"}
# Schemes that tensorflow-io adds; Google's buckets are TensorFlow's own.
_ADDED = ("az", "har", "hdfs", "http", "https", "oss", "s3", "viewfs")
_BLOCK = 4 << 20


def check_shards(folder, workers=None, progress=None):
    """Reads all shards and compares them with the manifest.

    Size, SHA-256 and number of examples; and of every example name, label and number of frames,
    the first and the last of which are decoded. A shard is read twice.

    Args:
        folder: str or path. Local, or the beginning of a URL.
        workers: int. Shards read at once. Defaults to `None`, one a processor.
        progress: callable. It is given how many shards are done, and of how many. Defaults to
            `None`.

    Returns:
        list of str, one a problem; empty for a folder that is whole.

    Raises:
        NotFoundError: there is no manifest.
        SmallBigError: it is damaged.
    """
    manifest = read_manifest(folder)
    content = manifest["options"]["content"]
    work = []
    for split, described in manifest["splits"].items():
        rows = list(zip(*manifest["videos"][split].values(), strict=True))
        start = 0
        for shard in described["shards"]:
            end = start + shard["records"]
            work.append((join(folder, shard["file"]), shard, rows[start:end], content))
            start = end
    problems = []
    with ThreadPoolExecutor(workers or num_processors()) as pool:
        for done, found in enumerate(pool.map(lambda shard: _check_shard(*shard), work), start=1):
            problems += found
            if progress:
                progress(done, len(work))
    return problems


def _check_shard(path, shard, rows, content):
    try:
        found = _digest(path)
    except tf.errors.OpError as error:
        return [f"{path}: {graph_reason(error)}"]
    problems = []
    for name, value in found.items():
        if value != shard[name]:
            problems.append(f"{path}: {name} {value}, not {shard[name]}")
    count = 0
    try:
        for example in tf.data.TFRecordDataset(path, buffer_size=_BLOCK):
            if count < len(rows):
                problem = check_example(example.numpy(), *rows[count], content)
                if problem:
                    problems.append(f"{path}, example {count}: {problem}")
            count += 1
    except tf.errors.OpError as error:
        problems.append(f"{path}, example {count}: {graph_reason(error)}")
    if count != shard["records"]:
        problems.append(f"{path}: {count} whole examples, not {shard['records']}")
    return problems


def _digest(path):
    digest, size = hashlib.sha256(), 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def join(folder, name):
    """Returns the path of a file of a folder, local or the beginning of a URL."""
    return f"{os.fspath(folder).rstrip('/')}/{name}"


def read_manifest(folder):
    """Reads the content of a folder of shards, a dict; see `docs/preparation.md`."""
    ensure_scheme(folder)
    path = join(folder, MANIFEST)
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = file.read()
    except tf.errors.NotFoundError:
        raise NotFoundError(
            f"A finished folder of shards holds a file {MANIFEST}. Received: {folder}"
        ) from None
    except tf.errors.OpError as error:
        raise ResourceError(
            f"A manifest must be readable. Received: {path}: {graph_reason(error)}"
        ) from None
    try:
        manifest = json.loads(content)
        if not _KEYS <= set(manifest):
            raise SmallBigError(f"no {', '.join(sorted(_KEYS - set(manifest)))}")
    except (ValueError, TypeError) as error:
        raise SmallBigError(
            f"A manifest must be a whole JSON file. Received: {path}: {error}"
        ) from None
    return manifest


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
