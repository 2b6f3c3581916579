"""Poolings: for the big view of a SmallBig unit, over time alone, and for a head."""

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
    unfold_frames,
    unfold_space,
)
from smallbig_keras.layers.padding import PADDINGS, output_length, pooling_borders
from smallbig_keras.layers.pool_sizes import check_pool_size


@keras.saving.register_keras_serializable(package="smallbig_keras")
class ClipPooling(keras.layers.Layer):
    """Pools a clip over a tube of frames, height and width, one axis pair after the other.

    Maximum and mean over a box are separable, so the tube is pooled over space and then over
    time, in 2-D. Borders count as minus infinity for the maximum, unless `padding="zeros"`, and
    are left out of the mean.

    Args:
        pool_size: tuple `(frames, height, width)` of odd ints, where strides are above 1 of any.
            `frames=None` pools over all frames to one, whatever their number (`T x 3 x 3` in
            paper, section 4). Defaults to `(3, 3, 3)`.
        strides: int, the step over height and width, or three ints, the step over frames, height
            and width. Defaults to `1`.
        mode: `"max"` or `"avg"`. Defaults to `"max"`.
        padding: `"symmetric"` for half a tube on both sides; `"tensorflow"` for TensorFlow's, which
            depends on size and stride; `"zeros"` for zeros in the number that even sizes need,
            with one more window for what is left, as S3D-G of MIL-NCE has them. Defaults to
            `"symmetric"`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, ceil(frames / stride), ceil(height / stride), ceil(width / stride),
    channels)`, rounded down for an even size with `padding="symmetric"`; one frame for
    `pool_size=(None, ...)`.

    Raises:
        ValueError: for a size that is missing, or even without a stride, an unknown mode or
            padding, or a stride or another padding with the mean.

    Example:

    >>> ClipPooling((None, 3, 3)).compute_output_shape((2, 4, 8, 8, 3))
    (2, 1, 8, 8, 3)
    >>> ClipPooling((2, 2, 2), strides=(2, 2, 2)).compute_output_shape((2, 4, 8, 8, 3))
    (2, 2, 4, 4, 3)
    """

    _outside = float("-inf")

    def __init__(self, pool_size=(3, 3, 3), strides=1, mode="max", padding="symmetric", **kwargs):
        super().__init__(**kwargs)
        self.mode = check_choice("mode", mode, ("max", "avg"))
        self.padding = check_choice("padding", padding, PADDINGS)
        if isinstance(strides, tuple | list):
            strides = check_counts("strides", strides, 3)
        elif not isinstance(strides, int) or strides < 1:
            raise SmallBigError(
                "`strides` must be an int of at least 1, or three of them. "
                f"Received: {strides=}, {mode=}"
            )
        self.strides = strides
        self.pool_size = check_pool_size(pool_size, self.steps)
        if mode == "avg" and (max(self.steps) > 1 or padding != "symmetric"):
            raise SmallBigError(
                "`strides` must be 1 and `padding` 'symmetric' for `mode='avg'`. "
                f"Received: {strides=}, {padding=}"
            )
        axes = zip(self.pool_size, self.steps, strict=True)
        if any(step > (size or 1) for size, step in axes if padding != "symmetric" or not size):
            raise SmallBigError(
                "A stride is at most the size, and 1 over all frames. "
                f"Received: {pool_size=}, {strides=}, {padding=}"
            )

    @property
    def steps(self):
        """Steps over frames, height and width."""
        return (1, self.strides, self.strides) if isinstance(self.strides, int) else self.strides

    def build(self, input_shape):
        check_clip_shape(self, input_shape, needs_channels=False)
        self.built = True

    def call(self, clips):
        # All frames first: the spatial pooling then runs on a single one.
        if self.pool_size[0] is None:
            reduce = ops.max if self.mode == "max" else ops.mean
            clips = reduce(clips, axis=1, keepdims=True)
        size, steps = self.pool_size, self.steps
        if (*size[1:], *steps[1:]) != (1, 1, 1, 1):
            (frames,) = axis_sizes(clips, 1)
            clips = unfold_frames(self._pool(fold_frames(clips), size[1:], steps[1:]), frames)
        if size[0] is not None and (size[0], steps[0]) != (1, 1):
            height, width = axis_sizes(clips, 2, 3)
            pooled = self._pool(fold_space(clips), (size[0], 1), (steps[0], 1))
            clips = unfold_space(pooled, height, width)
        return clips

    def _pool(self, images, size, strides):
        if self.mode == "max" and keras.backend.backend() == "jax" and self.padding != "tensorflow":
            return select_maximum(self._pad(images, size, strides), size, strides)
        padding = "same"
        if self.padding == "zeros" or (self.padding == "symmetric" and max(strides) > 1):
            # Keras would pad only one side when the size is even.
            images = self._pad(images, size, strides)
            padding = "valid"
        pool = ops.max_pool if self.mode == "max" else ops.average_pool
        return pool(images, size, strides, padding, data_format="channels_last")

    def _pad(self, images, size, strides):
        axes = zip(size, strides, strict=True)
        sides = [pooling_borders(None, *axis, self.padding) for axis in axes]
        for pairs, value in zip(zip(*sides, strict=True), (0.0, self._outside), strict=True):
            if any(map(any, pairs)):
                images = ops.pad(images, ((0, 0), *pairs, (0, 0)), constant_values=value)
        return images

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        if self.pool_size[0] is None:
            sizes[0] = 1
        axes = zip(sizes, (self.pool_size[0] or 1, *self.pool_size[1:]), self.steps, strict=True)
        return (batch, *(output_length(*axis, self.padding) for axis in axes), channels)

    def get_config(self):
        config = {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "mode": self.mode,
            "padding": self.padding,
        }
        return {**super().get_config(), **config}


