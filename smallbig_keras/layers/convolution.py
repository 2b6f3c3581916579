"""Convolutions over space, over time, and over both, of a clip; all computed in 2-D."""

import math

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.arguments import (
    check_choice,
    check_clip_shape,
    check_count,
    check_counts,
)
from smallbig_keras.layers.folding import (
    axis_sizes,
    fold_frames,
    fold_space,
    stack_frames,
    unfold_frames,
    unfold_space,
)
from smallbig_keras.layers.initializers import conv_initializer
from smallbig_keras.layers.padding import output_length


def convolve(images, kernel, strides=(1, 1), padding="same", dilation_rate=(1, 1)):
    """Convolves `(batch, height, width, channels)`; "same" pads both sides by half the kernel."""
    if padding == "same" and max(strides) > 1:
        # Keras would pad the right side only when the size is even; trained
        # ResNets were padded on both sides.
        height, width = (size // 2 for size in kernel.shape[:2])
        images = ops.pad(images, ((0, 0), (height, height), (width, width), (0, 0)))
        padding = "valid"
    convolution = ops.conv
    if _is_depthwise(images, kernel) and strides[0] == strides[1] and dilation_rate == (1, 1):
        # TensorFlow has kernels of its own for it; grouped convolutions go through XLA.
        convolution, kernel = ops.depthwise_conv, ops.transpose(kernel, (0, 1, 3, 2))
        strides = strides[0]
    return convolution(
        images,
        kernel,
        strides=strides,
        padding=padding,
        data_format="channels_last",
        dilation_rate=dilation_rate,
    )


def _is_depthwise(images, kernel):
    """Tells whether each channel has a kernel of its own: as many groups as channels."""
    return kernel.shape[2] == 1 and 1 < kernel.shape[3] == images.shape[-1]


class _Conv(keras.layers.Conv2D):
    """The common part of the convolutions over space and over time: constructor and cost."""

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="same",
        use_bias=False,
        kernel_initializer=None,
        data_format="channels_last",
        **kwargs,
    ):
        if data_format != "channels_last":
            raise SmallBigError(
                "A clip has its channels last: `data_format` must be 'channels_last'. "
                f"Received: data_format={data_format!r}"
            )
        super().__init__(
            check_count("filters", filters),
            kernel_size,
            strides=strides,
            padding=padding,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer or conv_initializer(),
            data_format=data_format,
            **kwargs,
        )
        if self.padding == "same" and not all(size % 2 for size in self.kernel_size):
            raise SmallBigError(
                "`padding='same'` pads both sides by `kernel_size // 2`, so every kernel size "
                f"must be odd. Received: kernel_size={kernel_size}"
            )

    def _convolve(self, images, kernel):
        return convolve(images, kernel, self.strides, self.padding, self.dilation_rate)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        positions = math.prod(self.compute_output_shape(input_shape)[1:4])
        weights = math.prod(self.kernel_size) * input_shape[-1] // self.groups * self.filters
        return positions * weights


@keras.saving.register_keras_serializable(package="smallbig_keras")
class FrameConv(_Conv):
    """The 1 x k x k convolution: the same 2-D convolution on every frame.

    It takes the arguments of `keras.layers.Conv2D`. Different are the defaults (no bias, He
    initialisation by output fan) and `padding="same"`, which pads both sides by
    `kernel_size // 2` whatever the stride, as the networks that weights come from do.

    Args:
        filters: int. Channels of the output.
        kernel_size: int or pair of ints. Height and width of the kernel in pixels.
        strides: int or pair of ints. Step over height and width. Defaults to `1`.
        padding: `"same"` or `"valid"`. Defaults to `"same"`.
        use_bias: bool. Whether a bias is added. Defaults to `False`.
        kernel_initializer: initializer or `None` for He by output fan. Defaults to `None`.
        data_format: `"channels_last"`. Defaults to `"channels_last"`.
        **kwargs: the other arguments of `keras.layers.Conv2D`. `groups=filters` on as many
            channels is the depthwise convolution, a kernel for each channel.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, frames, ceil(height / stride), ceil(width / stride), filters)` for
    `padding="same"`.

    Raises:
        ValueError: for an even kernel with `padding="same"`, another value outside those above,
            or input that is not 5-D.

    Example:

    >>> FrameConv(16, 3, strides=2).compute_output_shape((2, 4, 8, 8, 3))
    (2, 4, 4, 4, 16)
    """

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        super().build(input_shape)

    def convolution_op(self, inputs, kernel):
        (frames,) = axis_sizes(inputs, 1)
        return unfold_frames(self._convolve(fold_frames(inputs), kernel), frames)

    def compute_output_shape(self, input_shape):
        batch, frames, *image = input_shape
        return (batch, frames, *super().compute_output_shape((None, *image))[1:])


