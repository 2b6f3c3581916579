"""Artifacts that run without Keras: SavedModel, TFLite and ONNX."""

from smallbig_keras.exports.comparison import Comparison, compare, format_table
from smallbig_keras.exports.onnx_export import to_onnx
from smallbig_keras.exports.runners import Runner, open_artifact
from smallbig_keras.exports.saved_model import to_saved_model
from smallbig_keras.exports.tflite import to_tflite

__all__ = [
    "Comparison",
    "Runner",
    "compare",
    "format_table",
    "open_artifact",
    "to_onnx",
    "to_saved_model",
    "to_tflite",
]
