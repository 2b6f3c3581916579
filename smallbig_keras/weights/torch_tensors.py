"""The objects in PyTorch's files, as the reader's own program makes them."""

import dataclasses
import math
import pickle
import re

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
    # Of quantized tensors and of bytes: read over, and no tensor is made of them.
    "QInt8": "int8",
    "QUInt8": "uint8",
    "QInt32": "int32",
    "Untyped": "uint8",
}
# Numbers in NumPy's pickles.
_NUMBERS = re.compile("b1|[iu][1248]|f[248]")
# More axes than NumPy has are not read one by one.
_MOST_AXES = 64


class CheckpointError(SmallBigError):
    """A checkpoint is damaged, of an unknown format, or asks for what a checkpoint may not."""


class Placeholder(type):
    """An unknown function or class, and whatever a program makes of it: itself, unchanged.

    It is a class because unpickling asks for one. Calls, state and items are not kept, so that
    it takes no more memory than its name, and nothing is imported or run.

    Args:
        name: str. Module and name in the pickle.
    """

    def __new__(cls, name):
        return super().__new__(cls, "Placeholder", (), {"name": name, "__new__": _itself})

    def _swallow(cls, *_args):
        """Takes state, an item or items, and keeps none."""

    __setstate__ = __setitem__ = append = extend = add = _swallow

    def __repr__(cls):
        # A terminal must not get control characters of a file.
        return cls.name if cls.name.isprintable() else ascii(cls.name)


def _itself(cls, *_args, **_options):
    return cls


class Inert:
    """A known name in the pickle that stands for data; nothing can be set on it."""

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
        if self._name.startswith("_rebuild_from_type"):
            # A subclass: the function and the arguments of the tensor under it.
            function, _subclass, arguments, _state = args
            return function(*arguments)
        return Tensor(*args[:4])


class Size:
    """PyTorch's class of sizes, which makes the tuple that is given, and no copy of a list."""

    def __new__(cls, size):
        if not isinstance(size, tuple):
            raise pickle.UnpicklingError("a size must be a tuple")
        return size

    def __setstate__(self, state):
        raise pickle.UnpicklingError("a size has no state")


class Encode(Inert):
    """The function by which pickles of protocol 2 write bytes; it encodes each text once."""

    __slots__ = ("_known",)

    def __init__(self, name):
        super().__init__(name)
        self._known = {}

    def __call__(self, text, _encoding):
        if text not in self._known:
            self._known[text] = text.encode("latin1")
        return self._known[text]


class Ordered(dict):
    """An ordered dict; attributes that a program puts on it are not kept."""

    def __init__(self, items=()):
        super().__init__(items)
        # Python 2 hands over a list. A program that did so again and again would fill memory.
        if items:
            items.clear()

    def __setstate__(self, state):
        """Takes the state of PyTorch's state dicts, versions of modules."""


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
        if not (
            (is_count(self.offset) and is_shape(self.size) and is_shape(self.stride))
            and len(self.size) == len(self.stride)
        ):
            raise CheckpointError("A tensor must have an offset, a size and a stride of ints.")
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


class NumpyType(Inert):
    """NumPy's class of types."""

    __slots__ = ()

    def __call__(self, code, *_options):
        return NumpyNumber(code)


@dataclasses.dataclass(eq=False)
class NumpyNumber:
    """A type of NumPy: its kind and length in bytes, and its order of bytes."""

    code: str
    order: str = ""

    def __setstate__(self, state):
        self.order = state[1]

    def dtype(self):
        """The type, or `None` if it is none of numbers in the order of this machine."""
        known = isinstance(self.code, str) and _NUMBERS.fullmatch(self.code)
        return np.dtype(self.code) if known and self.order in ("<", "|") else None


_UNREAD = Placeholder("numpy.core.multiarray._reconstruct")


class NumpyArray:
    """An array in a pickle; its state is shape, type and bytes."""

    def __init__(self, *_arguments):
        self._state = (None,) * 5

    def __setstate__(self, state):
        self._state = state

    def array(self):
        """The numbers, as a view of the bytes in the pickle; a placeholder for other content."""
        _version, shape, number, in_columns, data = self._state
        dtype = number.dtype() if isinstance(number, NumpyNumber) else None
        if dtype is None or not isinstance(data, bytes):
            return _UNREAD
        if not is_shape(shape) or math.prod(shape) * dtype.itemsize != len(data):
            raise CheckpointError(
                f"An array must have as many numbers as its shape says, not {len(data)} bytes."
            )
        return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")


def is_shape(value):
    return isinstance(value, tuple) and len(value) <= _MOST_AXES and all(map(is_count, value))


def is_count(value):
    return type(value) is int and 0 <= value < 2**62
