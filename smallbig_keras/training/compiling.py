"""A network with its weights, optimiser, schedule and metrics, on the devices of the machine."""

import collections
import contextlib

import keras
import tensorflow as tf

from smallbig_keras.errors import MissingPackageError, SmallBigError
from smallbig_keras.models.inspection import is_in_stage
from smallbig_keras.models.registry import get_model_function
from smallbig_keras.optimizers import LossScaleOptimizer, SGDWithL2, Warmup
from smallbig_keras.replicas import count_replicas
from smallbig_keras.training.rematerialization import rematerialized
from smallbig_keras.training.trainer import ClipTrainer, is_norm
from smallbig_keras.weights.description import training_clips
from smallbig_keras.weights.loading import load_weights

# Of the learning rate, as in the recipes that warm up (PySlowFast).
_WARMUP_START = 0.1


def make_strategy(name):
    """Returns the `tf.distribute` strategy: all GPUs of the machine, or one device.

    Raises `MissingPackageError` for several devices with a Keras that trains wrongly on them.
    """
    gpus = tf.config.list_logical_devices("GPU")
    devices = [d.name for d in gpus or tf.config.list_logical_devices("CPU")]
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        # Until 3.7 it adds the devices' gradients up where their mean is meant, and until 3.9 its
        # losses and metrics are those of the first device.
        if len(devices) > 1 and keras_version() < (3, 10):
            raise MissingPackageError(
                "Training on several devices needs Keras 3.10: pip install -U keras, or take "
                f"--strategy one. Received: Keras {keras.__version__}"
            )
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def is_deterministic(config):
    """Tells whether a training repeats to the bit; `None` is yes but on a GPU."""
    chosen = config.get("deterministic")
    return not tf.config.list_logical_devices("GPU") if chosen is None else chosen


@contextlib.contextmanager
def deterministic_operations():
    """Makes TensorFlow's operations repeat to the bit.

    On a GPU this takes its switch, which has no way back: the rest of the process keeps it. On a
    processor the operations of our networks repeat without it, and it would decode the pictures
    of folders and shards one after the other.
    """
    if tf.config.list_logical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    name = "arithmetic_optimization"
    before = tf.config.optimizer.get_experimental_options().get(name, True)
    # It would make one sum of many terms of a chain of sums, see `ClipTrainer`.
    tf.config.optimizer.set_experimental_options({name: False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})


def keras_version():
    """Returns the version of Keras, `(major, minor)`."""
    return tuple(int(part) for part in keras.__version__.split(".")[:2])


def make_network(config):
    """Builds the network of a run."""
    return get_model_function(config["model"])(
        input_shape=training_clips(config).shape,
        classes=len(config["class_names"]),
        variant=config["variant"],
        **config["options"],
    )


def make_model(config, steps, load=True):
    """Builds, freezes and compiles the model of a run, from its initial weights if `load`.

    Raises:
        SmallBigError: if XLA is asked for on several devices.
    """
    replicas = count_replicas()
    if config["jit"] == "on" and replicas > 1:
        raise SmallBigError(
            "XLA compiles the step of one device: take --strategy one, or --jit off. "
            f"Received: --jit on with {replicas} devices"
        )
    model = make_network(config)
    loaded = set()
    if load and config["weights"] != "none":
        report = load_weights(model, config["weights_path"])
        print(report)
        loaded = set(report.loaded)
        if not config["keep_classifier"] and loaded & {w.path for w in _classifier(model).weights}:
            _renew(_classifier(model))
            print("new      classifier: the weights are of other classes of that number")
    if load:
        config["frozen"] = find_frozen(model, config["freeze"], loaded)
    freeze(model, config["frozen"])
    model = ClipTrainer(model.inputs, model.outputs, name=model.name)
    model.clips = training_clips(config)
    if config["sync_bn"]:
        for layer in model._flatten_layers():
            if is_norm(layer):
                layer.synchronized = True
    if config.get("remat"):
        model.forward = rematerialized(model)
    on_gpu = replicas == 1 and bool(tf.config.list_logical_devices("GPU"))
    optimizer = SGDWithL2(
        learning_rate_schedule(config, steps),
        config["momentum"],
        config["weight_decay"],
        # Runs of older versions have none.
        gradient_accumulation_steps=config.get("gradient_accumulation_steps"),
        global_clipnorm=config.get("clip_norm"),
        **_averaging(config.get("ema")),
    )
    if model.dtype_policy.name == "mixed_float16":
        # Under the name that Keras gives its own.
        optimizer = LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    model.compile(
        optimizer=optimizer,
        **loss_and_metrics(config),
        jit_compile={"on": True, "off": False, "auto": on_gpu}[config["jit"]],
    )
    model.optimizer.build(model.trainable_variables)
    label = tf.zeros(1, tf.int32)
    shares = tf.one_hot(label, len(config["class_names"]))
    model.build_metrics(shares if shares_labels(config) else label)
    return model


