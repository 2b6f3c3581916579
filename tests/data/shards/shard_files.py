"""The files of shards: read, damaged and written again."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data.shards.shard_index import IndexBuilder

TEMPLATE = "img_{:05d}.jpg"
NAMES = ["a", "b", "c"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def examples(path):
    return [tf.train.Example.FromString(e.numpy()) for e in tf.data.TFRecordDataset(str(path))]


def damage(path, kind):
    content = path.read_bytes()
    if kind == "flipped bit":
        middle = len(content) // 2
        content = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
    elif kind == "cut":
        content = content[:-100]
    elif kind == "cut between examples":
        (length,) = np.frombuffer(content[:8], "<u8")
        content = content[: int(length) + 16]
    else:
        return path.unlink()
    path.write_bytes(content)


def rewrite(folder, change):
    """Writes the only shard and its index again, with changed examples but right checksums."""
    (path,) = folder.glob("*.tfrecord")
    found = examples(path)
    change(found)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in found:
            writer.write(example.SerializeToString())
    manifest = json.loads((folder / "shards.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest["splits"]["train"]["shards"][0] |= {"bytes": path.stat().st_size, "sha256": digest}
    index = IndexBuilder(manifest["options"]["content"])
    for example in found:
        if example.features.feature:
            index.add(example.SerializeToString())
    path.with_name(f"{path.name}.index").write_bytes(index.to_bytes(digest))
    (folder / "shards.json").write_text(json.dumps(manifest))
    return path


def bytes_read():
    """The bytes that this process has read from files so far, as Linux counts them."""
    status = pathlib.Path("/proc/self/io")
    if not status.exists():
        pytest.skip("only Linux counts what a process reads")
    return int(status.read_text().split()[1])
