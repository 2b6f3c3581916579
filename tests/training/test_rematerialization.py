"""Training that computes tensors again: the same weights, with fewer tensors kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras.errors import MissingPackageError
from smallbig_keras.training import compiling
from smallbig_keras.training.memory import step_memory
from smallbig_keras.training.rematerialization import rematerialized, split
from tests.training.test_trainer import CONFIG

SMALL = {"blocks": [1, 2, 1, 1], "width": 8}
# Without S3D: its gradients on small random clips multiply rounding errors by a million.
NETWORKS = {
    "SmallBigR50": ({**SMALL, "smallbig_stages": [3, 4, 5]}, (3, 32)),
    "NonLocalR50": (SMALL, (4, 32)),
    "VoV3DM": ({**SMALL, "layers": 2, "head_width": 16}, (3, 33)),
}


def train(rng, remat, name):
    """Returns the weights of a network, with all state, after three steps."""
    choices, (frames, size) = NETWORKS[name]
    config = {**CONFIG, "model": name, "options": choices, "frames": frames, "size": size}
    config |= {"test_short_side": size, "remat": remat}
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = compiling.make_model(config, steps=4)
    clips = tf.constant(rng.integers(256, size=(2, frames, size, size, 3)), tf.uint8)
    model.fit(tf.data.Dataset.from_tensors((clips, [0, 1])).repeat(3), shuffle=False, verbose=0)
    return {variable.path: variable.numpy() for variable in model.variables}


@pytest.mark.parametrize("name", NETWORKS)
def test_training(name):
    kept, again = (train(np.random.default_rng(0), remat, name) for remat in (False, True))
    assert kept.keys() == again.keys()
    for path, value in kept.items():
        # Seeds among them: dropout in the head draws the same.
        np.testing.assert_allclose(again[path], value, rtol=1e-4, atol=1e-5, err_msg=path)


def test_outside_a_graph(rng):
    choices, (frames, size) = NETWORKS["SmallBigR50"]
    model = smallbig_keras.SmallBigR50(input_shape=(frames, size, size, 3), classes=5, **choices)
    clips = tf.constant(rng.standard_normal((2, frames, size, size, 3)), tf.float32)
    start = model.get_weights()
    gradients = []
    for forward in (rematerialized(model), lambda clips: model(clips, training=True)):
        model.set_weights(start)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(forward(clips) * tf.range(5.0))
        variables = [variable.value for variable in model.trainable_variables]
        gradients.append([*tape.gradient(loss, variables), *model.get_weights()])
    for value, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["SmallBigR50", "S3DG", "VoV3DM", "CoSTR50"])
def test_parts(rng, name):
    """One after the other, they are the network."""
    model = getattr(smallbig_keras, name)(input_shape=(16, 64, 64, 3), classes=5)
    parts = split(model)
    assert len(parts) > 2
    clips = outputs = rng.standard_normal((1, *model.input_shape[1:])).astype("float32")
    for part in parts:
        outputs = part(outputs, training=False)
    np.testing.assert_allclose(outputs, model(clips, training=False), rtol=1e-4, atol=1e-6)
    layers = [layer for part in parts for layer in part.layers if layer.weights]
    assert layers == [layer for layer in model.layers if layer.weights]


def test_memory():
    """Of a clip, the estimate is less than half; of the weights, it is the same."""
    model = smallbig_keras.SmallBigR50(input_shape=(8, 64, 64, 3), classes=5)
    kept, again = (step_memory(model, remat=remat) for remat in (False, True))
    assert again.per_clip < kept.per_clip / 2


def test_an_older_keras(monkeypatch):
    model = smallbig_keras.C2DR50(input_shape=(2, 32, 32, 3), classes=5, blocks=(1, 1, 1, 1))
    monkeypatch.delattr(keras, "remat")
    with pytest.raises(MissingPackageError, match=r"needs Keras 3\.9.*Received: Keras"):
        rematerialized(model)
