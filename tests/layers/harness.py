"""Keras' own checks of a layer, and the numbers that they expect, for every layer.

They are used on the backend of the process, which a test chooses.
"""

import dataclasses
import inspect

from smallbig_keras import layers

CLIPS = (2, 4, 6, 5, 8)


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, and the output and numbers of weights that clips of a shape lead to."""

    layer: type
    arguments: dict
    output_shape: tuple
    trainable: int = 0
    moving: int = 0
    supports_masking: bool = False
    input_shape: tuple = CLIPS


CASES = [
    Case(layers.ChannelGate, {}, CLIPS, 2),
    Case(layers.ChannelGate, {"filters": 3, "use_bias": False}, CLIPS, 2),
    Case(layers.ClipPooling, {"pool_size": (None, 3, 3), "mode": "avg"}, (2, 1, 6, 5, 8)),
    Case(layers.ClipPooling, {"pool_size": (3, 3, 5), "strides": 2}, (2, 4, 3, 3, 8)),
    Case(
        layers.ClipPooling,
        {"pool_size": (2, 3, 2), "strides": (2, 2, 2), "padding": "tensorflow"},
        (2, 2, 3, 3, 8),
    ),
    Case(
        layers.ClipPooling,
        {"pool_size": (3, 3, 2), "strides": (2, 2, 2), "padding": "zeros"},
        (2, 2, 3, 3, 8),
    ),
    Case(layers.CoSTConv, {"filters": 6, "fusion": "a"}, (2, 4, 6, 5, 6), 2),
    Case(layers.CoSTConv, {"filters": 6, "strides": 2}, (2, 4, 3, 3, 6), 3),
    Case(layers.FrameConv, {"filters": 6, "kernel_size": 3, "strides": 2}, (2, 4, 3, 3, 6), 1),
    Case(layers.FrameConv, {"filters": 6, "kernel_size": 1, "use_bias": True}, (2, 4, 6, 5, 6), 2),
    Case(
        layers.FrameConv,
        {"filters": 8, "kernel_size": 3, "strides": 2, "groups": 8},
        (2, 4, 3, 3, 8),
        1,
    ),
    Case(layers.FusedBatchNormalization, {}, CLIPS, 2, 2, True),
    Case(layers.NonLocalBlock, {}, CLIPS, 10, 2),
    Case(
        layers.NonLocalBlock,
        {"mode": "dot_product", "pool": "after", "use_bias": False},
        CLIPS,
        9,
        2,
    ),
    Case(layers.NonLocalBlock, {"scale": False, "pool": None}, CLIPS, 10, 2),
    Case(layers.SmallBigExtraUnit, {"pool": "avg"}, CLIPS, 4, 2),
    Case(layers.SmallBigExtraUnit, {"share_weights": False}, CLIPS, 5, 2),
    Case(layers.SmallBigUnit, {"filters": 6}, (2, 4, 6, 5, 6), 5, 4),
    Case(
        layers.SmallBigUnit,
        {
            "filters": 6,
            "kernel_size": 3,
            "strides": 2,
            "pool_size": (None, 3, 3),
            "share_weights": False,
            "normalization": "single",
            "activation": "relu",
        },
        (2, 4, 3, 3, 6),
        4,
        2,
    ),
    Case(layers.SpaceToDepth, {}, (2, 2, 3, 1, 64), input_shape=(2, 4, 6, 2, 8)),
    Case(
        layers.SpaceTimeConv,
        {"filters": 6, "kernel_size": (3, 5, 3), "strides": (2, 1, 2)},
        (2, 2, 6, 3, 6),
        1,
    ),
    Case(
        layers.SpaceTimeConv,
        {"filters": 6, "kernel_size": (2, 4, 3), "strides": (1, 2, 2), "padding": "tensorflow"},
        (2, 4, 3, 3, 6),
        1,
    ),
    Case(layers.SqueezeExciteUnit, {}, CLIPS, 6, 2),
    Case(layers.TemporalConv, {"filters": 6, "strides": 2}, (2, 2, 6, 5, 6), 1),
    Case(layers.TemporalConv, {"filters": 8, "kernel_size": 5, "groups": 8}, CLIPS, 1),
    Case(layers.TemporalShift, {"divisor": 4}, CLIPS),
    Case(layers.TimePooling, {"pool_size": 2}, (2, 2, 6, 5, 8)),
    Case(layers.WindowPooling, {"window": 3}, (2, 1, 4, 3, 8)),
    Case(layers.WindowPooling, {}, (2, 1, 1, 1, 8)),
    Case(layers.WindowedMean, {"window": (2, None, 3)}, (2, 8)),
]
NAMES = sorted({case.layer.__name__ for case in CASES})


def check(name):
    """Runs Keras' checks of all cases of a layer; raises where one fails."""
    for case in CASES:
        if case.layer.__name__ == name:
            _check(case)


def _check(case):
    # Of Keras' own tests, so that no part of the package may import it.
    from keras.src.testing import TestCase

    run = TestCase("run_layer_test").run_layer_test
    arguments = {
        "init_kwargs": case.arguments,
        "input_shape": case.input_shape,
        "expected_output_shape": case.output_shape,
        "expected_output_dtype": "float32",
        "expected_num_trainable_weights": case.trainable,
        "expected_num_non_trainable_weights": case.moving,
        "expected_num_non_trainable_variables": case.moving,
        "expected_num_seed_generators": 0,
        "expected_num_losses": 0,
        "supports_masking": case.supports_masking,
        "run_training_check": True,
        "run_mixed_precision_check": True,
    }
    # Versions of Keras differ in the checks that they have.
    known = inspect.signature(run).parameters
    run(case.layer, **{name: value for name, value in arguments.items() if name in known})
