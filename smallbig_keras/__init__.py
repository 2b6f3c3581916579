"""SmallBigNet and the video networks it is compared with, for Keras 3."""

from smallbig_keras import layers, models, optimizers
from smallbig_keras.labels import class_names, decode_predictions, preprocess_input
from smallbig_keras.models import (
    C2DR23,
    C2DR50,
    C2DR101,
    SlowOnlyR50,
    SmallBigR23,
    SmallBigR50,
    SmallBigR101,
    SmallBigSlowOnlyR50,
    complexity,
    feature_extractor,
    list_models,
)
from smallbig_keras.runs import Run, load_run
from smallbig_keras.version import __version__
from smallbig_keras.weights import list_weights

__all__ = [
    "C2DR23",
    "C2DR50",
    "C2DR101",
    "Run",
    "SlowOnlyR50",
    "SmallBigR23",
    "SmallBigR50",
    "SmallBigR101",
    "SmallBigSlowOnlyR50",
    "__version__",
    "class_names",
    "complexity",
    "decode_predictions",
    "feature_extractor",
    "layers",
    "list_models",
    "list_weights",
    "load_run",
    "models",
    "optimizers",
    "preprocess_input",
]
