"""The optimiser against the formula of its documentation."""

import keras
import numpy as np
import pytest

from smallbig_keras.optimizers import SGDWithL2


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps(rng, momentum, nesterov):
    rates = [0.1, 0.1, 0.01, 0.01]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.01])
    optimizer = SGDWithL2(schedule, momentum, l2=0.05, nesterov=nesterov)
    weight = rng.standard_normal((3, 2))
    variable = keras.Variable(weight, dtype="float32")
    velocity = np.zeros_like(weight)
    for rate in rates:
        gradient = rng.standard_normal((3, 2))
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        step = gradient + 0.05 * weight
        velocity = momentum * velocity + step
        step = step + momentum * velocity if nesterov else velocity
        weight = weight - rate * step
        np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-5, atol=1e-6)


def test_configuration():
    optimizer = SGDWithL2(0.1, 0.8, l2=0.01, nesterov=True, clipnorm=1.0)
    config = keras.saving.serialize_keras_object(optimizer)
    assert config["registered_name"] == "smallbig_keras>SGDWithL2"
    assert keras.saving.deserialize_keras_object(config).get_config() == optimizer.get_config()


@pytest.mark.parametrize("arguments", [{"l2": -1}, {"weight_decay": 0.1}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="`l2` must be.*Received: "):
        SGDWithL2(**arguments)
