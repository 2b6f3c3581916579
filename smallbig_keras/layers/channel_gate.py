"""The gate that the mean of a whole clip opens and closes for each channel."""

import keras
from keras import ops

from smallbig_keras.layers.arguments import check_choice, check_clip_shape, check_count
from smallbig_keras.layers.convolution import FrameConv


@keras.saving.register_keras_serializable(package="smallbig_keras")
class ChannelGate(keras.layers.Layer):
    """Weighs each channel by a sigmoid of the mean over frames, height and width.

    `y = x * sigmoid(expand(mean(x)))` is the self-gating of S3D-G (Xie et al., "Rethinking
    Spatiotemporal Feature Learning", ECCV 2018, section 5); with `filters`,
    `y = x * sigmoid(expand(relu(reduce(mean(x)))))` is squeeze-and-excitation (Hu et al.,
    CVPR 2018), as in VoV3D.

    Args:
        filters: int. Channels between `reduce` and `expand`, or `None` to leave `reduce` out.
            Defaults to `None`.
        use_bias: bool. Whether both have a bias. Defaults to `True`.
        kernel_initializer: initializer or `None` for He by output fan. Defaults to `None`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: that of the input.

    Raises:
        ValueError: for a value outside those above, or input that is not 5-D.

    Example:

    >>> ChannelGate(8).compute_output_shape((2, 4, 8, 8, 16))
    (2, 4, 8, 8, 16)
    """

    def __init__(self, filters=None, use_bias=True, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = None if filters is None else check_count("filters", filters)
        self.use_bias = check_choice("use_bias", use_bias, (True, False))
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        batch, *_, channels = input_shape
        self.reduce = None
        if self.filters is not None:
            self.reduce = self._pointwise(self.filters, "reduce", activation="relu")
            self.reduce.build((batch, 1, 1, 1, channels))
        self.expand = self._pointwise(channels, "expand")
        self.expand.build((batch, 1, 1, 1, self.filters or channels))
        self.built = True

    def _pointwise(self, filters, name, **kwargs):
        return FrameConv(
            filters,
            1,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            name=name,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def call(self, clips):
        context = ops.mean(clips, axis=(1, 2, 3), keepdims=True)
        context = context if self.reduce is None else self.reduce(context)
        return clips * ops.sigmoid(self.expand(context))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        channels = input_shape[-1]
        return channels * (channels if self.filters is None else 2 * self.filters)

    def get_config(self):
        config = {
            "filters": self.filters,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
