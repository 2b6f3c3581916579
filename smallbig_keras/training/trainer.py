"""The model that `fit` trains: a network that takes the clips of the loader."""

import time

import keras
import tensorflow as tf

from smallbig_keras.data.transforms import normalize
from smallbig_keras.replicas import replica_context
from smallbig_keras.training.convolution_gradients import gradients_of_columns


class ClipTrainer(keras.Model):
    """A network that takes clips as they leave the loader, uint8, and normalises them itself.

    A device is sent a quarter of the bytes so. It has the layers of a network, given by `inputs`
    and `outputs`, and with them their weights and the form of their checkpoints.

    Gradients that meet in a tensor are added in the order of the graph. TensorFlow's own sum of
    three or more begins with the one whose memory is free first, which depends on what else the
    machine does.

    Attributes:
        clips: ClipConfig. The rule of the clips.
        forward: function of clips. Forward pass of a training step, `None` for the network's own.
        steps_left_out: int. First steps that `fit` counts and that are not done: a run that
            continues has done them.
        steps_done: int. Steps that were done.
        seconds_waited: float. Time that they waited for their clips.
    """

    clips = None
    forward = None
    steps_left_out = 0
    steps_done = 0
    seconds_waited = 0.0

    def train_step(self, data):
        clips, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        images = normalize(clips, self.clips)
        variables = self.trainable_variables
        with gradients_of_columns():
            scores = self.forward(images) if self.forward else self(images, training=True)
            loss = self.compute_loss(y=labels, y_pred=scores, sample_weight=weights)
            gradients = tf.gradients(
                self.optimizer.scale_loss(loss),
                [variable.value for variable in variables],
                aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE,
            )
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        average_statistics(self._flatten_layers())
        # Keras divides a loss by the number of devices.
        devices = self.distribute_strategy.num_replicas_in_sync
        self._loss().update_state(loss * devices, sample_weight=tf.shape(clips)[0])
        return self.compute_metrics(clips, labels, scores, weights)

    def test_step(self, data):
        clips, labels = data
        return super().test_step((normalize(clips, self.clips), labels))

    def build_metrics(self, labels):
        """Lets the metrics know the form of labels, which Keras does at the first step only."""
        scores = tf.zeros((len(labels), self.output_shape[-1]))
        self.distribute_strategy.run(self.compute_metrics, args=(None, labels, scores))
        self.reset_metrics()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: metrics and optimiser are built.

        Keras would read a batch for it, and on several devices one that divides.
        """

    def make_train_function(self, force=False):
        """Makes the function of a step: the clips are waited for here, not in the graph."""
        if self.train_function is not None and not force:
            return
        step = tf.function(self._step, reduce_retracing=True, jit_compile=self.jit_compile)

        def train_function(iterator):
            if self.steps_left_out:
                self.steps_left_out -= 1
                return self.get_metrics_result()
            start = time.perf_counter()
            data = next(iterator)
            self.seconds_waited += time.perf_counter() - start
            self.steps_done += 1
            return step(data)

        self.train_function = train_function

    def _step(self, data):
        logs = self.distribute_strategy.run(self.train_step, args=(data,))
        return {
            name: self.distribute_strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
            for name, value in logs.items()
        }

    def _loss(self):
        (loss,) = [metric for metric in self.metrics if metric.name == "loss"]
        return loss

    @property
    def tallies(self):
        """list of `keras.Variable`. The values that the metrics have counted in this epoch."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def seeds(self):
        """list of `keras.Variable`. The states of the layers that draw, such as dropout."""
        weights = {id(variable) for variable in self.weights}
        return [v for v in self.non_trainable_variables if id(v) not in weights]


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
