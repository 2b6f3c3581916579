"""Zip archives of others: members that lie in the file, and no more bytes than it can hold."""

import contextlib
import io
import mmap
import pathlib
import struct
import zipfile
import zlib

from smallbig_keras.files import PositionedReader

# Real weights hardly compress, an optimizer's zeros do: 20 is far from both a file and a bomb.
_EXPANSION = 20
_FLOOR = 64 << 20

# Reading of damaged archives raises these.
DAMAGE = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error),
    *(struct.error, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError),
    *(IndexError, RecursionError),
)


@contextlib.contextmanager
def open_archive(path):
    """Opens a zip archive whose members, all together, are not absurdly larger than the file."""
    size = pathlib.Path(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        odd = [m.filename for m in members if m.compress_type not in (0, zipfile.ZIP_DEFLATED)]
        if odd:
            raise zipfile.BadZipFile(f"{odd[0]} is compressed in a way that is not read")
        claimed, allowed = sum(m.file_size for m in members), max(_FLOOR, _EXPANSION * size)
        if claimed > allowed:
            raise zipfile.BadZipFile(
                f"its members claim {claimed:,} bytes, of which a file of {size:,} may hold "
                f"{allowed:,}"
            )
        yield archive


def open_member(path, archive, name):
    """Opens a member, whole and with the right checksum, as a file that can seek.

    A stored member stays in the file; one that is compressed is read into memory.
    """
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        return io.BytesIO(archive.read(entry))
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return MappedBytes(stored_bytes(data, entry))


def stored_bytes(data, entry):
    """Returns the bytes of a stored member, a view of the mapped archive `data`."""
    # A local header has lengths of its own: PyTorch pads names so that numbers are aligned.
    start = entry.header_offset
    signature, name, extra = struct.unpack("<4s22xHH", data[start : start + 30])
    start += 30 + name + extra
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename} must not be compressed")
    if signature != b"PK\x03\x04" or start + entry.file_size > len(data):
        raise zipfile.BadZipFile(f"{entry.filename} must lie inside the file")
    part = memoryview(data)[start : start + entry.file_size]
    if zlib.crc32(part) != entry.CRC:
        raise zipfile.BadZipFile(f"the bytes of {entry.filename} are damaged")
    return part


class MappedBytes(PositionedReader):
    """Mapped bytes as a file, for libraries that read files; nothing is copied before."""

    def __init__(self, data):
        super().__init__(len(data))
        self._data = data

    def readinto(self, buffer):
        part = self._data[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)
