"""A folder of shards, local or on another machine: its manifest, and if the shards are whole."""

import hashlib
import json
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from smallbig_keras.data.frame_folders import graph_reason
from smallbig_keras.data.shards.examples import check_example
from smallbig_keras.data.shards.shard_index import SUFFIX, IndexBuilder
from smallbig_keras.data.shards.storage import ensure_scheme
from smallbig_keras.errors import NotFoundError, ResourceError, SmallBigError
from smallbig_keras.files import replace_file, scheme
from smallbig_keras.machine import num_processors

MANIFEST = "shards.json"
_KEYS = {"options", "class_names", "splits", "videos"}
_BLOCK = 4 << 20


def check_shards(folder, workers=None, progress=None):
    """Reads all shards and compares them with the manifest.

    Size, SHA-256 and number of examples; of every example name, label and number of frames, the
    first and the last of which are decoded; and the index. A shard is read twice. An index that
    is missing beside a whole shard is written.

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
    count, index = 0, IndexBuilder(content)
    try:
        for example in tf.data.TFRecordDataset(path, buffer_size=_BLOCK):
            if count < len(rows):
                problem = check_example(example.numpy(), *rows[count], content)
                if problem:
                    problems.append(f"{path}, example {count}: {problem}")
                elif not problems:
                    index.add(example.numpy())
            count += 1
    except tf.errors.OpError as error:
        problems.append(f"{path}, example {count}: {graph_reason(error)}")
    if count != shard["records"]:
        problems.append(f"{path}: {count} whole examples, not {shard['records']}")
    return problems or _check_index(path + SUFFIX, index.to_bytes(shard["sha256"]))


def _check_index(path, expected):
    """Compares an index with that of its shard, or writes it where there is none."""
    try:
        if tf.io.gfile.exists(path):
            with tf.io.gfile.GFile(path, "rb") as file:
                if file.read() == expected:
                    return []
            return [f"{path}: not the index of its shard. Delete it, and check again"]
        write_index(path, expected)
    except (tf.errors.OpError, SmallBigError) as error:
        return [f"{path}: it cannot be read or written: {error}"]
    return []


def write_index(path, content):
    """Writes the index of a shard."""
    if scheme(path):
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(content)
    else:
        replace_file(pathlib.Path(path), lambda file: file.write_bytes(content))


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
