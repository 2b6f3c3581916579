"""Writes checkpoints as `torch.save` does, without PyTorch."""

import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile

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
            storage, size, stride = _Storage(value.array), value.size, value.stride
            return self.torch._utils._rebuild_tensor_v2, (storage, 0, size, stride, False, {})
        if not isinstance(value, np.ndarray):
            return NotImplemented
        strides = tuple(s // value.itemsize for s in value.strides)
        storage = _Storage(value)
        return self.torch._utils._rebuild_tensor_v2, (storage, 0, value.shape, strides, False, {})

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        key = str(len(self.arrays))
        self.arrays[key] = value.array
        kind = getattr(self.torch, STORAGES[value.array.dtype.name])
        identity = ("storage", kind, key, "cpu", value.array.size)
        return identity if self.torch.zip else (*identity, None)


class View:
    """A tensor of any size and stride on the numbers of an array."""

    def __init__(self, array, size, stride):
        self.array, self.size, self.stride = array, size, stride


class _Storage:
    def __init__(self, array):
        self.array = array


@contextlib.contextmanager
def _names(zipped):
    """Modules of PyTorch's names, which the pickler looks up and the reader must not need."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils, torch.zip = utils, zipped
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise NotImplementedError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield torch
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})


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
