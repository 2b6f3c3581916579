"""A compiled model is the network, but for where clips are normalised."""

import keras
import numpy as np
import tensorflow as tf

from smallbig_keras import preprocess_input
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


def test_checkpoints_are_those_of_the_network(tmp_path):
    keras.utils.set_random_seed(2)
    trained = compiling.make_model(dict(CONFIG), steps=2)
    trained.save_weights(tmp_path / "trained.weights.h5")
    network = C2DR23(input_shape=(2, 32, 32, 3), classes=3, blocks=[1, 1, 1, 1], width=8)
    network.load_weights(tmp_path / "trained.weights.h5")
    for one, other in zip(trained.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [w.path for w in trained.weights] == [w.path for w in network.weights]