@keras.saving.register_keras_serializable(package="smallbig_keras")
class TemporalConv(_Conv):
    """The k x 1 x 1 convolution (paper, equation 1), as a 2-D one over frames and pixels.

    Args:
        filters: int. Channels of the output.
        kernel_size: int. Frames that the kernel sees. Defaults to `3`.
        strides: int. Step over the frames. Defaults to `1`.
        **kwargs: the other arguments of `FrameConv`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, ceil(frames / stride), height, width, filters)`.

    Raises:
        ValueError: for an even kernel with `padding="same"`, another value outside those above,
            or input that is not 5-D.

    Example:

    >>> TemporalConv(16).compute_output_shape((2, 4, 8, 8, 3))
    (2, 4, 8, 8, 16)
    """

    def __init__(self, filters, kernel_size=3, strides=1, **kwargs):
        kernel_size = (kernel_size, 1) if isinstance(kernel_size, int) else kernel_size
        strides = (strides, 1) if isinstance(strides, int) else strides
        super().__init__(filters, kernel_size, strides=strides, **kwargs)
        if self.kernel_size[1] != 1 or self.strides[1] != 1:
            raise SmallBigError(
                "A temporal convolution has one pixel and no spatial stride. "
                f"Received: kernel_size={kernel_size}, strides={strides}"
            )

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        super().build(input_shape)

    def convolution_op(self, inputs, kernel):
        height, width = axis_sizes(inputs, 2, 3)
        return unfold_space(self._convolve(fold_space(inputs), kernel), height, width)

    def compute_output_shape(self, input_shape):
        batch, frames, height, width, channels = input_shape
        _, frames, _, filters = super().compute_output_shape((None, frames, 1, channels))
        return (batch, frames, height, width, filters)


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SpaceTimeConv(keras.layers.Layer):
    """The t x k x k convolution, as a 2-D one over neighbouring frames stacked on the channels.

    It has no bias.

    Args:
        filters: int. Channels of the output.
        kernel_size: three ints `(frames, height, width)`, odd ones for symmetric padding.
            Defaults to `(3, 3, 3)`.
        strides: three ints, the step over frames, height and width. Defaults to `(1, 1, 1)`.
        kernel_initializer: initializer or `None` for He by output fan. Defaults to `None`.
        padding: `"symmetric"` pads every axis by half the kernel on both sides; `"tensorflow"` as
            TensorFlow does, which depends on size and stride. Defaults to `"symmetric"`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, ceil(frames / strides[0]), ceil(height / strides[1]),
    ceil(width / strides[2]), filters)`.

    Raises:
        ValueError: for a value outside those above, or input that is not 5-D.

    Example:

    >>> SpaceTimeConv(16, (5, 7, 7), (2, 2, 2)).compute_output_shape((2, 8, 32, 32, 3))
    (2, 4, 16, 16, 16)
    """

    def __init__(
        self,
        filters,
        kernel_size=(3, 3, 3),
        strides=(1, 1, 1),
        kernel_initializer=None,
        padding="symmetric",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = check_count("filters", filters)
        self.padding = check_choice("padding", padding, ("symmetric", "tensorflow"))
        odd = padding == "symmetric"
        self.kernel_size = check_counts("kernel_size", kernel_size, 3, odd=odd)
        self.strides = check_counts("strides", strides, 3)
        if not odd and any(n < s for n, s in zip(self.kernel_size, self.strides, strict=True)):
            raise SmallBigError(
                "For `padding='tensorflow'` a kernel must be as large as its stride. "
                f"Received: {kernel_size=}, {strides=}"
            )
        self.kernel_initializer = keras.initializers.get(kernel_initializer or conv_initializer())

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
        )
        self.built = True

    def call(self, clips):
        stacked = stack_frames(clips, self.kernel_size[0], self.strides[0], self.padding)
        height, width = self.kernel_size[1:]
        kernel = ops.transpose(ops.convert_to_tensor(self.kernel), (1, 2, 0, 3, 4))
        kernel = ops.reshape(kernel, (height, width, -1, self.filters))
        images, strides = fold_frames(stacked), self.strides[1:]
        if self.padding == "tensorflow":
            images = ops.conv(images, kernel, strides, "same", data_format="channels_last")
        else:
            images = convolve(images, kernel, strides)
        return unfold_frames(images, *axis_sizes(stacked, 1))

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        axes = zip(sizes, self.kernel_size, self.strides, strict=True)
        return (batch, *(output_length(*axis, self.padding) for axis in axes), self.filters)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        positions = math.prod(self.compute_output_shape(input_shape)[1:4])
        return positions * math.prod(self.kernel_size) * input_shape[-1] * self.filters

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "padding": self.padding,
        }
        return {**super().get_config(), **config}
