"""A network with its weights, optimiser, schedule and metrics, on the devices of the machine."""

import keras
import tensorflow as tf

from smallbig_keras.data.transforms import normalize
from smallbig_keras.errors import MissingPackageError, SmallBigError
from smallbig_keras.models.inspection import is_in_stage
from smallbig_keras.models.registry import get_model_function
from smallbig_keras.optimizers import LossScaleOptimizer, SGDWithL2, Warmup
from smallbig_keras.replicas import count_replicas, replica_context
from smallbig_keras.weights.description import training_clips
from smallbig_keras.weights.loading import load_weights

# Of the learning rate, as in the recipes that warm up (PySlowFast).
_WARMUP_START = 0.1


class ClipTrainer(keras.Model):
    """A network that takes clips as they leave the loader, uint8, and normalises them itself.

    A device is sent a quarter of the bytes so. It has the layers of a network, given by `inputs`
    and `outputs`, and with them their weights and the form of their checkpoints.
    """

    clips = None

    def train_step(self, data):
        results = super().train_step(self._normalized(data))
        average_statistics(self._flatten_layers())
        return results

    def test_step(self, data):
        return super().test_step(self._normalized(data))

    def _maybe_symbolic_build(self, iterator=None, **more):
        """Builds the metrics from the first share of a batch.

        Keras takes the mean of the shares, which must be of one size then; those of a first batch
        that does not divide by the devices are not.
        """
        if iterator is None or self.distribute_strategy.num_replicas_in_sync == 1:
            return super()._maybe_symbolic_build(iterator=iterator, **more)
        _, _, batches = next(iter(iterator))
        batch = next(batches, None)
        if batch is None:
            return None
        shares = keras.tree.map_structure(
            lambda values: self.distribute_strategy.experimental_local_results(values)[0], batch
        )
        return super()._maybe_symbolic_build(data_batch=shares)

    def _normalized(self, data):
        clips, labels = data
        return normalize(clips, self.clips), labels


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
    on_gpu = replicas == 1 and bool(tf.config.list_logical_devices("GPU"))
    optimizer = SGDWithL2(
        learning_rate_schedule(config, steps),
        config["momentum"],
        config["weight_decay"],
        # Runs of older versions have none.
        gradient_accumulation_steps=config.get("gradient_accumulation_steps"),
    )
    if model.dtype_policy.name == "mixed_float16":
        # Under the name that Keras gives its own.
        optimizer = LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    model.compile(
        optimizer=optimizer,
        **loss_and_metrics(mixes_labels(config)),
        jit_compile={"on": True, "off": False, "auto": on_gpu}[config["jit"]],
    )
    return model


def _classifier(model):
    return model.get_layer("classifier")


def _renew(layer):
    """Gives a dense layer new initial weights."""
    layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))
    layer.bias.assign(layer.bias_initializer(layer.bias.shape))


def mixes_labels(config):
    """Tells whether labels are shares of the classes."""
    return config["mixup_mode"] != "none"


def loss_and_metrics(soft_labels):
    """Returns the arguments of `compile` for class ids, or for shares of the classes."""
    metrics = keras.metrics
    if soft_labels:
        top1, top5 = metrics.CategoricalAccuracy, metrics.TopKCategoricalAccuracy
    else:
        top1, top5 = metrics.SparseCategoricalAccuracy, metrics.SparseTopKCategoricalAccuracy
    return {
        "loss": "categorical_crossentropy" if soft_labels else "sparse_categorical_crossentropy",
        "metrics": [top1(name="top1"), top5(5, name="top5")],
    }


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


def average_statistics(layers):
    """Gives the moving statistics of normalisations their mean over the replicas.

    Each replica moves its own from its part of the batch. With their mean everywhere, validation
    has the statistics of the checkpoint. One operation between the devices serves all layers.

    Args:
        layers: iterable of layers. Those without moving statistics of their own are left out:
            frozen ones, and those that are synchronised already.
    """
    context = replica_context()
    if context is None:
        return
    moving = [
        statistic
        for layer in layers
        if is_norm(layer) and layer.trainable and not layer.synchronized
        for statistic in (layer.moving_mean, layer.moving_variance)
    ]
    if moving:
        values = [tf.convert_to_tensor(statistic) for statistic in moving]
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for statistic, mean in zip(moving, means, strict=True):
            statistic.assign(mean)


def is_norm(layer):
    """Tells whether a layer is a batch normalisation."""
    return isinstance(layer, keras.layers.BatchNormalization)
