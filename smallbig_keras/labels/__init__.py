"""Class names, preprocessing and decoding of scores."""

from smallbig_keras.labels.predictions import class_names, decode_predictions
from smallbig_keras.labels.preprocessing import preprocess_input

__all__ = ["class_names", "decode_predictions", "preprocess_input"]
