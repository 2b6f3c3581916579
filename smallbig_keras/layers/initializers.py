"""Initial values of convolutions."""

import keras
import numpy as np
from keras import ops

from smallbig_keras.errors import SmallBigError


def conv_initializer():
    """He's normal initialisation by output fan, that of the reference networks."""
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )


@keras.saving.register_keras_serializable(package="smallbig_keras")
class CentreIdentity(keras.initializers.Initializer):
    """A convolution that starts as the identity: 1 at the middle of the kernel, else 0.

    That of the convolutions over time of S3D-G (TF-slim's `center_initializer`): a new network
    looks at each frame alone.
    """

    def __call__(self, shape, dtype=None, **kwargs):
        *size, inputs, outputs = shape
        if inputs != outputs or not all(n % 2 for n in size):
            raise SmallBigError(
                "A convolution that starts as the identity has an odd kernel and as many channels "
                f"at its end as at its start. Received: shape={tuple(shape)}"
            )
        value = np.zeros(shape, "float32")
        value[tuple(n // 2 for n in size)] = np.eye(inputs)
        return ops.convert_to_tensor(value, dtype=dtype)

    def get_config(self):
        return {}
