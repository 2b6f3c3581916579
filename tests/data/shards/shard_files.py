"""The files of shards: read, damaged and written again."""

import json

import numpy as np
import tensorflow as tf

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
    """Writes the only shard again, with changed examples but right checksums of each."""
    (path,) = folder.glob("*.tfrecord")
    found = examples(path)
    change(found)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in found:
            writer.write(example.SerializeToString())
    manifest = json.loads((folder / "shards.json").read_text())
    manifest["splits"]["train"]["shards"][0]["bytes"] = path.stat().st_size
    (folder / "shards.json").write_text(json.dumps(manifest))
    return path
