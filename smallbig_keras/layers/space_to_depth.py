"""Blocks of two frames, rows and columns as channels."""

import itertools

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.arguments import check_clip_shape


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SpaceToDepth(keras.layers.Layer):
    """Makes eight times the channels of two by two by two neighbours.

    The stem of S3D-G as MIL-NCE trained it (Miech et al., CVPR 2020) begins so. Of `c` channels,
    that of frame `t`, row `y` and column `x` of a block comes at `((2 t + y) 2 + x) c`.

    Args:
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, frames / 2, height / 2, width / 2, 8 * channels)`.

    Raises:
        ValueError: for input that is not 5-D or has an odd size.

    Example:

    >>> SpaceToDepth().compute_output_shape((2, 4, 8, 8, 3))
    (2, 2, 4, 4, 24)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        self.compute_output_shape(input_shape)
        self.built = True

    def call(self, clips):
        places = itertools.product(range(2), repeat=3)
        return ops.concatenate([clips[:, t::2, y::2, x::2] for t, y, x in places], axis=-1)

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        if any(n is not None and n % 2 for n in sizes):
            raise SmallBigError(
                f"Layer {self.name!r} takes an even number of frames, rows and columns. "
                f"Received: {tuple(sizes)}"
            )
        return (batch, *(n and n // 2 for n in sizes), 8 * channels)
