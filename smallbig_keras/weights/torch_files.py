"""Reads PyTorch's checkpoint files without PyTorch, and without running what is in them.

A checkpoint is a pickle, a program that may call any function. Here it may call those that make
tensors and containers, and nothing else; numbers stay in the file, mapped into memory.
"""

import collections
import mmap
import pathlib
import pickle
import pickletools
import struct
import zipfile

from smallbig_keras.errors import NotFoundError
from smallbig_keras.weights.archives import stored_bytes
from smallbig_keras.weights.torch_tensors import (
    DTYPES,
    CheckpointError,
    Inert,
    Rebuild,
    Storage,
    StorageType,
    Tensor,
    is_count,
)

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


def read_torch(path):
    """Reads a `.pth` file, in the zip format or that of PyTorch before 1.6.

    Tensors become arrays that lie in the file, which is mapped and not copied; parameters are
    the tensors that they hold. Numbers of type bfloat16, which NumPy lacks, become float32.

    Args:
        path: str or pathlib.Path. The file.

    Returns:
        The saved object: dicts, lists, tuples, strings, numbers and read-only arrays.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is not whole, is no checkpoint, or calls anything but what
            makes tensors and containers; nothing of it was run.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise NotFoundError(f"A checkpoint must be a file that is there. Received: {path}")
    if not path.stat().st_size:
        raise CheckpointError(f"A checkpoint must not be empty. Received: {path}")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        read = _read_zip if data[:4] == b"PK\x03\x04" else _read_legacy
        return _resolve(read(path, data), {})
    except CheckpointError as error:
        raise CheckpointError(f"{error} Received: {path}") from None
    except _DAMAGE as error:
        raise CheckpointError(
            "A checkpoint must be a whole file that torch.save wrote; this one is cut short, "
            f"damaged or of another kind ({type(error).__name__}: {error}). Received: {path}"
        ) from None


# Unpickling of damaged bytes raises these.
_DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, AttributeError),
    *(ImportError, IndexError, KeyError, MemoryError, NotImplementedError, OverflowError),
    *(RecursionError, TypeError, ValueError),
)


class _Unpickler(pickle.Unpickler):
    """Runs a checkpoint's program with the names below and no others."""

    def __init__(self, file):
        start = file.tell()
        _check_program(file)
        file.seek(start)
        super().__init__(file, encoding="utf-8")
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in (
            *("_rebuild_tensor", "_rebuild_tensor_v2"),
            *("_rebuild_parameter", "_rebuild_parameter_with_state"),
        ):
            return Rebuild(name)
        if module == "torch" and name.removesuffix("Storage") in DTYPES:
            return StorageType(name.removesuffix("Storage"))
        if (module, name) == ("torch", "Size"):
            return tuple
        raise CheckpointError(
            f"A checkpoint may make tensors and containers; this one asks for {module}.{name}, "
            "which is refused. Save its state dict alone: torch.save(model.state_dict(), path)."
        )

    def persistent_load(self, identity):
        kind, storage_type, key, _location, count, *view = identity
        if kind != "storage" or not isinstance(storage_type, StorageType):
            raise CheckpointError("A checkpoint may refer to storages of numbers only.")
        if not isinstance(key, str) or not is_count(count):
            raise CheckpointError("A storage must have a key and a number of elements.")
        storage = self.storages.setdefault(key, Storage(key, storage_type.dtype, count))
        if storage.dtype != storage_type.dtype or storage.count != count:
            raise CheckpointError(f"Storage {key!r} must have one type and size.")
        if view and view[0] is not None:
            raise CheckpointError("Storages that are views of others are not read.")
        return storage


def _check_program(file):
    """Refuses numbers for which Python would fill gigabytes before it misses the bytes."""
    for count, (opcode, value, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "LONG_BINPUT") and value > count:
            raise pickle.UnpicklingError(f"place {value} after {count} instructions")


def _read_zip(path, data):
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        pickles = [entry for name, entry in entries.items() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("A checkpoint must have one file data.pkl in its archive.")
        prefix = pickles[0].filename.removesuffix("data.pkl")
        order = entries.get(f"{prefix}byteorder")
        if order is not None and stored_bytes(data, order) != b"little":
            raise CheckpointError("A checkpoint must be little-endian.")
        # A check: a program that is compressed may be of any length.
        stored_bytes(data, pickles[0])
        with archive.open(pickles[0]) as file:
            unpickler = _Unpickler(file)
            root = unpickler.load()
    stored = 0
    for storage in unpickler.storages.values():
        numbers = stored_bytes(data, entries[f"{prefix}data/{storage.key}"])
        stored += len(numbers)
        # Members of an archive may overlap.
        if stored > len(data):
            raise CheckpointError("Storages must lie side by side in the file.")
        storage.fill(numbers)
    return root


def _read_legacy(_path, data):
    file = _Mapped(data)
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise CheckpointError("A checkpoint must be a zip archive or begin with PyTorch's mark.")
    if _Unpickler(file).load() != _LEGACY_PROTOCOL:
        raise CheckpointError(f"A checkpoint must be of protocol {_LEGACY_PROTOCOL}.")
    system = _Unpickler(file).load()
    if system.get("little_endian") is not True:
        raise CheckpointError("A checkpoint must be little-endian.")
    unpickler = _Unpickler(file)
    root = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise CheckpointError(f"Storage {key!r} must have {storage.count} numbers.")
        start, length = file.position, count * storage.dtype.itemsize
        if start + length > len(data):
            raise EOFError(f"storage {key!r} ends behind the file")
        storage.fill(memoryview(data)[start : start + length])
        file.position += length
    return root


class _Mapped:
    """Mapped bytes as a file, whose position after a pickle is exact."""

    def __init__(self, data):
        self.data = data
        self.position = 0

    def tell(self):
        return self.position

    def seek(self, position):
        self.position = position

    def read(self, size=-1):
        end = len(self.data) if size < 0 else self.position + size
        part = self.data[self.position : end]
        self.position += len(part)
        return part

    def readline(self):
        end = self.data.find(b"\n", self.position)
        return self.read(-1 if end < 0 else end + 1 - self.position)


def _resolve(value, known):
    """Replaces tensors by arrays in containers; `known` holds by id what was resolved."""
    if id(value) in known:
        return known[id(value)][1]
    result = value
    if isinstance(value, Tensor):
        result = value.array()
    elif isinstance(value, dict):
        result = {}
        known[id(value)] = value, result
        result.update((_resolve(k, known), _resolve(v, known)) for k, v in value.items())
    elif isinstance(value, list):
        result = []
        known[id(value)] = value, result
        result.extend(_resolve(item, known) for item in value)
    elif isinstance(value, tuple):
        result = tuple(_resolve(item, known) for item in value)
    elif isinstance(value, Storage | Inert):
        raise CheckpointError("A checkpoint must hold tensors, not storages or types.")
    known[id(value)] = value, result
    return result
