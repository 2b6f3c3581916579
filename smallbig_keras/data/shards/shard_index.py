"""Where the frames of every video lie in a shard: a file beside it, made from it alone.

`SBINDEX1`, the CRC-32 of all that follows, the SHA-256 of the shard, the number of examples; a row
an example; and of its parts sizes, CRC-32 and gaps: 12 bytes a frame. A part is a frame; or the
times of frames, which shards of version 0.1.0 lack, and then each block of a video file. The gap is
the number of bytes between a part and the one before.
"""

import hashlib
import zlib

import numpy as np

from smallbig_keras.errors import ResourceError

SUFFIX = ".index"
# Part of a video file that is read, and checked, at once.
BLOCK = 512 << 10
_MAGIC = b"SBINDEX1"
_ROW = np.dtype([("offset", "<u8"), ("parts", "<u4")])
_COLUMNS = ("<u4", "<u4", "<i4")
_HEAD = len(_MAGIC) + 4 + hashlib.sha256().digest_size + 4
# Bytes around an example in a TFRecord file: its length with a checksum before, a checksum after.
_BEFORE, _AFTER = 12, 4


class ShardIndex:
    """The index of a shard, read from its bytes.

    Args:
        content: bytes. What `IndexBuilder` gave.
        path: str. The file, for errors.
        described: dict. What the manifest says of the shard.

    Raises:
        ResourceError: it is damaged, or that of another shard.
    """

    def __init__(self, content, path, described):
        count = int.from_bytes(content[_HEAD - 4 : _HEAD], "little")
        rows_end = _HEAD + count * _ROW.itemsize
        reason = None
        if content[: len(_MAGIC)] != _MAGIC or content[8:12] != _checksum(content[12:]):
            reason = "a damaged file"
        elif (content[12:44].hex(), count) != (described["sha256"], described["records"]):
            reason = "the index of another shard"
        if reason:
            raise ResourceError(
                "An index must be that of its shard. Delete it, and write it again: "
                f"smallbig prepare check. Received: {path!r}: {reason}"
            )
        self.rows = np.frombuffer(content[_HEAD:rows_end], _ROW)
        self._ends = np.cumsum(self.rows["parts"], dtype=np.int64)
        parts, start, columns = int(self._ends[-1]) if count else 0, rows_end, []
        for kind in _COLUMNS:
            columns.append(np.frombuffer(content, kind, parts, start))
            start += columns[-1].nbytes
        self._sizes, self._checksums, self._gaps = columns

    def parts(self, row):
        """Returns offsets, sizes and CRC-32 of the parts of an example, three arrays."""
        end = self._ends[row]
        own = slice(end - self.rows["parts"][row], end)
        sizes = self._sizes[own].astype(np.int64)
        offsets = int(self.rows["offset"][row]) + np.cumsum(sizes + self._gaps[own]) - sizes
        return offsets, sizes, self._checksums[own]


class IndexBuilder:
    """Makes an index from the examples of a shard, in their order."""

    def __init__(self, content):
        self._content = content
        self._position = 0
        self._rows, self._parts = [], []

    def add(self, example):
        """Notes the next example, bytes."""
        example = memoryview(example)
        features = _features(example)
        parts = features[self._content]
        if self._content == "video":
            ((start, end),) = parts
            blocks = [(at, min(at + BLOCK, end)) for at in range(start, end, BLOCK)]
            parts = [*features.get("times", [(start, start)]), *blocks]
        first = end = parts[0][0]
        for start, stop in parts:
            self._parts.append((stop - start, zlib.crc32(example[start:stop]), start - end))
            end = stop
        self._rows.append((self._position + _BEFORE + first, len(parts)))
        self._position += _BEFORE + len(example) + _AFTER

    def to_bytes(self, sha256):
        """Returns the index of the shard with this SHA-256, as hexadecimal digits."""
        columns = zip(*self._parts, strict=True) if self._parts else [()] * len(_COLUMNS)
        content = b"".join(
            [
                bytes.fromhex(sha256),
                len(self._rows).to_bytes(4, "little"),
                np.array(self._rows, _ROW).tobytes(),
                *(np.array(c, k).tobytes() for c, k in zip(columns, _COLUMNS, strict=True)),
            ]
        )
        return _MAGIC + _checksum(content) + content


def _checksum(content):
    return zlib.crc32(content).to_bytes(4, "little")


def _features(example):
    """Returns where the values of each feature of a `tf.train.Example` are, by name."""
    found = {}
    for start, end in _fields(example, 0, len(example)):
        for entry in _fields(example, start, end):
            (name_start, name_end), feature = _fields(example, *entry)
            (values,) = _fields(example, *feature)
            found[bytes(example[name_start:name_end]).decode()] = [*_fields(example, *values)]
    return found


def _fields(message, start, end):
    """Yields where the fields of a protocol buffer message are, all of which have a length."""
    while start < end:
        # The tag is one byte: no field here has a number above 15.
        size, start = _varint(message, start + 1)
        yield start, start + size
        start += size


def _varint(message, position):
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
