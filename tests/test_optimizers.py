"""The optimiser against the formula of its documentation."""

import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from smallbig_keras.optimizers import SGDWithL2
from smallbig_keras.training.compiling import keras_version


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


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_accumulation_is_one_step_on_the_mean_gradient(rng, momentum, nesterov):
    """Of three steps; two more wait for their third and change nothing."""
    gradients = rng.standard_normal((8, 4)).astype("float32")
    weight = rng.standard_normal(4)
    optimizers = [
        SGDWithL2(0.1, momentum, 0.05, nesterov, gradient_accumulation_steps=steps)
        for steps in (3, None)
    ]
    accumulated, plain = (keras.Variable(weight, dtype="float32") for _ in optimizers)
    for step, gradient in enumerate(gradients, start=1):
        optimizers[0].apply([keras.ops.convert_to_tensor(gradient)], [accumulated])
        if step % 3 == 0:
            mean = gradients[step - 3 : step].mean(axis=0)
            optimizers[1].apply([keras.ops.convert_to_tensor(mean)], [plain])
        np.testing.assert_allclose(accumulated.numpy(), plain.numpy(), rtol=1e-5, atol=1e-6)
    assert int(optimizers[0].iterations) == 8 and int(optimizers[1].iterations) == 2


def test_accumulation_under_loss_scaling():
    """A gradient that overflows is left out: the three finite ones make the update."""
    inner = SGDWithL2(0.1, 0.0, 0.0, gradient_accumulation_steps=3)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
    variable = keras.Variable([0.0])
    optimizer.build([variable])
    for gradient in (1.0, float("inf"), 2.0, 3.0):
        assert variable.numpy() == 0.0
        scaled = optimizer.scale_loss(keras.ops.convert_to_tensor([gradient]))
        optimizer.apply([scaled], [variable])
    np.testing.assert_allclose(variable.numpy(), [-0.2], rtol=1e-6)


def test_an_update_has_the_rate_of_its_last_step():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [1.0, 0.5])
    optimizer = SGDWithL2(schedule, 0.0, 0.0, gradient_accumulation_steps=2)
    variable = keras.Variable([0.0])
    values = []
    for _ in range(4):
        optimizer.apply([keras.ops.ones(1)], [variable])
        values.append(float(variable.numpy()[0]))
    assert values == [0.0, -1.0, -1.0, -1.5]


@pytest.mark.parametrize("more", [{"clipnorm": 1.0}, {"gradient_accumulation_steps": 4}])
def test_configuration(more):
    optimizer = SGDWithL2(0.1, 0.8, l2=0.01, nesterov=True, **more)
    config = keras.saving.serialize_keras_object(optimizer)
    assert config["registered_name"] == "smallbig_keras>SGDWithL2"
    assert keras.saving.deserialize_keras_object(config).get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ({"l2": -1}, "`l2` must be.*Received: "),
        ({"weight_decay": 0.1}, "`l2` must be.*Received: "),
        ({"gradient_accumulation_steps": 0}, "at least 1.*Received: .*=0$"),
        ({"gradient_accumulation_steps": 2, "clipnorm": 1.0}, "without clip.*Received: .*=2 clip"),
    ],
)
def test_bad_arguments(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        SGDWithL2(**arguments)


@pytest.mark.skipif(keras_version() < (3, 10), reason="needs Keras 3.10, older ones are refused")
def test_two_devices_accumulate_as_one():
    code = """
        import json
        from smallbig_keras.machine import set_environment
        set_environment()
        import keras, numpy as np, tensorflow as tf
        from smallbig_keras.optimizers import SGDWithL2
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        x = np.random.default_rng(0).standard_normal((16, 4)).astype("float32")
        y = x[:, :1] ** 2
        found = []
        for strategy in (
            tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        ):
            keras.utils.set_random_seed(0)
            with strategy.scope():
                model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
                optimizer = SGDWithL2(0.1, gradient_accumulation_steps=2)
                model.compile(optimizer, "mse", jit_compile=False)
            model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
            found.append([w.ravel().tolist() for w in model.get_weights()])
        print(json.dumps(found))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    one, two = json.loads(result.stdout.splitlines()[-1])
    np.testing.assert_allclose(sum(two, []), sum(one, []), rtol=1e-5)
