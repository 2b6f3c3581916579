"""State dicts and files of those who published trained trunks, by the rule that both sides share.

Names, shapes and wrappings are those of the publishers' code; the numbers are random.
"""

import collections
import dataclasses
import json
import pathlib
import sys
import types
from unittest import mock

import numpy as np

from tests.peers_formula import random_clip, weight
from tests.weights.torch_writer import write_torch

GOLDEN = pathlib.Path(__file__).parent / "golden" / "publishers"
R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)


@dataclasses.dataclass(frozen=True)
class Names:
    """Modules of a code: of a convolution and its normalisation, and of the classifier."""

    stem: tuple
    unit: tuple
    shortcut: tuple
    classifier: str

    def of_unit(self, layer, block, unit):
        """The modules of a unit, 1 to 3, of a block from 0 of a layer from 1."""
        places = {"layer": layer, "stage": layer + 1, "block": block}
        return [m.format(**places, unit=unit, letter=" abc"[unit]) for m in self.unit]

    def of_shortcut(self, layer, block):
        return [m.format(layer=layer, stage=layer + 1, block=block) for m in self.shortcut]


_BLOCK = "backbone.layer{layer}.{block}"
OPENMMLAB = Names(
    ("backbone.conv1.conv", "backbone.conv1.bn"),
    (f"{_BLOCK}.conv{{unit}}.conv", f"{_BLOCK}.conv{{unit}}.bn"),
    (f"{_BLOCK}.downsample.conv", f"{_BLOCK}.downsample.bn"),
    "cls_head.fc_cls",
)
_BLOCK = "blocks.{layer}.res_blocks.{block}"
PYTORCHVIDEO = Names(
    ("blocks.0.conv", "blocks.0.norm"),
    (f"{_BLOCK}.branch2.conv_{{letter}}", f"{_BLOCK}.branch2.norm_{{letter}}"),
    (f"{_BLOCK}.branch1_conv", f"{_BLOCK}.branch1_norm"),
    "blocks.5.proj",
)
_BLOCK = "s{stage}.pathway0_res{block}"
PYSLOWFAST = Names(
    ("s1.pathway0_stem.conv", "s1.pathway0_stem.bn"),
    (f"{_BLOCK}.branch2.{{letter}}", f"{_BLOCK}.branch2.{{letter}}_bn"),
    (f"{_BLOCK}.branch1", f"{_BLOCK}.branch1_bn"),
    "head.projection",
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of a publisher.

    Args:
        names: Names.
        file: str. Name of the publisher's file.
        blocks: tuple of int.
        classes: int.
        slow: bool. Kernels have five axes; those of the first units of layers 3 and 4 are over
            three frames.
        shift_every: int. Blocks from one that shifts to the next, 0 for none.
        frames: int. Frames of the golden clips.
    """

    names: Names
    file: str
    blocks: tuple = R50
    classes: int = 400
    slow: bool = False
    shift_every: int = 0
    frames: int = 4


CASES = {
    "c2d_r50": Case(
        OPENMMLAB,
        "c2d_r50-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb_20221027-e0227b22.pth",
    ),
    "c2d_r101": Case(
        OPENMMLAB,
        "c2d_r101-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb_20221027-557bd8bc.pth",
        R101,
    ),
    "tsn_r50": Case(
        OPENMMLAB,
        "tsn_imagenet-pretrained-r50_8xb32-1x1x8-50e_sthv2-rgb_20230313-06ad7d03.pth",
        classes=174,
    ),
    "slowonly_r50": Case(
        OPENMMLAB,
        "slowonly_imagenet-pretrained-r50_8xb16-8x8x1-steplr-150e_kinetics400-rgb_20220901-"
        "df42dc84.pth",
        slow=True,
    ),
    "slowonly_r101": Case(
        OPENMMLAB,
        "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb_20220901-e6281431.pth",
        R101,
        slow=True,
    ),
    "tsm_r50": Case(
        OPENMMLAB,
        "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth",
        shift_every=1,
        frames=8,
    ),
    "tsm_r101": Case(
        OPENMMLAB,
        "tsm_imagenet-pretrained-r101_8xb16-1x1x8-50e_sthv2-rgb_20230320-efcc0d1b.pth",
        R101,
        classes=174,
        shift_every=2,
        frames=8,
    ),
    "slow_r50": Case(PYTORCHVIDEO, "SLOW_8x8_R50.pyth", classes=174, slow=True),
    "slow_r50_slowfast": Case(PYSLOWFAST, "checkpoint_epoch_00196.pyth", slow=True),
}


def entries(case):
    """Yields name, shape in PyTorch's layout and rule of each entry of the state dict."""
    names, channels = case.names, 64
    yield from _convolution(case, *names.stem, 64, 3, 7)
    for layer, blocks in enumerate(case.blocks, start=1):
        width = 32 * 2**layer
        for block in range(blocks):
            frames = 3 if case.slow and layer > 2 else 1
            conv, norm = names.of_unit(layer, block, 1)
            if case.shift_every and block % case.shift_every == 0:
                conv += ".net"
            yield from _convolution(case, conv, norm, width, channels, 1, frames)
            yield from _convolution(case, *names.of_unit(layer, block, 2), width, width, 3)
            last = *names.of_unit(layer, block, 3), 4 * width, width
            yield from _convolution(case, *last, 1, gamma="gamma_last")
            if block == 0:
                shortcut = *names.of_shortcut(layer, block), 4 * width, channels
                yield from _convolution(case, *shortcut, 1)
            channels = 4 * width
    yield f"{names.classifier}.weight", (case.classes, channels), "dense"
    yield f"{names.classifier}.bias", (case.classes,), "bias"


def _convolution(case, conv, norm, outputs, inputs, size, frames=1, gamma="gamma"):
    over_time = (frames,) if case.slow else ()
    yield f"{conv}.weight", (outputs, inputs, *over_time, size, size), "kernel"
    for kind, rule in (
        *(("weight", gamma), ("bias", "bias"), ("running_mean", "mean"), ("running_var", "var")),
        ("num_batches_tracked", "count"),
    ):
        yield f"{norm}.{kind}", () if rule == "count" else (outputs,), rule


def state(name, **changes):
    """The state dict of a case, of which fields are changed."""
    case = dataclasses.replace(CASES[name], **changes)
    return collections.OrderedDict(
        (key, np.array(24_000) if rule == "count" else weight(key, shape, rule, name))
        for key, shape, rule in entries(case)
    )


def clip(name):
    """The golden clips of a case, channels last."""
    return random_clip(name, (2, 3, CASES[name].frames, 72, 72))


def golden(name):
    """The scores of the golden clips before the softmax."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return file["logits"]


def facts():
    return json.loads((GOLDEN / "index.json").read_text())


def write(folder, name, weights, training=False):
    """Writes a file as its publisher has it, or as training left it; returns its path."""
    wrap = {OPENMMLAB: _openmmlab, PYTORCHVIDEO: _pytorchvideo, PYSLOWFAST: _pyslowfast}
    content = wrap[CASES[name].names](weights, training)
    with mock.patch.dict(sys.modules, _MODULES):
        return write_torch(folder / CASES[name].file, content)


_MOMENTUM = {
    "state": {0: {"momentum_buffer": np.zeros((64, 3), "float32")}},
    "param_groups": [{"lr": 0.01, "momentum": 0.9, "nesterov": False, "params": [0]}],
}


def _openmmlab(weights, training):
    versions = {"mmengine_version": "0.7.3", "time": "20220901_120000", "epoch": 100, "iter": 94000}
    content = {
        "meta": {**versions, "cfg": "model = dict(type='Recognizer2D')\n", "dataset_meta": {}},
        "state_dict": weights,
    }
    if training:
        scalars = collections.OrderedDict({"train/loss": HistoryBuffer([5.9, 5.8])})
        hub = {"log_scalars": scalars, "runtime_info": {"loss": np.float64(5.8)}}
        content["message_hub"] = {**hub, "resumed_keys": {"train/loss": True}}
        content["optimizer"] = _MOMENTUM
        content["param_schedulers"] = [{"milestones": collections.Counter({40: 1}), "gamma": 0.1}]
    return content


def _pytorchvideo(weights, training):
    return {"model_state": weights, **({"optimizer_state": _MOMENTUM} if training else {})}


def _pyslowfast(weights, training):
    config = "MODEL:\n  ARCH: slow\n  MODEL_NAME: ResNet\n"
    return {"epoch": 196, "model_state": weights, "optimizer_state": _MOMENTUM, "cfg": config}


class HistoryBuffer:
    """mmengine's log of a figure, which its training checkpoints hold beside the weights."""

    def __init__(self, values):
        self.max_length = 1_000_000
        self._log_history = _Array(np.array(values))
        self._count_history = _Array(np.ones(len(values), "int64"))
        self.statistics_methods = {"min": HistoryBuffer.min}

    def min(self):
        raise NotImplementedError


class _Array:
    """An array that is pickled as NumPy before version 2 does, and not as a tensor."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        return _reconstruct, *self.array.__reduce__()[1:]


def _reconstruct():
    raise NotImplementedError


# Modules that the pickler looks these up in, and the reader must not need.
_HISTORY, _NUMPY = "mmengine.logging.history_buffer", "numpy.core.multiarray"
HistoryBuffer.__module__, HistoryBuffer.min.__module__ = _HISTORY, _HISTORY
_reconstruct.__module__ = _NUMPY
_MODULES = {name: types.ModuleType(name) for name in ("mmengine", "mmengine.logging")}
_MODULES[_HISTORY] = types.SimpleNamespace(HistoryBuffer=HistoryBuffer)
_MODULES[_NUMPY] = types.SimpleNamespace(_reconstruct=_reconstruct)
