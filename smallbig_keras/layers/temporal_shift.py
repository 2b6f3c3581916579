"""The temporal shift: channels of the neighbouring frames, without a weight or a product."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.arguments import check_clip_shape, check_count


@keras.saving.register_keras_serializable(package="smallbig_keras")
class TemporalShift(keras.layers.Layer):
    """Takes some channels from the next frame and as many from the one before (TSM, Fig. 1 b).

    Of `channels // divisor` channels each, the first come from the next frame, the second from
    the frame before, with zeros beyond the ends; all others stay (Lin et al., "TSM", ICCV 2019).

    Args:
        divisor: int. Channels for one that is shifted to each side. Defaults to `8`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: that of the input.

    Raises:
        ValueError: for a divisor below 2, or fewer channels than it.

    Example:

    >>> TemporalShift().compute_output_shape((2, 4, 8, 8, 16))
    (2, 4, 8, 8, 16)
    """

    def __init__(self, divisor=8, **kwargs):
        super().__init__(**kwargs)
        self.divisor = check_count("divisor", divisor)
        if divisor < 2:
            raise SmallBigError(
                "Channels are shifted to two sides: `divisor` must be at least 2. "
                f"Received: divisor={divisor!r}"
            )

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        if input_shape[-1] < self.divisor:
            raise SmallBigError(
                f"Layer {self.name!r} shifts one of `divisor` channels, so there must be at least "
                f"that many. Received: channels={input_shape[-1]}, divisor={self.divisor}"
            )
        self.built = True

    def call(self, clips):
        part = clips.shape[-1] // self.divisor
        # One split: the gradient of a slice is a tensor of the whole clip, for each of three.
        after, before, rest = ops.split(clips, (part, 2 * part), axis=-1)
        after, before = after[:, 1:], before[:, :-1]
        return ops.concatenate((_pad(after, 0, 1), _pad(before, 1, 0), rest), axis=-1)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "divisor": self.divisor}


def _pad(clips, first, last):
    return ops.pad(clips, ((0, 0), (first, last), (0, 0), (0, 0), (0, 0)))
