"""Batch normalisation that uses TensorFlow's fused kernel."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError


@keras.saving.register_keras_serializable(package="smallbig_keras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of the last axis, fused on the TensorFlow backend.

    Keras 3 composes the normalisation of elementary operations, which TensorFlow's fused
    operation does in one; `benchmarks/normalization.py` measures both. Weights, saving,
    freezing and configuration are those of the Keras layer, and so are all other cases: other
    backends, masks, statistics synchronised over replicas, float64.

    In training the fused operation updates the moving variance with the unbiased estimate,
    `n / (n - 1)` times the batch variance, as PyTorch does; the Keras layer takes the batch
    variance itself.

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
        if not self._can_fuse(inputs, use_batch, mask):
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
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                batch = ops.cast(batch, moving.dtype)
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs if images is inputs else tf.reshape(outputs, shape)

    def _can_fuse(self, inputs, use_batch, mask):
        return (
            keras.backend.backend() == "tensorflow"
            and mask is None
            and not (use_batch and self.synchronized)
            and not getattr(self, "renorm", False)
            and keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16", "float32")
        )
