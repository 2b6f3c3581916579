"""The SmallBig unit: one convolution that sees a small and a big view."""

import keras
from keras import ops

from smallbig_keras.layers.arguments import check_choice, check_clip_shape
from smallbig_keras.layers.convolution import FrameConv
from smallbig_keras.layers.normalization import FusedBatchNormalization
from smallbig_keras.layers.pool_sizes import check_pool_size
from smallbig_keras.layers.pooling import ClipPooling


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SmallBigUnit(keras.layers.Layer):
    """A convolution on a clip and on its pooled context, summed (paper, equation 2).

    `y = norm(conv(x)) + big_norm(conv(pool(x)))`: the small view is the clip itself, the big
    view the strongest activation in the tube around each position. The convolution is shared
    and each view has a normalisation of its own, the big one starting at scale 0, so that a
    new unit is the 2-D convolution it was made from (paper, section 6, "Training").

    Args:
        filters: int. Channels of the output.
        kernel_size: int. Height and width of the convolution in pixels. Defaults to `1`.
        strides: int. Step over height and width. Defaults to `1`.
        pool_size: tuple `(frames, height, width)` of odd ints, the tube of the big view;
            `frames=None` takes all frames, and the one result is added to each. Defaults to
            `(3, 3, 3)`.
        pool: `"max"` or `"avg"` (paper, Table 6). Defaults to `"max"`.
        share_weights: bool. Whether one convolution serves both views. Defaults to `True`.
        normalization: `"individual"`, or `"single"` for one normalisation of the sum
            (paper, Table 6). Defaults to `"individual"`.
        activation: activation or its name, applied to the sum. Defaults to `None`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, frames, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an option outside the values above.

    Example:

    >>> SmallBigUnit(16, pool_size=(None, 3, 3)).compute_output_shape((2, 4, 8, 8, 3))
    (2, 4, 8, 8, 16)
    """

    def __init__(
        self,
        filters,
        kernel_size=1,
        strides=1,
        pool_size=(3, 3, 3),
        pool="max",
        share_weights=True,
        normalization="individual",
        activation=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.pool_size = check_pool_size(pool_size)
        self.pool = check_choice("pool", pool, ("max", "avg"))
        self.share_weights = check_choice("share_weights", share_weights, (True, False))
        self.normalization = check_choice("normalization", normalization, ("individual", "single"))
        self.activation = keras.activations.get(activation)

        dtype = {"dtype": self.dtype_policy}
        self.big_view = ClipPooling(pool_size, mode=pool, name="big_view", **dtype)
        self.conv = FrameConv(filters, kernel_size, strides, name="conv", **dtype)
        self.norm = FusedBatchNormalization(name="norm", **dtype)
        self.big_conv = None
        if not share_weights:
            self.big_conv = FrameConv(filters, kernel_size, strides, name="big_conv", **dtype)
        self.big_norm = None
        if normalization == "individual":
            self.big_norm = FusedBatchNormalization(
                gamma_initializer="zeros", name="big_norm", **dtype
            )

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        self.big_view.build(input_shape)
        self.conv.build(input_shape)
        if self.big_conv is not None:
            self.big_conv.build(input_shape)
        output_shape = self.compute_output_shape(input_shape)
        self.norm.build(output_shape)
        if self.big_norm is not None:
            self.big_norm.build(output_shape)
        self.built = True

    def call(self, clips, training=None):
        if self.big_norm is not None:
            small = self.norm(self.conv(clips), training=training)
            big = self.big_norm(self._see_big(clips, training), training=training)
            outputs = small + big
        elif self.share_weights:
            # Convolution is linear, so one of the summed views does (paper, section 6.1).
            outputs = self.norm(self.conv(clips + self.big_view(clips)), training=training)
        else:
            outputs = self.conv(clips) + self._see_big(clips, training)
            outputs = self.norm(outputs, training=training)
        return self.activation(outputs)

    def _see_big(self, clips, training):
        """Convolves the big view, which is not kept for the gradients but pooled again."""
        conv = self.big_conv or self.conv

        def see(clips, kernel):
            return conv.convolution_op(self.big_view(clips), kernel)

        # Keras has it from 3.9 on; without it training takes a fifth more memory.
        if training and hasattr(keras, "remat"):
            see = keras.remat(see)
        # Its value: outside a graph, TensorFlow finds no gradient of a variable as an argument.
        return see(clips, ops.copy(conv.kernel))

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        small = self.conv.count_macs(input_shape)
        if self.normalization == "single" and self.share_weights:
            return small
        big_shape = self.big_view.compute_output_shape(input_shape)
        return small + (self.big_conv or self.conv).count_macs(big_shape)

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "pool_size": self.pool_size,
            "pool": self.pool,
            "share_weights": self.share_weights,
            "normalization": self.normalization,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}
