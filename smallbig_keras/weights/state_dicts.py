"""State dicts in the files that PyTorch users have, and in those converted from them."""

import math
import pathlib
import re

import numpy as np

from smallbig_keras.errors import NotFoundError, optional_import
from smallbig_keras.files import replace_file
from smallbig_keras.weights.archives import DAMAGE, open_archive, open_member
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.layouts import find_layout
from smallbig_keras.weights.layouts.resnet import OPENMMLAB
from smallbig_keras.weights.ports import to_keras_layout
from smallbig_keras.weights.torch_files import CheckpointError, read_torch, unknown_object
from smallbig_keras.weights.torch_tensors import Placeholder

# `.tar` is `.pth.tar`, a name that many training scripts give to no archive.
TORCH_SUFFIXES = (".pth", ".pt", ".pyth", ".ckpt", ".tar")
SUFFIXES = (*TORCH_SUFFIXES, ".safetensors")
# Where training scripts put the state dict: the authors' and torchvision's, PySlowFast's, others'.
_KEYS = ("state_dict", "model_state", "model_state_dict", "model")
# A dict under one of these may be a checkpoint again.
_DEPTH = 2
# Functions that make tensors of kinds that are not read.
_MAKER = re.compile("_rebuild_|_reconstruct|_frombuffer")
_COMPILED = re.compile(r"(?<![^.])_orig_mod\.")
# Of data-parallel training and of Lightning; more than these, one in the other, nobody has.
_WRAPPERS = ("module.", "model.")
_BACKBONES = ("backbone.", *(f"backbone.{wrapper}" for wrapper in _WRAPPERS))
_MOST_WRAPPERS = 8


def read_state_dict(path):
    """Reads the state dict of a PyTorch checkpoint.

    Optimizer, epoch and whatever else lies beside it are ignored. So are the prefixes of
    wrappers: `module.` of data-parallel training, `model.` of Lightning, `_orig_mod.` of
    `torch.compile`, and `backbone.` where OpenMMLab's names do not have it.

    Args:
        path: str or pathlib.Path. A `.pth`, `.pt`, `.pyth`, `.ckpt`, `.pth.tar` or
            `.safetensors` file.

    Returns:
        dict of names to arrays in PyTorch's layout.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged, or holds no state dict of plain tensors.
        ImportError: if a `.safetensors` file is given and `safetensors` is not installed.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise NotFoundError(f"A checkpoint must be a file that is there. Received: {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    try:
        return _without_wrappers(_find_tensors(content))
    except CheckpointError as error:
        raise CheckpointError(f"{error} Received: {path}") from None


def _find_tensors(content):
    """Returns the names and tensors in a checkpoint; versions and the like are left out."""
    for _ in range(_DEPTH):
        inner = (content.get(key) for key in _KEYS) if isinstance(content, dict) else ()
        content = next((value for value in inner if isinstance(value, dict)), content)
    entries = content if isinstance(content, dict) else {}
    for name, value in entries.items():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, Placeholder) and name in _KEYS:
                raise CheckpointError(unknown_object(item, f" under {name}"))
            if isinstance(item, Placeholder) and _MAKER.search(item.name):
                raise CheckpointError(
                    f"A state dict must hold plain tensors; {name} is made by {item!r}, which is "
                    "not read. Save a dense tensor of floats in its place."
                )
    state = {name: value for name, value in entries.items() if isinstance(value, np.ndarray)}
    if not state or not all(isinstance(name, str) for name in state):
        names = [name for name in entries if isinstance(name, str)][:5]
        raise CheckpointError(
            "A checkpoint must hold a state dict, names and tensors, itself or under "
            f"{', '.join(_KEYS)}; this one holds {', '.join(names) or 'no names'}."
        )
    return state


def _without_wrappers(state):
    """Takes the prefixes of wrappers off the names of a state dict."""
    state = _renamed(state, {name: _COMPILED.sub("", name) for name in state})
    for _ in range(_MOST_WRAPPERS):
        prefix = _wrapper(state)
        if prefix is None:
            break
        if prefix in _WRAPPERS:
            # Counters of the wrapper's own: `n_averaged` of averaged weights.
            state = {k: v for k, v in state.items() if k.startswith(prefix)}
        state = _renamed(state, {name: name.removeprefix(prefix) for name in state})
    return state


def _wrapper(state):
    """Returns the prefix of a wrapper that names of a state dict begin with, or `None`."""
    names = [name for name, array in state.items() if array.ndim or "." in name]
    for prefix in _WRAPPERS:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    # OpenMMLab's own names begin as those of a network behind a wrapper do.
    own = (OPENMMLAB.name("stem_conv/kernel"), f"{OPENMMLAB.classifier}.")
    for prefix in _BACKBONES * (not any(name.startswith(own) for name in names)):
        inner = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if find_layout(inner):
            return prefix
    return None


def _renamed(state, names):
    """Returns a state dict under other names, which must differ from each other."""
    renamed = {names[name]: array for name, array in state.items()}
    if len(renamed) != len(state):
        known = {}
        one, other = next(
            (known[short], name)
            for name, short in names.items()
            if known.setdefault(short, name) != name
        )
        raise CheckpointError(
            f"Names must differ without prefixes of wrappers; {one} and {other} do not."
        )
    return renamed


def _read_safetensors(path):
    safetensors = optional_import("safetensors", "safetensors")
    load_file = optional_import("safetensors.numpy", "safetensors").load_file
    try:
        return load_file(path)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"A .safetensors file must be whole ({error}). Received: {path}"
        ) from None


def convert(source, target):
    """Writes a PyTorch checkpoint as a `.npz` file in the layout of Keras."""
    state = read_state_dict(source)
    arrays = {k: to_keras_layout(v) for k, v in state.items() if "num_batches" not in k}
    replace_file(target, lambda file: np.savez(file, **arrays))


def read_converted(path):
    """Reads a `.npz` file that `convert` wrote; raises `WeightsError` if it is damaged."""
    try:
        with open_archive(path) as archive:
            return {
                name.removesuffix(".npy"): _read_array(open_member(path, archive, name))
                for name in archive.namelist()
            }
    except DAMAGE as error:
        raise WeightsError(
            f"Converted weights must be whole ({error}). Delete them. Received: {path}"
        ) from None


def _read_array(file):
    """Reads a `.npy` file that holds as many numbers as it says; NumPy would allocate first."""
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(file)]
    shape, in_columns, dtype = read_header(file)
    values = file.read()
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or claimed != len(values):
        raise ValueError(f"{claimed:,} bytes of {dtype} are claimed, {len(values):,} are there")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if in_columns else "C")
