"""The extra unit of a full SmallBig block, and its squeeze-and-excite form."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.arguments import check_choice, check_clip_shape, check_count
from smallbig_keras.layers.convolution import FrameConv
from smallbig_keras.layers.normalization import FusedBatchNormalization


class _ExtraUnit(keras.layers.Layer):
    """A residual bottleneck that the strongest activations of the whole clip weigh.

    The normalisation starts at scale 0, so that a new unit passes the clip on unchanged.
    """

    def __init__(self, ratio=4, pool="max", **kwargs):
        super().__init__(**kwargs)
        self.ratio = check_count("ratio", ratio)
        self.pool = check_choice("pool", pool, ("max", "avg"))
        self.norm = FusedBatchNormalization(
            gamma_initializer="zeros", name="norm", dtype=self.dtype_policy
        )

    def _global_view(self, clips):
        reduce = ops.max if self.pool == "max" else ops.mean
        return reduce(clips, axis=(1, 2, 3), keepdims=True)

    def _pointwise(self, filters, name, **kwargs):
        return FrameConv(filters, 1, name=name, dtype=self.dtype_policy, **kwargs)

    def _inner_channels(self, input_shape):
        check_clip_shape(self, input_shape)
        if input_shape[-1] < self.ratio:
            raise SmallBigError(
                f"Layer {self.name!r} divides the channels by `ratio`, so there must be at "
                f"least that many. Received: channels={input_shape[-1]}, ratio={self.ratio}"
            )
        return input_shape[-1] // self.ratio

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "pool": self.pool}


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SmallBigExtraUnit(_ExtraUnit):
    """The extra SmallBig unit with a global big view (paper, Fig. 2 f).

    `y = x + norm(expand(reduce(x) * sigmoid(reduce(pool(x)))))`, where `pool` is over all
    frames, heights and widths: the big view is one vector a clip, and weighs the channels of
    the small one. `reduce` divides the channels by `ratio`, `expand` restores them.

    Args:
        ratio: int. Channels of the input for one inside. The paper's text says 4, the
            parameters of its Table 6 need 8. Defaults to `4`.
        pool: `"max"` or `"avg"`. Defaults to `"max"`.
        share_weights: bool. Whether `reduce` serves both views. Defaults to `True`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: that of the input.

    Raises:
        ValueError: for an option outside the values above, or fewer channels than `ratio`.

    Example:

    >>> SmallBigExtraUnit().compute_output_shape((2, 4, 8, 8, 16))
    (2, 4, 8, 8, 16)
    """

    def __init__(self, ratio=4, pool="max", share_weights=True, **kwargs):
        super().__init__(ratio=ratio, pool=pool, **kwargs)
        self.share_weights = check_choice("share_weights", share_weights, (True, False))

    def build(self, input_shape):
        inner = self._inner_channels(input_shape)
        self.reduce = self._pointwise(inner, "reduce")
        self.reduce.build(input_shape)
        self.big_reduce = None
        if not self.share_weights:
            self.big_reduce = self._pointwise(inner, "big_reduce")
            self.big_reduce.build(input_shape)
        self.expand = self._pointwise(input_shape[-1], "expand")
        self.expand.build((*input_shape[:-1], inner))
        self.norm.build(input_shape)
        self.built = True

    def call(self, clips, training=None):
        context = (self.big_reduce or self.reduce)(self._global_view(clips))
        weighed = self.reduce(clips) * ops.sigmoid(context)
        return clips + self.norm(self.expand(weighed), training=training)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        inner_shape = self.reduce.compute_output_shape(input_shape)
        context_shape = (input_shape[0], 1, 1, 1, input_shape[-1])
        return (
            self.reduce.count_macs(input_shape)
            + self.reduce.count_macs(context_shape)
            + self.expand.count_macs(inner_shape)
        )

    def get_config(self):
        return {**super().get_config(), "share_weights": self.share_weights}


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SqueezeExciteUnit(_ExtraUnit):
    """The simplified extra unit: the global view alone weighs the clip (paper, Table 9).

    `y = x + norm(x * sigmoid(expand(relu(reduce(pool(x))))))`. The paper gives the two
    convolutions, the sigmoid and the residual; the ReLU between and the normalisation, which
    lets a new unit pass the clip on unchanged, are those of squeeze-and-excitation and of
    the extra unit.

    Args:
        ratio: int. Channels of the input for one inside. Defaults to `4`.
        pool: `"max"` or `"avg"`. Defaults to `"max"`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: that of the input.

    Raises:
        ValueError: for an option outside the values above, or fewer channels than `ratio`.

    Example:

    >>> SqueezeExciteUnit().compute_output_shape((2, 4, 8, 8, 16))
    (2, 4, 8, 8, 16)
    """

    def build(self, input_shape):
        inner = self._inner_channels(input_shape)
        self.reduce = self._pointwise(inner, "reduce", use_bias=True, activation="relu")
        self.reduce.build(input_shape)
        self.expand = self._pointwise(input_shape[-1], "expand", use_bias=True)
        self.expand.build((*input_shape[:-1], inner))
        self.norm.build(input_shape)
        self.built = True

    def call(self, clips, training=None):
        context = self.expand(self.reduce(self._global_view(clips)))
        return clips + self.norm(clips * ops.sigmoid(context), training=training)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        context_shape = (input_shape[0], 1, 1, 1, input_shape[-1])
        inner_shape = self.reduce.compute_output_shape(context_shape)
        return self.reduce.count_macs(context_shape) + self.expand.count_macs(inner_shape)
