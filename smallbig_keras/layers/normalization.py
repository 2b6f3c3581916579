"""Batch normalisation that uses TensorFlow's fused kernel, and reads a batch once on JAX."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.replicas import replica_context, sum_over_replicas

_FUSED_DTYPES = ("float16", "bfloat16", "float32")


@keras.saving.register_keras_serializable(package="smallbig_keras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of the last axis, fused on the TensorFlow backend.

    Keras 3 composes the normalisation of elementary operations, which TensorFlow's fused
    operation does in one; `benchmarks/normalization.py` measures both. On JAX both statistics of a
    batch come from one pass over it. Weights, saving, freezing and configuration are those of the
    Keras layer, and so are all other cases: PyTorch, masks, float64.

    In training, TensorFlow and JAX update the moving variance with the unbiased estimate,
    `n / (n - 1)` times the batch variance, as PyTorch's own layer does; the Keras layer takes the
    batch variance itself.

    With `synchronized=True` and several replicas the statistics are those of the whole batch, as
    one device has them: the variance is the mean square about the mean, and unbiased in the
    moving variance. Keras takes `E[x^2] - E[x]^2`, which loses digits, and the biased one.

    Args:
        momentum: float. Share of the old value in a moving statistic. Defaults to `0.9`.
        epsilon: float. Added to the variance. Defaults to `1e-5`.
        **kwargs: the other arguments of `keras.layers.BatchNormalization`; `axis` must be
            the last one.

    Raises:
        ValueError: if `axis` is not -1.

    Example:

    >>> FusedBatchNormalization().compute_output_shape((2, 4, 8, 8, 3))
    (2, 4, 8, 8, 3)
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        axis = kwargs.pop("axis", -1)
        if axis != -1:
            raise SmallBigError(
                f"The last axis is normalised: `axis` must be -1. Received: {axis=}"
            )
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        use_batch = bool(training) and self.trainable
        if mask is None and use_batch and self.synchronized and replica_context():
            return self._normalize_over_replicas(inputs)
        can_fuse = self._can_fuse(inputs, mask)
        if can_fuse and use_batch and keras.backend.backend() == "jax":
            return self._normalize_in_one_pass(inputs)
        if not can_fuse or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)

        import tensorflow as tf

        shape = ops.shape(inputs)
        channels = shape[-1]
        images = inputs
        if len(shape) != 4:
            # A clip keeps its height and width; anything else becomes a column of vectors.
            inner = shape[-3:-1] if len(shape) > 4 else (1, 1)
            images = tf.reshape(inputs, (-1, *inner, channels))
        float32 = {
            "scale": self.gamma if self.scale else tf.ones(channels),
            "offset": self.beta if self.center else tf.zeros(channels),
            "mean": self.moving_mean,
            "variance": self.moving_variance,
        }
        # The compatibility function would raise epsilon to 1.001e-5; the operation does not.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images,
            epsilon=self.epsilon,
            is_training=use_batch,
            **{name: tf.cast(ops.convert_to_tensor(v), tf.float32) for name, v in float32.items()},
        )
        if use_batch:
            self._move_statistics(mean, variance)
        # Of the batch's number, which keeps the convolution before from being merged with this: the
        # merged operation fails on a batch of no clips, as one of several devices may have.
        return outputs if images is inputs else tf.reshape(outputs, shape)

    def _can_fuse(self, inputs, mask):
        return (
            mask is None
            and not getattr(self, "renorm", False)
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
        )

    def _normalize_in_one_pass(self, inputs):
        """Normalises with mean and variance of the batch, whose values are read once for both."""
        x = ops.cast(inputs, "float32")
        axes = list(range(len(x.shape) - 1))
        # About a value of each channel, the squares are as small as the variance.
        origin = ops.stop_gradient(x[(0,) * len(axes)])
        moved = x - origin
        mean = ops.mean(moved, axes)
        variance = ops.mean(ops.square(moved), axes) - ops.square(mean)
        variance = ops.maximum(variance, 0.0)
        number = ops.cast(ops.prod(ops.shape(x)[:-1]), x.dtype)
        self._move_statistics(mean + origin, _unbiased(variance, number))
        return self._scale(moved, mean, variance, inputs.dtype)

    def _normalize_over_replicas(self, inputs):
        """Normalises with the mean and the variance of the batch of all replicas."""
        fused = keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
        x = ops.cast(inputs, "float32" if fused else inputs.dtype)
        axes = list(range(len(x.shape) - 1))
        number = ops.cast(ops.prod(ops.shape(x)[:-1]), x.dtype)
        # One operation between the devices for both.
        (sums,) = sum_over_replicas(
            [ops.concatenate([ops.sum(x, axes), ops.reshape(number, (1,))], axis=0)]
        )
        number = sums[-1]
        mean = sums[:-1] / number
        # The derivative by the mean is zero.
        squares = ops.sum(ops.square(x - ops.stop_gradient(mean)), axes)
        variance = sum_over_replicas([squares])[0] / number
        # As on one device: the fused operation is unbiased, Keras' own is not.
        self._move_statistics(mean, _unbiased(variance, number) if fused else variance)
        return self._scale(x, mean, variance, inputs.dtype)

    def _scale(self, x, mean, variance, dtype):
        gamma = ops.cast(self.gamma, x.dtype) if self.scale else None
        beta = ops.cast(self.beta, x.dtype) if self.center else None
        outputs = ops.batch_normalization(
            x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(outputs, dtype)

    def _move_statistics(self, mean, variance):
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            batch = ops.cast(batch, moving.dtype)
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))


def _unbiased(variance, number):
    # Of a single value there is none, and 0 stays 0, as in TensorFlow.
    return variance * (number / ops.maximum(number - 1, 1))
