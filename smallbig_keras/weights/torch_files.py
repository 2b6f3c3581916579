"""Reads PyTorch's checkpoint files without PyTorch, and without running what is in them.

A checkpoint is a pickle, a program that may call any function. Here it makes tensors, arrays and
containers. Any other name is a placeholder, which does nothing. The numbers of tensors stay in the
file, mapped into memory.
"""

import mmap
import pathlib
import pickle
import pickletools
import re
import struct
import zipfile

from smallbig_keras.errors import NotFoundError
from smallbig_keras.weights.archives import stored_bytes
from smallbig_keras.weights.torch_tensors import (
    DTYPES,
    CheckpointError,
    Encode,
    Inert,
    NumpyArray,
    NumpyType,
    Ordered,
    Placeholder,
    Rebuild,
    Size,
    Storage,
    StorageType,
    Tensor,
    is_count,
)

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_KNOWN = {
    "collections.OrderedDict": Ordered,
    "torch.Size": Size,
    "numpy.dtype": NumpyType("numpy.dtype"),
    **dict.fromkeys(
        (f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")), NumpyArray
    ),
    **{
        f"{module}.{name}": Rebuild(name)
        for module, names in (
            ("torch._utils", ("_rebuild_tensor", "_rebuild_tensor_v2")),
            ("torch._utils", ("_rebuild_parameter", "_rebuild_parameter_with_state")),
            ("torch.tensor", ("_rebuild_from_type",)),
            ("torch._tensor", ("_rebuild_from_type", "_rebuild_from_type_v2")),
        )
        for name in names
    },
    **{f"torch.{name}Storage": StorageType(name) for name in DTYPES},
    "torch.storage.UntypedStorage": StorageType("Untyped"),
}
# A placeholder takes a kilobyte. The largest training scripts pickle some dozens of classes.
_MOST_NAMES = 1000
# A tuple that holds another twice, and so on, is hashed for hours where it is a key.
_MOST_TUPLES = 100_000
# Files under the names of checkpoints, by their first bytes or a member of their archive.
_OTHERS = (
    (rb"\x89HDF", "an HDF5 file, as Keras writes: name it .h5"),
    (rb"version https://git-lfs", "a pointer of Git LFS: fetch the file, git lfs pull"),
    (rb"\x1f\x8b", "a gzip file: unpack it first"),
    (rb"(?s).{257}ustar", "a tar archive: unpack it first"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html)", "a web page: download the file itself"),
    (rb"(?s).{5}\0{3}\{", "a safetensors file: name it .safetensors"),
    (rb"(?s)\x08.\x12", "an ONNX file: take the checkpoint that it was exported from"),
)
_OTHER_ARCHIVES = (
    (
        r"[^/]+/(constants\.pkl|code/.*)",
        "a TorchScript archive, a program: load it with PyTorch and save the state dict, "
        "torch.save(torch.jit.load(path).state_dict(), new_path)",
    ),
    (
        r"[^/]+/archive_format",
        "an exported program: save the state dict of its model, torch.save(model.state_dict(), "
        "path)",
    ),
    (r"model\.weights\.h5", "a file of Keras: name it .keras"),
)


def read_torch(path):
    """Reads a `.pth` file, in the zip format or that of PyTorch before 1.6.

    Tensors become arrays that lie in the file, which is mapped and not copied; parameters and
    tensors of subclasses are the tensors that they hold. Numbers of type bfloat16, which NumPy
    lacks, become float32. NumPy's arrays of numbers are read; any other object is a placeholder,
    which shows the name in the file and holds nothing.

    Args:
        path: str or pathlib.Path. The file.

    Returns:
        The saved object: dicts, lists, tuples, strings, numbers, read-only arrays, placeholders.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is not whole, is no checkpoint, or holds one unknown object,
            as a whole model is; nothing of it was run.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise NotFoundError(f"A checkpoint must be a file that is there. Received: {path}")
    if not path.stat().st_size:
        raise CheckpointError(f"A checkpoint must not be empty. Received: {path}")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        _refuse(_OTHERS, data[:512])
        read = _read_zip if data[:4] == b"PK\x03\x04" else _read_legacy
        return _resolve(_check_root(read(path, data)), {})
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


def _refuse(kinds, *found):
    """Refuses a file of another kind: `found` are its first bytes, or names in its archive."""
    for pattern, kind in kinds:
        if any(re.match(pattern, one) for one in found):
            raise CheckpointError(f"A checkpoint must be a file of torch.save; this is {kind}.")


def _check_root(root):
    if isinstance(root, Inert | Storage | type):
        raise CheckpointError(unknown_object(root))
    return root


def unknown_object(value, place=""):
    """Returns the message for an object in the place of a state dict."""
    return (
        f"A checkpoint must hold a state dict; this one holds an object of {value!r}{place}. Save "
        "its state dict: torch.save(model.state_dict(), path)."
    )


class _Unpickler(pickle.Unpickler):
    """Runs a checkpoint's program with the names that are known; all others are placeholders."""

    def __init__(self, file):
        start = file.tell()
        _check_program(file)
        file.seek(start)
        # Python 2 has bytes in its strings.
        super().__init__(file, encoding="latin1")
        self.storages = {}
        self._known = {**_KNOWN, "_codecs.encode": Encode("_codecs.encode")}
        self._unknown = {}

    def find_class(self, module, name):
        name = f"{module}.{name}"
        if name in self._known:
            return self._known[name]
        if name not in self._unknown:
            if len(self._unknown) == _MOST_NAMES:
                raise CheckpointError(
                    f"A checkpoint may name {_MOST_NAMES} functions and classes, not more."
                )
            self._unknown[name] = Placeholder(name)
        return self._unknown[name]

    def persistent_load(self, identity):
        if identity[0] == "module" and isinstance(identity[1], Placeholder):
            # A class, with its source, in models that were saved whole before PyTorch 1.6.
            return identity[1]
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
    """Refuses programs for which Python would take gigabytes or hours of a few bytes."""
    # For each object on the stack, the tuples inside it, as often as its hash would visit them.
    stack, marks, memo = [], [], {}
    for count, (opcode, value, _) in enumerate(pickletools.genops(file)):
        name, kinds = opcode.name, opcode.stack_before
        if name in ("PUT", "LONG_BINPUT") and value > count:
            # Python makes all places before it.
            raise pickle.UnpicklingError(f"place {value} after {count} instructions")
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else value] = stack[-1]
            continue
        if name == "MARK":
            marks.append(len(stack))
            continue
        if name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
            continue
        if pickletools.markobject in kinds:
            start = marks.pop() - kinds.index(pickletools.markobject)
        else:
            start = len(stack) - len(kinds)
        taken = stack[start:]
        del stack[start:]
        if name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[value])
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(1 + sum(taken))
        else:
            stack += taken * 2 if name == "DUP" else [0] * len(opcode.stack_after)
        if stack and stack[-1] > _MOST_TUPLES:
            raise pickle.UnpicklingError(f"a tuple of more than {_MOST_TUPLES} tuples")


def _read_zip(path, data):
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        _refuse(_OTHER_ARCHIVES, *entries)
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
    """Replaces tensors in containers by arrays; `known` holds by id those that were replaced."""
    if id(value) in known:
        return known[id(value)][1]
    result = value
    if isinstance(value, Tensor | NumpyArray):
        result = value.array()
    elif isinstance(value, dict):
        result = {}
        known[id(value)] = value, result
        result.update((key, _resolve(item, known)) for key, item in value.items())
    elif isinstance(value, list):
        result = []
        known[id(value)] = value, result
        result.extend(_resolve(item, known) for item in value)
    elif isinstance(value, tuple):
        result = tuple(_resolve(item, known) for item in value)
    known[id(value)] = value, result
    return result
