"""The convolution of CoST: one kernel on three views of the volume of a clip."""

import math

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.arguments import check_choice, check_clip_shape, check_count
from smallbig_keras.layers.convolution import convolve
from smallbig_keras.layers.folding import axis_sizes, fold_frames, unfold_frames
from smallbig_keras.layers.initializers import conv_initializer


@keras.saving.register_keras_serializable(package="smallbig_keras")
class CoSTConv(keras.layers.Layer):
    """Collaborative spatio-temporal convolution (Li et al., "CoST", CVPR 2019).

    One k x k kernel runs over height and width, over frames and width, and over frames and
    height; learnt coefficients, which sum to 1, weigh the three results. With `fusion="a"` they are
    one triple a channel. With `fusion="b"` they come from the clip itself: the maximum of each
    view and channel, a dense layer over channels and one over views.

    Args:
        filters: int. Channels of the output.
        kernel_size: int. Odd size of the kernel along both of its axes. Defaults to `3`.
        strides: int. Step over height and width. Defaults to `1`.
        fusion: `"a"` or `"b"`, the variants of the paper. Defaults to `"b"`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, frames, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for a value outside those above, or input that is not 5-D.

    Example:

    >>> CoSTConv(16, strides=2).compute_output_shape((2, 4, 8, 8, 3))
    (2, 4, 4, 4, 16)
    """

    def __init__(self, filters, kernel_size=3, strides=1, fusion="b", **kwargs):
        super().__init__(**kwargs)
        self.filters = check_count("filters", filters)
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.strides = check_count("strides", strides)
        self.fusion = check_choice("fusion", fusion, ("a", "b"))
        if kernel_size % 2 == 0:
            raise SmallBigError(f"`kernel_size` must be odd. Received: kernel_size={kernel_size!r}")

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            initializer=conv_initializer(),
        )
        if self.fusion == "a":
            self.alpha = self.add_weight(
                name="alpha", shape=(self.filters, 3), initializer=_first_view_leads
            )
        else:
            small = keras.initializers.RandomNormal(stddev=0.01)
            self.channel_kernel = self.add_weight(
                name="channel_kernel", shape=(self.filters, self.filters), initializer=small
            )
            small = keras.initializers.RandomNormal(stddev=0.01)
            self.view_kernel = self.add_weight(name="view_kernel", shape=(3, 3), initializer=small)
        self.built = True

    def call(self, clips):
        views = self._views(clips)
        shares = self._shares(views)
        first, *others = (share * view for share, view in zip(shares, views, strict=True))
        return sum(others, start=first)

    def _views(self, clips):
        """Returns the results over height and width, frames and width, frames and height."""
        kernel, step = ops.convert_to_tensor(self.kernel), self.strides
        images = convolve(fold_frames(clips), kernel, (step, step))
        return (
            unfold_frames(images, *axis_sizes(clips, 1)),
            # The first axis of the kernel is that over frames.
            self._convolve_over_time(clips, kernel[:, None]),
            self._convolve_over_time(clips, kernel[:, :, None]),
        )

    def _convolve_over_time(self, clips, kernel):
        # In 3-D: neighbouring frames stacked on the channels of a 2-D one are copies.
        padding = "same"
        if self.strides > 1:
            clips, padding = _pad(clips, *(size // 2 for size in kernel.shape[:3])), "valid"
        strides = (1, self.strides, self.strides)
        return ops.conv(clips, kernel, strides, padding, data_format="channels_last")

    def _shares(self, views):
        """Returns the coefficient of each view."""
        if self.fusion == "a":
            return ops.unstack(ops.softmax(ops.convert_to_tensor(self.alpha), axis=-1), 3, axis=-1)
        strongest = ops.stack([ops.max(view, axis=(1, 2, 3)) for view in views], axis=1)
        mixed = ops.swapaxes(ops.matmul(strongest, self.channel_kernel), 1, 2)
        shares = ops.softmax(ops.matmul(mixed, self.view_kernel), axis=-1)
        shares = ops.reshape(shares, (-1, 1, 1, 1, self.filters, 3))
        return ops.unstack(shares, 3, axis=-1)

    def compute_output_shape(self, input_shape):
        batch, frames, *image, _ = input_shape
        image = (n if n is None else -(-n // self.strides) for n in image)
        return (batch, frames, *image, self.filters)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        positions = math.prod(self.compute_output_shape(input_shape)[1:4])
        macs = 3 * positions * self.kernel_size**2 * input_shape[-1] * self.filters
        return macs + (3 * self.filters**2 + 9 * self.filters) * (self.fusion == "b")

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "fusion": self.fusion,
        }
        return {**super().get_config(), **config}


def _pad(clips, over_frames, over_height, over_width):
    """Puts zeros on both sides of the axes.

    Width and channels are one axis meanwhile: TensorFlow's optimiser would merge a padding of five
    axes with the 3-D convolution after it, and fails in training.
    """
    frames, height, width, channels = axis_sizes(clips, 1, 2, 3, 4)
    rows = ops.reshape(clips, (-1, frames, height, width * channels))
    borders = (0, over_frames, over_height, over_width * channels)
    rows = ops.pad(rows, [(border, border) for border in borders])
    sizes = (frames + 2 * over_frames, height + 2 * over_height, width + 2 * over_width)
    return ops.reshape(rows, (-1, *sizes, channels))


def _first_view_leads(shape, dtype=None):
    """The authors' start: the view of height and width has most of the weight."""
    signs = ops.convert_to_tensor([[0.7, -0.7, -0.7]], dtype=dtype)
    # A copy: PyTorch cannot write to a variable that was broadcast.
    return ops.tile(signs, (shape[0], 1))
