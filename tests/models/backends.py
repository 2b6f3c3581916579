"""The outputs of every network, written on one backend of Keras and compared on another."""

import os

import keras
import numpy as np

from smallbig_keras import models
from tests.conftest import randomize
from tests.models.networks import distinct_variants, frames_of, tiny


def write(folder):
    """Writes the weights and outputs of all networks."""
    for name, variant in distinct_variants():
        model = randomize(_build(name, variant))
        model.save_weights(_path(folder, name, variant, "weights.h5"))
        np.save(_path(folder, name, variant, "npy"), _outputs(model))


def compare(folder):
    """Compares the outputs of all networks with those that `write` left."""
    for name, variant in distinct_variants():
        model = _build(name, variant)
        model.load_weights(_path(folder, name, variant, "weights.h5"))
        expected = np.load(_path(folder, name, variant, "npy"))
        np.testing.assert_allclose(
            _outputs(model),
            expected,
            rtol=1e-3,
            atol=1e-5 * np.abs(expected).max(),
            err_msg=f"{name}, variant {variant!r}, on {keras.backend.backend()}",
        )
        assert models.complexity(model).macs > 0


def _build(name, variant):
    shape = (frames_of(name, variant, 8), 32, 32, 3)
    function = models.get_model_function(name)
    return function(variant=variant, input_shape=shape, classifier_activation=None, **tiny(name))


def _outputs(model):
    clips = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:]))
    return keras.ops.convert_to_numpy(model(clips.astype("float32"), training=False))


def _path(folder, name, variant, suffix):
    return os.path.join(folder, f"{name}-{variant}.{suffix}")
