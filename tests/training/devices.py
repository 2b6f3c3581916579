"""Trainings on one and on two logical CPU devices, for a process of its own.

Devices are configured before TensorFlow starts.
"""

import json
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from smallbig_keras.errors import SmallBigError
from smallbig_keras.optimizers import SGDWithL2
from smallbig_keras.training import compiling
from smallbig_keras.weights.description import training_clips
from smallbig_keras.weights.loading import load_weights

CONFIG = {
    **{"model": "SmallBigSlowOnlyR50", "variant": "reference"},
    **{"options": {"blocks": [1, 1, 1, 1], "width": 8}, "frames": 4, "size": 32},
    **{"weights": "none", "freeze": [], "sync_bn": False, "jit": "off", "epochs": 1},
    **{"schedule": "step", "milestones": [], "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
    **{"mixup_mode": "none", "class_names": ["a", "b", "c"], "sampling": "segment", "stride": 8},
    **{"test_short_side": 36},
}
EVERYTHING = {
    **{"gradient_accumulation_steps": 2, "global_clipnorm": 0.5},
    **{"use_ema": True, "ema_momentum": 0.9},
}


def make_strategies():
    """Returns the strategies of one and of two devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    return tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def make_dataset(videos, batch_size, soft=False):
    """Random clips, of random labels."""
    rng = np.random.default_rng(videos)
    clips = rng.integers(0, 256, (videos, 4, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 3, videos)
    if soft:
        labels = rng.dirichlet(np.ones(3), videos).astype("float32")
    options = tf.data.Options()
    # An iterator that ends waits for the thread of the tuning, for as long again as it has lived.
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices((clips, labels)).batch(batch_size)
    return dataset.with_options(options)


def make_model(strategy, **config):
    """The model of a run, of the same initial weights each time."""
    keras.utils.set_random_seed(1)
    with strategy.scope():
        return compiling.make_model({**CONFIG, **config}, steps=2)


def compare_trainings(strategies, dtype, rate, **options):
    """Trains ten steps on one device and on two, normalised over both.

    Returns the largest difference of each kind of weights, and the largest of these weights; so
    too of the steps that the trainable weights have moved.
    """
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    found = []
    for strategy in strategies:
        keras.utils.set_random_seed(1)
        with strategy.scope():
            network = compiling.make_network(CONFIG)
            # Metrics of float64 fail in Keras.
            model = compiling.ClipTrainer(network.inputs, network.outputs)
            model.clips = training_clips(CONFIG)
            for layer in model._flatten_layers():
                if compiling.is_norm(layer):
                    layer.synchronized = strategy.num_replicas_in_sync > 1
            model.compile(
                SGDWithL2(rate, 0.9, 1e-4, **options),
                "sparse_categorical_crossentropy",
                jit_compile=False,
            )
            model.optimizer.build(model.trainable_variables)
        start = [w.numpy() for w in model.trainable_variables]
        seen = Weights()
        model.fit(make_dataset(80, 8), shuffle=False, verbose=0, callbacks=[seen])
        moved = [a - b for a, b in zip(seen.weights["trainable"], start, strict=True)]
        found.append({**seen.weights, "moved": moved})
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    one, two = found
    return {
        kind: {
            "difference": max(
                float(np.abs(a - b).max()) for a, b in zip(one[kind], two[kind], strict=True)
            ),
            "largest": max(float(np.abs(a).max()) for a in one[kind]),
        }
        for kind in one
        if one[kind]
    }


class Weights(keras.callbacks.Callback):
    """Keeps the weights after the last step: `fit` overwrites them with their averages."""

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self.weights = {
            "trainable": [w.numpy() for w in self.model.trainable_variables],
            "statistics": [w.numpy() for w in self.model.non_trainable_variables],
            "optimizer": [w.numpy() for w in optimizer.variables[2:]],
        }


def compare_validation(strategies, sync_bn):
    """Losses of `fit` on two devices, and those of its checkpoint on one; a frozen layer too.

    The validation is of three videos, which do not divide by the devices.
    """
    one, two = strategies
    model = make_model(two, sync_bn=sync_bn)
    norms = [layer for layer in model._flatten_layers() if compiling.is_norm(layer)]
    norms[0].trainable = False
    frozen = [w.numpy() for w in norms[0].weights]
    validation = make_dataset(3, 4)
    history = model.fit(
        make_dataset(16, 4), validation_data=validation, epochs=2, shuffle=False, verbose=0
    ).history
    apart = max(
        float(np.abs(np.subtract(*(part.numpy() for part in weight.value.values))).max())
        for weight in model.non_trainable_variables
    )
    unchanged = all(
        np.array_equal(a.numpy(), b) for a, b in zip(norms[0].weights, frozen, strict=True)
    )
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(file)
        saved = make_model(one)
        load_weights(saved, file)
    return {
        "fit": history["val_loss"][-1],
        "saved": saved.evaluate(validation, verbose=0)[0],
        "apart": apart,
        "frozen": unchanged,
    }


def compare_rematerialized(strategy):
    """Returns the largest difference of weights after steps with `--remat` on two devices."""
    found = []
    for remat in (False, True):
        model = make_model(strategy, remat=remat)
        model.fit(make_dataset(12, 4), shuffle=False, verbose=0)
        found.append([weight.numpy() for weight in model.weights])
    return max(float(np.abs(a - b).max()) for a, b in zip(*found, strict=True))


def compare_counts(strategies, soft):
    """Loss and metrics of both for numbers of videos that do not divide, and for none.

    The first number comes before the metrics are built.
    """
    models = [make_model(s, mixup_mode="mixup" if soft else "none") for s in strategies]
    models[0].fit(make_dataset(8, 4, soft), verbose=0, shuffle=False)
    models[1].set_weights(models[0].get_weights())
    return {
        videos: [
            model.evaluate(
                make_dataset(videos, 4, soft) if videos else make_dataset(1, 4, soft).take(0),
                verbose=0,
                return_dict=True,
            )
            for model in models
        ]
        for videos in (1, 3, 5, 7, 0)
    }


def refuse_xla(strategies):
    """Returns the message for XLA on two devices."""
    try:
        make_model(strategies[1], jit="on")
    except SmallBigError as error:
        return str(error)
    return ""


def main(part):
    """Prints the results of one part of the tests as JSON."""
    strategies = make_strategies()
    if part == "equality":
        results = {
            "float64 plain": compare_trainings(strategies, "float64", 0.01),
            "float64 everything": compare_trainings(strategies, "float64", 0.01, **EVERYTHING),
            "float32 everything": compare_trainings(strategies, "float32", 0.001, **EVERYTHING),
        }
    else:
        results = {
            "validation": compare_validation(strategies, sync_bn=False),
            "validation of --sync-bn": compare_validation(strategies, sync_bn=True),
            "hard": compare_counts(strategies, soft=False),
            "soft": compare_counts(strategies, soft=True),
            "remat": compare_rematerialized(strategies[1]),
            "xla": refuse_xla(strategies),
        }
    print(json.dumps(results))
