"""Windows that move over a clip: their means, and the mean of these."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.arguments import check_clip_shape, check_count
from smallbig_keras.layers.folding import axis_sizes


def is_plain(length, window):
    """Tells whether every position along an axis has the same share; a tensor's are not known."""
    return window in (None, 1) or (isinstance(length, int) and window >= length)


def window_shares(length, window, array=ops):
    """Returns the share of each position along an axis.

    It is in proportion to the number of windows that a position is in. A window is as long as
    the axis at most. `array` is `keras.ops`, or `numpy` for a length that is an int.
    """
    places, size = array.arange(length), array.minimum(window, length)
    near = array.minimum(places + 1, length - places)
    near = array.minimum(near, array.minimum(size, length - size + 1))
    return near / array.sum(near)


@keras.saving.register_keras_serializable(package="smallbig_keras")
class WindowedMean(keras.layers.Layer):
    """Takes the mean over a window, at each position that it has, and the mean of these.

    Networks that classify every window and average the scores (S3D) classify this mean: their
    classifier is linear. Values near the ends are in fewer windows and count less.

    Args:
        window: tuple `(frames, height, width)` of ints, or `None` for the whole axis. It is
            as large as the clip where that is smaller. Defaults to `(2, 7, 7)`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, channels)`.

    Raises:
        ValueError: for another window, or input that is not 5-D.

    Example:

    >>> WindowedMean().compute_output_shape((2, 4, 8, 8, 3))
    (2, 3)
    """

    def __init__(self, window=(2, 7, 7), **kwargs):
        super().__init__(**kwargs)
        sizes = tuple(window) if isinstance(window, tuple | list) else ()
        if len(sizes) != 3 or not all(n is None or (isinstance(n, int) and n > 0) for n in sizes):
            raise SmallBigError(
                "`window` must be three ints of at least 1, with `None` for a whole axis. "
                f"Received: {window=}"
            )
        self.window = sizes

    def build(self, input_shape):
        check_clip_shape(self, input_shape, needs_channels=False)
        self.built = True

    def call(self, clips):
        lengths = axis_sizes(clips, 1, 2, 3)
        axes = list(enumerate(zip(lengths, self.window, strict=True), start=1))
        plain = tuple(axis for axis, (length, window) in axes if is_plain(length, window))
        if plain:
            clips = ops.mean(clips, axis=plain, keepdims=True)
        for axis, (length, window) in axes:
            if axis not in plain:
                shape = [-1 if other == axis else 1 for other in range(5)]
                shares = ops.cast(window_shares(length, window), clips.dtype)
                clips = ops.sum(clips * ops.reshape(shares, shape), axis=axis, keepdims=True)
        return ops.squeeze(clips, axis=(1, 2, 3))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable(package="smallbig_keras")
class WindowPooling(keras.layers.Layer):
    """Averages over all frames and over a square window that moves by one pixel.

    A head that was trained on crops sees each part of a larger frame as large as it knows
    them. A frame smaller than the window is averaged as a whole.

    Args:
        window: int. Height and width of the window. Defaults to `7`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: `(batch, 1, max(height - window, 0) + 1, max(width - window, 0) + 1, channels)`.

    Raises:
        ValueError: for a window below 1, or input that is not 5-D.

    Example:

    >>> WindowPooling(7).compute_output_shape((2, 16, 8, 8, 3))
    (2, 1, 2, 2, 3)
    """

    def __init__(self, window=7, **kwargs):
        super().__init__(**kwargs)
        self.window = check_count("window", window)

    def build(self, input_shape):
        check_clip_shape(self, input_shape, needs_channels=False)
        self.built = True

    def call(self, clips):
        images = ops.mean(clips, axis=1)
        sizes = axis_sizes(images, 1, 2)
        if all(isinstance(size, int) for size in sizes):
            window = tuple(min(self.window, size) for size in sizes)
            pooled = ops.average_pool(images, window, 1, "valid", data_format="channels_last")
        else:
            pooled = self._pool_open(images, sizes)
        return ops.expand_dims(pooled, 1)

    def _pool_open(self, images, sizes):
        """Pools frames whose size is known only when they come."""
        beyond = (0, self.window - 1)
        padded = ops.pad(images, ((0, 0), beyond, beyond, (0, 0)))
        pooled = ops.average_pool(padded, self.window, 1, "valid", data_format="channels_last")
        height, width = (ops.minimum(self.window, size) for size in sizes)
        pooled = pooled[:, : sizes[0] - height + 1, : sizes[1] - width + 1]
        # Of a smaller frame the window has zeros, which do not count.
        return pooled * (self.window**2 / ops.cast(height * width, pooled.dtype))

    def compute_output_shape(self, input_shape):
        batch, _, *sizes, channels = input_shape
        sizes = (None if size is None else max(size - self.window, 0) + 1 for size in sizes)
        return (batch, 1, *sizes, channels)

    def get_config(self):
        return {**super().get_config(), "window": self.window}
