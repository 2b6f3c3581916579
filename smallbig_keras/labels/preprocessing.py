"""From pixel values to the numbers that the networks were made for."""

import numpy as np

from smallbig_keras.errors import SmallBigError

# Of RGB values from 0 to 1, over the pictures of ImageNet.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CHANNEL_ORDERS = ("rgb", "bgr")


def preprocess_input(clips, mean=None, std=None, channel_order="rgb"):
    """Normalises RGB values by a mean and a standard deviation of each channel.

    Args:
        clips: array or tensor `(..., 3)` of RGB values from 0 to 255, of any dtype.
        mean: sequence of three floats, of RGB values from 0 to 1. Defaults to `None`, ImageNet's.
        std: sequence of three floats above 0. Defaults to `None`, ImageNet's.
        channel_order: `"rgb"`, or `"bgr"` to turn the channels round after all else. Defaults to
            `"rgb"`.

    Returns:
        float32 array or tensor of the same kind and shape, `(clips / 255 - mean) / std`.

    Raises:
        SmallBigError: the last axis is not 3, `mean` or `std` is not of three numbers, or the
            order is none of these.

    Example:

    >>> preprocess_input(np.zeros((1, 8, 224, 224, 3), "uint8")).dtype
    dtype('float32')
    """
    if clips.shape[-1] != 3:
        raise SmallBigError(
            f"The last axis must be the three RGB channels. Received: shape={tuple(clips.shape)}"
        )
    mean = check_channels("mean", IMAGENET_MEAN if mean is None else mean)
    std = check_channels("std", IMAGENET_STD if std is None else std)
    check_channel_order(channel_order)
    mean, std = (np.array(values, "float32") * 255 for values in (mean, std))
    if isinstance(clips, np.ndarray):
        values = (clips.astype("float32") - mean) / std
        return values if channel_order == "rgb" else values[..., ::-1]
    import keras

    # A float32 tensor needs nothing but arithmetic, so that TensorFlow's data pipeline works
    # beside every backend.
    if keras.backend.standardize_dtype(clips.dtype) != "float32":
        clips = keras.ops.cast(clips, "float32")
    values = (clips - mean) / std
    return values if channel_order == "rgb" else values[..., ::-1]


def check_channel_order(value):
    """Raises `SmallBigError` for an order that is not known."""
    if value not in CHANNEL_ORDERS:
        raise SmallBigError(
            f"`channel_order` must be one of {', '.join(CHANNEL_ORDERS)}. Received: {value!r}"
        )


def check_channels(name, values):
    """Returns `mean` or `std` as a tuple of three floats, if it is of three usable numbers."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    low = 0 if name == "std" else -np.inf
    if len(numbers) != 3 or not all(low < value < np.inf for value in numbers):
        rule = " above 0" if name == "std" else ""
        raise SmallBigError(
            f"`{name}` must be three numbers{rule}, one a channel of RGB values from 0 to 1. "
            f"Received: {name}={values!r}"
        )
    return numbers
