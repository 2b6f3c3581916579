"""A compiled model is the network, but for where clips are normalised."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras import preprocess_input
from smallbig_keras.errors import SmallBigError
from smallbig_keras.models import C2DR23
from smallbig_keras.training import compiling, loop, trainer
from smallbig_keras.training.checkpoints import Place

CONFIG = {
    **{"model": "C2DR23", "variant": "reference", "options": {"blocks": [1, 1, 1, 1], "width": 8}},
    **{"weights": "none", "freeze": [], "sync_bn": False, "jit": "off", "epochs": 2},
    **{"schedule": "cosine", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
    **{"mixup_mode": "none", "class_names": ["a", "b", "c"], "frames": 2, "size": 32},
    **{"sampling": "segment", "stride": 8, "test_short_side": 36},
}


def test_the_device_normalises(monkeypatch):
    """The weights after two steps are those of clips that were normalised before."""
    clips = np.random.default_rng(0).integers(0, 256, (8, 2, 32, 32, 3), np.uint8)
    labels = np.arange(8) % 3
    results = []
    for dtype in ("uint8", "float32"):
        keras.utils.set_random_seed(1)
        model = compiling.make_model(dict(CONFIG), steps=2)
        values = clips
        if dtype == "float32":
            values = preprocess_input(clips.astype(np.float32))
            monkeypatch.setattr(trainer, "normalize", lambda clips, _: clips)
        dataset = tf.data.Dataset.from_tensor_slices((values, labels)).batch(4)
        model.fit(dataset, validation_data=dataset, shuffle=False, verbose=0)
        results.append([*model.get_weights(), *model.evaluate(dataset, verbose=0)])
    # A graph multiplies by the inverse of the deviation.
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_clips_leave_the_loader_as_uint8(monkeypatch):
    seen = []

    def spy(*_, **options):
        seen.append(options)
        return tf.data.Dataset.range(1)

    monkeypatch.setattr(loop, "clip_dataset", spy)
    config = {**CONFIG, "batch_size": 2, "seed": 0, "workers": 1, "randaugment": None}
    config |= {"short_side": [36, 40], "augmentation": "short_side", "flip": "none"}
    loop._clips(config, [], [], Place(), None, None)
    assert [options["normalize"] for options in seen] == [False, False]


def test_classes_weigh_the_same():
    config = {**CONFIG, "class_weights": "balanced"}
    weights = compiling.class_weights(config, [0, 0, 0, 2])
    assert weights == {0: pytest.approx(2 / 3), 1: 1, 2: 2}
    assert sum(weights[label] for label in (0, 0, 0, 2)) == pytest.approx(4)
    assert compiling.class_weights(CONFIG, [0, 0, 0, 2]) is None


def test_class_weights_are_in_the_loss():
    clips = tf.random.stateless_uniform((4, 2, 32, 32, 3), (0, 0), 0, 256, tf.int32)
    dataset = tf.data.Dataset.from_tensors((tf.cast(clips, tf.uint8), tf.constant([0, 0, 0, 2])))
    losses = []
    for kind in ("none", "balanced"):
        keras.utils.set_random_seed(1)
        config = {**CONFIG, "class_weights": kind}
        model = compiling.make_model(config, steps=1)
        weights = compiling.class_weights(config, [0, 0, 0, 2])
        history = model.fit(dataset, class_weight=weights, shuffle=False, verbose=0)
        losses += history.history["loss"]
    keras.utils.set_random_seed(1)
    model = compiling.make_model(CONFIG, steps=1)
    scores = model(preprocess_input(tf.cast(clips, tf.float32)), training=True)
    each = -np.log(np.array(scores)[range(4), [0, 0, 0, 2]])
    expected = each.mean(), np.dot(each, [2 / 3, 2 / 3, 2 / 3, 2]) / 4
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_smoothed_labels_are_in_both_losses():
    config = {**CONFIG, "label_smoothing": 0.3}
    arguments = compiling.loss_and_metrics(config)
    scores = np.array([[0.7, 0.2, 0.1]], "float32")
    loss = float(arguments["loss"](np.array([[1, 0, 0]], "float32"), scores))
    assert loss == pytest.approx(-(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1)))


def test_a_batch_that_does_not_divide(monkeypatch, tmp_path):
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(compiling, "make_strategy", lambda name: strategy)
    config = {**CONFIG, "dtype": "float32", "strategy": "auto", "batch_size": 3}
    with pytest.raises(SmallBigError, match="a multiple of the 2 devices.*Received: 3"):
        loop._fit(tmp_path, config, resumed=False, interrupted=None)
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_those_of_the_network(tmp_path):
    keras.utils.set_random_seed(2)
    trained = compiling.make_model(dict(CONFIG), steps=2)
    trained.save_weights(tmp_path / "trained.weights.h5")
    network = C2DR23(input_shape=(2, 32, 32, 3), classes=3, blocks=[1, 1, 1, 1], width=8)
    network.load_weights(tmp_path / "trained.weights.h5")
    for one, other in zip(trained.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [w.path for w in trained.weights] == [w.path for w in network.weights]
