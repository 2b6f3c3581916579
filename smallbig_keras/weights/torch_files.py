"""Reads PyTorch's checkpoint files without PyTorch, and without running what is in them.

A checkpoint is a pickle, a program that may call any function. Here it may call those that make
tensors and containers, and nothing else; numbers stay in the file, mapped into memory.
"""

import collections
import dataclasses
import math
import mmap
import pathlib
import pickle
import pickletools
import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np

from smallbig_keras.errors import NotFoundError, SmallBigError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_DTYPES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": ml_dtypes.bfloat16,
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}


class CheckpointError(SmallBigError):
    """A checkpoint is damaged, of an unknown format, or asks for what a checkpoint may not."""


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


class _Inert:
    """A name in the pickle that stands for data; nothing can be set on it."""

    __slots__ = ("_name",)

    def __init__(self, name):
        self._name = name

    def __setstate__(self, state):
        raise pickle.UnpicklingError(f"{self._name} has no state")

    def __repr__(self):
        return self._name


class _StorageType(_Inert):
    """A class of storages, which says the type of the numbers."""

    __slots__ = ()

    @property
    def dtype(self):
        return np.dtype(_DTYPES[self._name])


class _Rebuild(_Inert):
    """A function that makes a tensor of a storage, or of another tensor."""

    __slots__ = ()

    def __call__(self, *args):
        if self._name.startswith("_rebuild_parameter"):
            return args[0]
        storage, offset, size, stride = args[:4]
        return _Tensor(storage, offset, tuple(size), tuple(stride))


@dataclasses.dataclass(eq=False)
class _Storage:
    key: str
    dtype: np.dtype
    count: int
    array: np.ndarray | None = None

    def __setstate__(self, state):
        raise pickle.UnpicklingError("a storage has no state")


@dataclasses.dataclass(eq=False)
class _Tensor:
    storage: _Storage
    offset: int
    size: tuple
    stride: tuple

    def __setstate__(self, state):
        # Attributes that a program has put on a tensor.
        return None

    def array(self):
        """The numbers, as a view of the storage."""
        if not isinstance(self.storage, _Storage) or self.storage.array is None:
            raise CheckpointError("A tensor must have a storage in the file.")
        values = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or not all(_is_count(n) for n in values):
            raise CheckpointError(
                f"A tensor must have a size and a stride of ints, not {self.size}, {self.stride}."
            )
        data = self.storage.array
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if math.prod(self.size) and last >= len(data):
            raise CheckpointError(
                f"A tensor must lie inside its storage of {len(data)} numbers, not end at {last}."
            )
        bytes_ = [s * data.itemsize for s in self.stride]
        view = np.lib.stride_tricks.as_strided(
            data[min(self.offset, len(data)) :], self.size, bytes_, writeable=False
        )
        return view.astype("float32") if data.dtype == ml_dtypes.bfloat16 else view


def _is_count(value):
    return type(value) is int and 0 <= value < 2**62


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
            return _Rebuild(name)
        if module == "torch" and name.removesuffix("Storage") in _DTYPES:
            return _StorageType(name.removesuffix("Storage"))
        if (module, name) == ("torch", "Size"):
            return tuple
        raise CheckpointError(
            f"A checkpoint may make tensors and containers; this one asks for {module}.{name}, "
            "which is refused. Save its state dict alone: torch.save(model.state_dict(), path)."
        )

    def persistent_load(self, identity):
        kind, storage_type, key, _location, count, *view = identity
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise CheckpointError("A checkpoint may refer to storages of numbers only.")
        if not isinstance(key, str) or not _is_count(count):
            raise CheckpointError("A storage must have a key and a number of elements.")
        storage = self.storages.setdefault(key, _Storage(key, storage_type.dtype, count))
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
        pickles = [i for i in archive.infolist() if i.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("A checkpoint must have one file data.pkl in its archive.")
        prefix = pickles[0].filename.removesuffix("data.pkl")
        entries = {info.filename: info for info in archive.infolist()}
        if f"{prefix}byteorder" in entries and archive.read(f"{prefix}byteorder") != b"little":
            raise CheckpointError("A checkpoint must be little-endian.")
        with archive.open(pickles[0]) as file:
            unpickler = _Unpickler(file)
            root = unpickler.load()
    for storage in unpickler.storages.values():
        entry = entries[f"{prefix}data/{storage.key}"]
        numbers = _entry_bytes(data, entry)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError("Numbers in a checkpoint must not be compressed.")
        if zlib.crc32(numbers) != entry.CRC:
            raise CheckpointError(f"The numbers in {entry.filename} are damaged.")
        _fill(storage, numbers)
    return root


def _entry_bytes(data, entry):
    # A local header has lengths of its own: PyTorch pads names so that numbers are aligned.
    start = entry.header_offset
    signature, name, extra = struct.unpack("<4s22xHH", data[start : start + 30])
    start += 30 + name + extra
    if signature != b"PK\x03\x04" or start + entry.file_size > len(data):
        raise CheckpointError(f"{entry.filename} must lie inside the file.")
    return memoryview(data)[start : start + entry.file_size]


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
        _fill(storage, memoryview(data)[start : start + length])
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


def _fill(storage, numbers):
    if len(numbers) != storage.count * storage.dtype.itemsize:
        raise CheckpointError(
            f"Storage {storage.key!r} must have {storage.count} numbers of type {storage.dtype}, "
            f"not {len(numbers)} bytes."
        )
    storage.array = np.frombuffer(numbers, storage.dtype)


def _resolve(value, known):
    """Replaces tensors by arrays in containers; `known` holds by id what was resolved."""
    if id(value) in known:
        return known[id(value)][1]
    result = value
    if isinstance(value, _Tensor):
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
    elif isinstance(value, _Storage | _Inert):
        raise CheckpointError("A checkpoint must hold tensors, not storages or types.")
    known[id(value)] = value, result
    return result
