"""Weights of other codes in our models."""

from smallbig_keras.weights.reference_names import load_reference_state, reference_variables

__all__ = ["load_reference_state", "reference_variables"]
