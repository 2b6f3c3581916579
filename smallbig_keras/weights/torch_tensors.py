"""Tensors and storages in PyTorch's files, as the reader's own program makes them."""

import dataclasses
import math
import pickle

import ml_dtypes
import numpy as np

from smallbig_keras.errors import SmallBigError

DTYPES = {
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


class Inert:
    """A name in the pickle that stands for data; nothing can be set on it."""

    __slots__ = ("_name",)

    def __init__(self, name):
        self._name = name

    def __setstate__(self, state):
        raise pickle.UnpicklingError(f"{self._name} has no state")

    def __repr__(self):
        return self._name


class StorageType(Inert):
    """A class of storages, which says the type of the numbers."""

    __slots__ = ()

    @property
    def dtype(self):
        return np.dtype(DTYPES[self._name])


class Rebuild(Inert):
    """A function that makes a tensor of a storage, or of another tensor."""

    __slots__ = ()

    def __call__(self, *args):
        if self._name.startswith("_rebuild_parameter"):
            return args[0]
        storage, offset, size, stride = args[:4]
        return Tensor(storage, offset, tuple(size), tuple(stride))


@dataclasses.dataclass(eq=False)
class Storage:
    key: str
    dtype: np.dtype
    count: int
    array: np.ndarray | None = None

    def __setstate__(self, state):
        raise pickle.UnpicklingError("a storage has no state")

    def fill(self, numbers):
        """Takes the bytes in the file as its numbers."""
        if len(numbers) != self.count * self.dtype.itemsize:
            raise CheckpointError(
                f"Storage {self.key!r} must have {self.count} numbers of type {self.dtype}, "
                f"not {len(numbers)} bytes."
            )
        array = np.frombuffer(numbers, self.dtype)
        # Here and not a tensor: many tensors may share a storage.
        self.array = array.astype("float32") if array.dtype == ml_dtypes.bfloat16 else array


@dataclasses.dataclass(eq=False)
class Tensor:
    storage: Storage
    offset: int
    size: tuple
    stride: tuple

    def __setstate__(self, state):
        # Attributes that a program has put on a tensor.
        return None

    def array(self):
        """The numbers, as a view of the storage."""
        if not isinstance(self.storage, Storage) or self.storage.array is None:
            raise CheckpointError("A tensor must have a storage in the file.")
        values = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or not all(is_count(n) for n in values):
            raise CheckpointError(
                f"A tensor must have a size and a stride of ints, not {self.size}, {self.stride}."
            )
        data, count = self.storage.array, math.prod(self.size)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if count and last >= len(data):
            raise CheckpointError(
                f"A tensor must lie inside its storage of {len(data)} numbers, not end at {last}."
            )
        # A stride of 0 repeats a number as often as the size says: gigabytes of a few bytes.
        if count > len(data):
            raise CheckpointError(
                f"A tensor must have no more numbers than its storage, {len(data)}, not {count}. "
                "Save a copy of one that was expanded: tensor.clone()."
            )
        bytes_ = [s * data.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(
            data[min(self.offset, len(data)) :], self.size, bytes_, writeable=False
        )


def is_count(value):
    return type(value) is int and 0 <= value < 2**62
