"""From pixel values to the numbers that the networks were made for."""

import keras
import numpy as np

from smallbig_keras.errors import SmallBigError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def preprocess_input(clips):
    """Normalises RGB values by mean and standard deviation of ImageNet.

    Args:
        clips: array or tensor `(..., 3)` of RGB values from 0 to 255, of any dtype.

    Returns:
        float32 array or tensor of the same kind and shape, `(clips / 255 - mean) / std`.

    Raises:
        ValueError: if the last axis is not 3.

    Example:

    >>> preprocess_input(np.zeros((1, 8, 224, 224, 3), "uint8")).dtype
    dtype('float32')
    """
    if clips.shape[-1] != 3:
        raise SmallBigError(
            f"The last axis must be the three RGB channels. Received: shape={tuple(clips.shape)}"
        )
    mean = np.array(MEAN, "float32") * 255
    std = np.array(STD, "float32") * 255
    if isinstance(clips, np.ndarray):
        return (clips.astype("float32") - mean) / std
    # A float32 tensor needs nothing but arithmetic, so that TensorFlow's data pipeline works
    # beside every backend.
    if keras.backend.standardize_dtype(clips.dtype) != "float32":
        clips = keras.ops.cast(clips, "float32")
    return (clips - mean) / std