def select_maximum(images, size, strides):
    """Maximum over windows of a height and width, by selections, for XLA.

    XLA scatters the gradient of its own maximum over windows. That of a selection is a selection,
    which it computes together with what is around. Of equal values the first has the gradient, as
    in TensorFlow, and NaN stays NaN.
    """
    for axis in (2, 1):
        count, step = size[axis - 1], strides[axis - 1]
        before = (slice(None),) * axis
        # To an end from behind: sizes may be open.
        ends = (tap - count + 1 or None for tap in range(count))
        windows = (slice(tap, end, step) for tap, end in enumerate(ends))
        first, *others = (images[(*before, window)] for window in windows)
        for values in others:
            is_kept = ops.logical_or(first >= values, ops.isnan(first))
            first = ops.where(is_kept, first, values)
        images = first
    return images


@keras.saving.register_keras_serializable(package="smallbig_keras")
class TimePooling(keras.layers.Layer):
    """Makes one frame of every `pool_size` frames, by the maximum of each value.

    Args:
        pool_size: int. Frames that become one. Defaults to `2`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: the same with a `pool_size`-th of the frames.

    Raises:
        ValueError: for a number below 1, or a clip whose frames it does not divide.

    Example:

    >>> TimePooling(2).compute_output_shape((2, 8, 4, 4, 3))
    (2, 4, 4, 4, 3)
    """

    def __init__(self, pool_size=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = check_count("pool_size", pool_size)

    def build(self, input_shape):
        check_clip_shape(self, input_shape, needs_channels=False)
        self.compute_output_shape(input_shape)
        self.built = True

    def call(self, clips):
        frames, height, width, channels = axis_sizes(clips, 1, 2, 3, 4)
        if isinstance(frames, int):
            # A layer that was built for open frames learns their number here.
            self.compute_output_shape((None, frames))
            batch = -1
        else:
            # A number that is no multiple ends in an error of `reshape`: the batch is not free to
            # take up the rest.
            (batch,) = axis_sizes(clips, 0)
        shape = (batch, frames // self.pool_size, self.pool_size, height * width, channels)
        pooled = ops.max(ops.reshape(clips, shape), axis=2)
        return ops.reshape(pooled, (-1, frames // self.pool_size, height, width, channels))

    def compute_output_shape(self, input_shape):
        batch, frames, *image = input_shape
        if frames is not None and frames % self.pool_size:
            raise SmallBigError(
                f"Layer {self.name!r} makes one frame of every {self.pool_size}, so their "
                f"number must be a multiple of it. Received: {frames} frames"
            )
        return (batch, None if frames is None else frames // self.pool_size, *image)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}
