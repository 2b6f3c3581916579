"""HDF5 files of others: numbers that lie in the file itself, and nothing else.

HDF5 can name other files (links, external and virtual storage), load filters from libraries of
the machine, and describe arrays of any size in a few bytes. All of that is refused before a
number is read.
"""

import math
import zlib

import ml_dtypes
import numpy as np

# Identifiers of the filters that are read: deflate, shuffle, checksum.
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
# Array of the checksum of all others in our checkpoints of a training: HDF5 itself has none.
CHECKSUM = "training/checksum"
# Deflate cannot compress further.
_EXPANSION = 1032


class Numbers:
    """An array in a checked HDF5 file: its shape is known, its numbers are read when needed."""

    def __init__(self, dataset):
        self._dataset = dataset
        self.shape = dataset.shape

    def __array__(self, dtype=None, copy=None):
        values = self._dataset[()]
        if values.dtype.kind == "V":
            values = values.view(ml_dtypes.bfloat16).astype("float32")
        return np.asarray(values, dtype)


def read_numbers(file, size):
    """Lists the arrays of an open HDF5 file, after a check of everything in it.

    Args:
        file: `h5py.File`.
        size: int. Bytes of the file.

    Returns:
        dict of names, as in `layers/dense/vars/0`, to Numbers.

    Raises:
        ValueError: if the file holds anything but groups and numbers that are stored in it.
    """
    import h5py

    found, stored, seen, groups = {}, 0, set(), [("", file)]
    while groups:
        prefix, group = groups.pop()
        for key in group:
            name = prefix + key
            if not name.isprintable():
                raise ValueError(f"the name {name!r} is not text")
            if not isinstance(link := group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} is a {type(link).__name__}, which may open other files")
            item = group[key]
            # A cycle of links has no end, and links that meet again multiply.
            if (address := h5py.h5o.get_info(item.id).addr) in seen:
                raise ValueError(f"{name} is linked twice")
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append((f"{name}/", item))
            else:
                stored += _check(name, item)
                found[name] = Numbers(item)
    if stored > size:
        raise ValueError(f"its arrays claim {stored:,} bytes of a file of {size:,} bytes")
    return found


def checksum(numbers):
    """Returns the CRC-32 of the arrays of a file and their names, an int."""
    total = 0
    for name in sorted(numbers):
        total = zlib.crc32(np.ascontiguousarray(numbers[name]), zlib.crc32(name.encode(), total))
    return total


def _check(name, dataset):
    """Checks that a dataset is numbers that the file holds; returns the bytes that it takes."""
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{name} is no array")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"the numbers of {name} lie in other files")
    # NumPy has no bfloat16: Keras stores it as two opaque bytes.
    if dataset.dtype.kind not in "biuf" and dataset.dtype != "V2":
        raise ValueError(f"{name} has the type {dataset.dtype}, which is no number")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if len(set(filters)) < len(filters) or set(filters) - {_DEFLATE, _SHUFFLE, _FLETCHER32}:
        raise ValueError(f"{name} is compressed in a way that is not read")
    stored = dataset.id.get_storage_size()
    claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
    if claimed > stored * (_EXPANSION if _DEFLATE in filters else 1):
        raise ValueError(f"{name} claims {claimed:,} bytes of which {stored:,} are in the file")
    return stored
