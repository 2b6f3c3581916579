"""Writes checkpoints as `torch.save` does, without PyTorch."""

import contextlib
import dataclasses
import io
import pickle
import struct
import sys
import types
import zipfile
from unittest import mock

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}


class _Pickler(pickle.Pickler):
    """Pickles arrays as tensors: a call of PyTorch's function on a storage."""

    def __init__(self, file, torch):
        super().__init__(file, protocol=2)
        self.torch = torch
        self.arrays = {}

    def reducer_override(self, value):
        if isinstance(value, View):
            return self._tensor(_Storage(value.array), value.size, value.stride)
        if isinstance(value, Made):
            arguments = (
                self.torch.named(argument.name) if isinstance(argument, Named) else argument
                for argument in value.arguments
            )
            return self.torch.named(value.name), tuple(arguments)
        if not isinstance(value, np.ndarray) or value.dtype.name not in STORAGES:
            return NotImplemented
        strides = tuple(s // value.itemsize for s in value.strides)
        return self._tensor(_Storage(value), value.shape, strides)

    def _tensor(self, storage, size, stride):
        function = self.torch.named("torch._utils._rebuild_tensor_v2")
        return function, (storage, 0, size, stride, False, {})

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        key = str(len(self.arrays))
        self.arrays[key] = value.array
        kind = self.torch.named(f"torch.{STORAGES[value.array.dtype.name]}")
        identity = ("storage", kind, key, "cpu", value.array.size)
        return identity if self.torch.zip else (*identity, None)


class View:
    """A tensor of any size and stride on the numbers of an array."""

    def __init__(self, array, size, stride):
        self.array, self.size, self.stride = array, size, stride


@dataclasses.dataclass(frozen=True)
class Named:
    """A function that need not exist, as an argument of one."""

    name: str


class Made:
    """An object that a function makes, which need not exist: `Made("torch.device", "cpu")`."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


class _Storage:
    def __init__(self, array):
        self.array = array


@contextlib.contextmanager
def _names(zipped):
    """Modules of the names, which pickling looks up and the reader must not need."""
    torch = types.ModuleType("torch")
    modules = {"torch": torch}

    def named(name):
        place, _, short = name.rpartition(".")
        module = modules.setdefault(place, types.ModuleType(place))
        # Python looks up the package of a module too.
        package = place.partition(".")[0]
        sys.modules.update({package: modules.setdefault(package, module), place: module})
        if not hasattr(module, short):
            setattr(module, short, type(short, (), {"__module__": place}))
        return getattr(module, short)

    torch.zip, torch.named = zipped, named
    with mock.patch.dict(sys.modules, modules):
        yield torch


def write_torch(path, value, legacy=False):
    """Writes containers of arrays in the zip format, or in that before PyTorch 1.6."""
    with _names(not legacy) as torch:
        program = io.BytesIO()
        pickler = _Pickler(program, torch)
        pickler.dump(value)
    if legacy:
        with open(path, "wb") as file:
            for header in (MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": True}):
                pickle.dump(header, file, protocol=2)
            file.write(program.getvalue())
            pickle.dump(sorted(pickler.arrays), file, protocol=2)
            for key in sorted(pickler.arrays):
                file.write(struct.pack("<q", pickler.arrays[key].size))
                file.write(np.ascontiguousarray(pickler.arrays[key]).data)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, array in pickler.arrays.items():
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).data)
        archive.writestr("archive/version", "3\n")
    return path
