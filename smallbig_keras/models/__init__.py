"""Functional models built on one trunk."""

from smallbig_keras.models.baselines import C2DR23, C2DR50, C2DR101, SlowOnlyR50
from smallbig_keras.models.inspection import complexity, feature_extractor
from smallbig_keras.models.registry import (
    get_model_function,
    list_models,
    list_variants,
    model_spec,
)
from smallbig_keras.models.smallbig import (
    SmallBigR23,
    SmallBigR50,
    SmallBigR101,
    SmallBigSlowOnlyR50,
)
from smallbig_keras.models.video_resnet import VideoResNet, VideoResNetSpec

__all__ = [
    "C2DR23",
    "C2DR50",
    "C2DR101",
    "SlowOnlyR50",
    "SmallBigR23",
    "SmallBigR50",
    "SmallBigR101",
    "SmallBigSlowOnlyR50",
    "VideoResNet",
    "VideoResNetSpec",
    "complexity",
    "feature_extractor",
    "get_model_function",
    "list_models",
    "list_variants",
    "model_spec",
]
