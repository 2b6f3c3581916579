"""Weights and inputs of the golden cases of the peers, by the rule that both sides share."""

import json
import pathlib
import zlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden" / "peers"
CASES = json.loads((GOLDEN / "index.json").read_text())
# Standard deviation, by the number of inputs of a value.
_SPREADS = {"kernel": 2, "narrow": 0.25, "narrowest": 0.03, "dense": 1, "dense_small": 0.01}
_RANGES = {"var": (0.5, 1.5), "gamma": (0.6, 1.4), "gamma_last": (0.1, 0.5)}


def golden(case):
    with np.load(GOLDEN / f"{case}.npz") as file:
        return dict(file)


def _rng(text):
    return np.random.default_rng(zlib.crc32(text.encode()))


def weight(name, shape, rule, salt):
    """One state-dict entry in PyTorch's layout."""
    rng = _rng(salt + name)
    if rule in _RANGES:
        value = rng.uniform(*_RANGES[rule], shape)
    else:
        spread = np.sqrt(_SPREADS[rule] / np.prod(shape[1:])) if rule in _SPREADS else 0.1
        value = rng.standard_normal(shape) * (1 if rule == "unit" else spread)
    return value.astype("float32")


def state(case, prefix=""):
    """The state dict of a case."""
    entry = CASES[case]
    return {prefix + n: weight(n, s, rule, entry["salt"]) for n, s, rule in entry["state"]}


def clip(case):
    """The input of a case, channels last."""
    entry = CASES[case]
    return random_clip(entry["salt"], entry["input"])


def random_clip(salt, shape):
    """Clips whose frames, rows and columns differ, channels last; `shape` is PyTorch's."""
    n, c, t, h, w = shape
    rng = _rng(salt + "x")
    parts = [(n, c, t, h, w), (n, c, t, 1, 1), (n, c, 1, h, 1), (n, c, 1, 1, w)]
    value = sum(rng.standard_normal(part) for part in parts)
    return np.moveaxis(value.astype("float32"), 1, -1)


def output_gradient(case, shape):
    """The factor of a block's output in its loss, channels last."""
    batch, *sizes, channels = shape
    rng = _rng(CASES[case]["salt"] + "g")
    value = rng.standard_normal((batch, channels, *sizes)).astype("float32")
    return np.moveaxis(value, 1, -1)
