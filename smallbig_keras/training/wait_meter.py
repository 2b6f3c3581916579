"""How long a training waits for its data."""

import tensorflow as tf


class WaitMeter:
    """Sums the seconds that a consumer waits for the elements of a dataset.

    A look at the clock before and one after each element are zipped around the dataset, as
    `model.fit` fetches inside a graph, where Python cannot measure. Under a distribution
    strategy the consumer is the thread that feeds the devices.
    """

    def __init__(self):
        self.seconds = 0.0

    def watch(self, dataset):
        """Returns `dataset` with the same elements, measured.

        Args:
            dataset: `tf.data.Dataset`.

        Returns:
            `tf.data.Dataset`.
        """
        clock = tf.data.Dataset.range(1).repeat().map(lambda _: tf.timestamp())
        watched = tf.data.Dataset.zip((clock, dataset, clock))

        def strip(before, element, after):
            with tf.control_dependencies([tf.numpy_function(self._add, [after - before], [])]):
                return tf.nest.map_structure(tf.identity, element)

        watched = watched.map(strip)
        options = tf.data.Options()
        # A buffer added behind the clocks would hide every wait.
        options.experimental_optimization.inject_prefetch = False
        return watched.with_options(options)

    def _add(self, seconds):
        self.seconds += float(seconds)
