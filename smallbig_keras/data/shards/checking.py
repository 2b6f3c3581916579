"""Compares a folder of shards with its manifest."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf
from google.protobuf.message import DecodeError

from smallbig_keras.data.decoding import BadVideoError, read_frames
from smallbig_keras.data.frame_folders import decode_images, graph_reason
from smallbig_keras.data.shards.manifest import join, read_manifest
from smallbig_keras.machine import num_processors

_BLOCK = 4 << 20


def check_shards(folder, workers=None, progress=None):
    """Reads all shards and compares them with the manifest.

    Size, SHA-256, number of records, and of every record name, label and number of frames, the
    first and the last of which are decoded. A shard is read twice.

    Args:
        folder: str or path. Local, or the beginning of a URL.
        workers: int. Shards read at once. Defaults to `None`, one a processor.
        progress: callable. It is given how many shards are done, and of how many. Defaults to
            `None`.

    Returns:
        list of str, one a problem; empty for a folder that is whole.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: it is damaged.
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
        for record in tf.data.TFRecordDataset(path, buffer_size=_BLOCK):
            if count < len(rows):
                problem = _check_record(record.numpy(), *rows[count], content)
                if problem:
                    problems.append(f"{path}, record {count}: {problem}")
            count += 1
    except tf.errors.OpError as error:
        problems.append(f"{path}, record {count}: {graph_reason(error)}")
    if count != shard["records"]:
        problems.append(f"{path}: {count} whole records, not {shard['records']}")
    return problems


def _digest(path):
    digest, size = hashlib.sha256(), 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _check_record(record, name, label, content):
    """What is wrong with a record, or None."""
    try:
        feature = tf.train.Example.FromString(record).features.feature
        found = feature["id"].bytes_list.value[0].decode("utf-8", "surrogateescape")
        count = feature["num_frames"].int64_list.value[0]
        values = feature[content].bytes_list.value
        if (found, list(feature["label"].int64_list.value)) != (
            name,
            [label] * (label is not None),
        ):
            return f"the video {found!r} in place of {name!r}, or another label"
        if content == "video":
            exact_seek = bool(feature["exact_seek"].int64_list.value[0])
            read_frames(values[0], lambda _: [0, count - 1], count, exact_seek)
        elif len(values) != count:
            return f"{len(values)} frames, not {count}"
        else:
            decode_images(tf.constant([values[0], values[-1]]))
    except BadVideoError as error:
        return str(error).rpartition("Received: ")[2]
    except tf.errors.OpError as error:
        return f"a frame of {name!r} cannot be decoded: {graph_reason(error)}"
    except (DecodeError, IndexError) as error:
        return f"no record of a video ({type(error).__name__}: {error})"
    return None
