"""Keras layers on clips `(batch, frames, height, width, channels)`."""

from smallbig_keras.layers.convolution import FrameConv, TemporalConv
from smallbig_keras.layers.extra_unit import SmallBigExtraUnit, SqueezeExciteUnit
from smallbig_keras.layers.normalization import FusedBatchNormalization
from smallbig_keras.layers.pooling import ClipPooling
from smallbig_keras.layers.smallbig_unit import SmallBigUnit

__all__ = [
    "ClipPooling",
    "FrameConv",
    "FusedBatchNormalization",
    "SmallBigExtraUnit",
    "SmallBigUnit",
    "SqueezeExciteUnit",
    "TemporalConv",
]
