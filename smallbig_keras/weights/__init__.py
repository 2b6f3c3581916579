"""Weights: what exists, where it is, and how it gets into a model."""

from smallbig_keras.weights.checkpoints import SUFFIXES, read_state_dict
from smallbig_keras.weights.loading import load_weights
from smallbig_keras.weights.ports import port_state_dict
from smallbig_keras.weights.publishing import publish
from smallbig_keras.weights.records import WeightsRecord
from smallbig_keras.weights.reference_names import reference_variables
from smallbig_keras.weights.report import LoadReport
from smallbig_keras.weights.resolution import find_weights, list_weights
from smallbig_keras.weights.sources import WeightsError, WeightsNotFoundError
from smallbig_keras.weights.torch_files import CheckpointError, read_torch

__all__ = [
    "SUFFIXES",
    "CheckpointError",
    "LoadReport",
    "WeightsError",
    "WeightsNotFoundError",
    "WeightsRecord",
    "find_weights",
    "list_weights",
    "load_weights",
    "port_state_dict",
    "publish",
    "read_state_dict",
    "read_torch",
    "reference_variables",
]
