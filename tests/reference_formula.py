"""Weights and inputs of the golden cases, by the formula that both sides share."""

import json
import pathlib
import zlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "index.json").read_text())


def golden(case):
    with np.load(GOLDEN / f"{case}.npz") as file:
        return dict(file)


def _rng(text):
    return np.random.default_rng(zlib.crc32(text.encode()))


def weight(name, shape, salt=""):
    """One state-dict entry in PyTorch's layout."""
    rng = _rng(salt + name)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, "int64")
    if name.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = rng.standard_normal(shape) * 0.1
    elif len(shape) == 5:
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        value = rng.standard_normal(shape) * np.sqrt(1 / shape[1])
    elif name.endswith(".weight"):
        low, high = (0.02, 0.2) if "big" in name or "bn3" in name else (0.3, 0.9)
        value = rng.uniform(low, high, shape)
    else:
        value = rng.standard_normal(shape) * 0.1
    return value.astype("float32")


def clip(case, shape):
    """The input of a case, channels last; `shape` is channels last too."""
    batch, frames, height, width, channels = shape
    value = _rng(f"{case}/x").standard_normal((batch, channels, frames, height, width))
    return np.moveaxis(value.astype("float32"), 1, -1)


def output_gradient(case, shape):
    """The factor of a block's output in its loss, in PyTorch's layout."""
    return _rng(f"{case}/g").standard_normal(shape).astype("float32")


def relative_error(actual, expected):
    actual, expected = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    if actual.shape != expected.shape:
        raise ValueError(f"shapes differ: {actual.shape}, {expected.shape}")
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)
