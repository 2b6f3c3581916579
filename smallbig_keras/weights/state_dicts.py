"""State dicts in the files that PyTorch users have, and in those converted from them."""

import math
import pathlib

import numpy as np

from smallbig_keras.errors import NotFoundError, optional_import
from smallbig_keras.files import replace_file
from smallbig_keras.weights.archives import DAMAGE, open_archive, open_member
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.ports import to_keras_layout
from smallbig_keras.weights.torch_files import CheckpointError, read_torch

TORCH_SUFFIXES = (".pth", ".pt", ".pyth")
SUFFIXES = (*TORCH_SUFFIXES, ".safetensors")
# Where training scripts put the state dict: the authors' and torchvision's, PySlowFast's, others'.
_KEYS = ("state_dict", "model_state", "model")


def read_state_dict(path):
    """Reads the state dict of a PyTorch checkpoint.

    Optimizer, epoch and whatever else lies beside it are ignored, and so is the prefix
    `module.` that data-parallel training adds.

    Args:
        path: str or pathlib.Path. A `.pth`, `.pt`, `.pyth` or `.safetensors` file.

    Returns:
        dict of names to arrays in PyTorch's layout.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged, unsafe, or holds no state dict.
        ImportError: if a `.safetensors` file is given and `safetensors` is not installed.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise NotFoundError(f"A checkpoint must be a file that is there. Received: {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    for key in _KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    named = isinstance(content, dict) and content and all(isinstance(k, str) for k in content)
    if not named or not all(isinstance(value, np.ndarray) for value in content.values()):
        raise CheckpointError(
            "A checkpoint must hold a state dict, names and tensors, itself or under "
            f"{', '.join(_KEYS)}. Received: {path}"
        )
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return content


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