def _averaging(share):
    """Returns the arguments of an optimiser that averages weights, none of one that does not."""
    if share is None:
        return {}
    return {"use_ema": True, "ema_momentum": share, "ema_overwrite_frequency": None}


def class_weights(config, labels):
    """Returns the argument `class_weight` of `fit`: all classes together weigh the same."""
    if config.get("class_weights", "none") == "none":
        return None
    counts = collections.Counter(labels)
    # The mean weight of a video is 1. A class without videos is never met.
    mean = len(labels) / len(counts)
    return {c: mean / counts.get(c, mean) for c in range(len(config["class_names"]))}


def _classifier(model):
    return model.get_layer("classifier")


def _renew(layer):
    """Gives a dense layer new initial weights."""
    layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))
    layer.bias.assign(layer.bias_initializer(layer.bias.shape))


def mixes_labels(config):
    """Tells whether clips are mixed, and their labels with them."""
    return config["mixup_mode"] != "none"


def shares_labels(config):
    """Tells whether labels are shares of the classes."""
    return mixes_labels(config) or smoothing(config) > 0


def smoothing(config):
    """Returns the label smoothing; runs of older versions have none."""
    return config.get("label_smoothing") or 0.0


def loss_and_metrics(config):
    """Returns the arguments of `compile` for class ids, or for shares of the classes."""
    metrics, losses = keras.metrics, keras.losses
    if shares_labels(config):
        loss = losses.CategoricalCrossentropy(label_smoothing=smoothing(config))
        top1, top5 = metrics.CategoricalAccuracy, metrics.TopKCategoricalAccuracy
    else:
        loss = losses.SparseCategoricalCrossentropy()
        top1, top5 = metrics.SparseCategoricalAccuracy, metrics.SparseTopKCategoricalAccuracy
    return {"loss": loss, "metrics": [top1(name="top1"), top5(5, name="top5")]}


def learning_rate_schedule(config, steps):
    """Returns the learning rate as a function of the step."""
    rate = _schedule(config, steps)
    # Runs of older versions have no warm-up.
    warmup = config.get("warmup_epochs") or 0
    return Warmup(rate, warmup * steps, _WARMUP_START * config["lr"]) if warmup else rate


def _schedule(config, steps):
    if config["schedule"] == "cosine":
        return keras.optimizers.schedules.CosineDecay(config["lr"], config["epochs"] * steps)
    if not config["milestones"]:
        return config["lr"]
    boundaries = [epoch * steps - 1 for epoch in config["milestones"]]
    rates = [config["lr"] * 0.1**k for k in range(len(boundaries) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


def find_frozen(model, parts, loaded):
    """Lists the paths of the layers that keep their weights, for the configuration of the run.

    Normalisations whose weights are new are not among those of `norm`: at scale 0 they would
    switch their view off for good.
    """
    stages = set(parts) - {"norm"}
    frozen = [
        layer.path
        for layer in model.layers
        if layer.weights and any(is_in_stage(layer.name, stage) for stage in stages)
    ]
    if "norm" in parts:
        norms = [layer for layer in model._flatten_layers() if is_norm(layer)]
        frozen += [norm.path for norm in norms if {w.path for w in norm.weights} <= loaded]
    return sorted(frozen)


def freeze(model, paths):
    """Makes layers, with all inside, keep their weights and statistics."""
    for layer in model._flatten_layers():
        if layer.path in paths:
            layer.trainable = False
