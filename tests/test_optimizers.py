"""The optimiser against the formula of its documentation."""

import importlib.util
import json
import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.optimizers import LossScaleOptimizer, SGDWithL2
from smallbig_keras.training.compiling import keras_version
from tests.fresh_process import run_python

ROOT = pathlib.Path(__file__).parents[1]


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


def test_nothing_waits_for_the_gradient_in_a_copy_of_the_weights():
    """TensorFlow computes what needs no gradient first, so that must go into the velocity."""
    optimizer = SGDWithL2(0.1)
    variable = keras.Variable([1.0, 2.0])
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    graph = step.get_concrete_function(tf.TensorSpec((2,), tf.float32)).graph
    (gradient,) = graph.inputs[:1]
    needs_gradient = {gradient.name}
    waiting = []
    for operation in graph.get_operations():
        inputs = {tensor.name for tensor in operation.inputs}
        early = [t for t in operation.inputs if t.shape == (2,) and t.name not in needs_gradient]
        if inputs & needs_gradient:
            needs_gradient.update(tensor.name for tensor in operation.outputs)
            waiting += early
    assert waiting == []


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


def clipped(gradients, clipnorm=None, clipvalue=None, global_clipnorm=None):
    """The formulas of Keras' documentation."""
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    if clipnorm:
        return [g * clipnorm / max(clipnorm, np.linalg.norm(g)) for g in gradients]
    if global_clipnorm:
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        return [g * global_clipnorm / max(global_clipnorm, norm) for g in gradients]
    return gradients


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    "limit", [{}, {"clipnorm": 0.5}, {"clipvalue": 0.2}, {"global_clipnorm": 1.0}]
)
def test_the_mean_is_clipped_and_updates_are_averaged(rng, limit, steps, scaled):
    """Two weights against NumPy; the first update is the first value of the average."""
    optimizer = inner = SGDWithL2(
        *(0.1, 0.9, 0.05),
        gradient_accumulation_steps=steps,
        use_ema=True,
        ema_momentum=0.8,
        **limit,
    )
    if scaled:
        optimizer = LossScaleOptimizer(inner, initial_scale=4.0)
    weights = [rng.standard_normal(shape) for shape in ((3, 2), (4,))]
    variables = [keras.Variable(weight, dtype="float32") for weight in weights]
    optimizer.build(variables)
    velocities = [np.zeros_like(weight) for weight in weights]
    averages = weights
    seen, was_clipped = [], False
    for step in range(1, 9):
        # The first ones are within the limits.
        seen.append([rng.standard_normal(w.shape) * (0.05 if step <= 3 else 1) for w in weights])
        gradients = [keras.ops.convert_to_tensor(g, "float32") for g in seen[-1]]
        if scaled:
            gradients = [optimizer.scale_loss(g) for g in gradients]
        optimizer.apply(gradients, variables)
        if step % steps == 0:
            means = [np.mean(gs, axis=0) for gs in zip(*seen, strict=True)]
            limited = clipped(means, **limit)
            was_clipped |= not np.allclose(means[0], limited[0])
            velocities = [
                0.9 * v + g + 0.05 * w for v, g, w in zip(velocities, limited, weights, strict=True)
            ]
            weights = [w - 0.1 * v for w, v in zip(weights, velocities, strict=True)]
            share = 0.0 if step == steps else 0.8
            averages = [share * a + (1 - share) * w for a, w in zip(averages, weights, strict=True)]
            seen = []
        found = [*variables, *inner._model_variables_moving_average]
        for value, expected in zip(found, [*weights, *averages], strict=True):
            np.testing.assert_allclose(
                keras.ops.convert_to_numpy(value), expected, rtol=1e-5, atol=1e-6
            )
    assert was_clipped == bool(limit)


def test_overwriting_with_the_average():
    optimizer = SGDWithL2(
        *(1.0, 0.0, 0.0), use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    )
    variable = keras.Variable([0.0])
    for expected in (-1.0, -1.5):
        optimizer.apply([keras.ops.ones(1)], [variable])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [expected])


@pytest.mark.parametrize("kind", [keras.optimizers.LossScaleOptimizer, LossScaleOptimizer])
def test_accumulation_under_loss_scaling(kind):
    """A gradient that overflows is left out: the three finite ones make the update."""
    inner = SGDWithL2(0.1, 0.0, 0.0, gradient_accumulation_steps=3)
    optimizer = kind(inner, initial_scale=4.0)
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


@pytest.mark.parametrize(
    "more",
    [
        {"clipnorm": 1.0},
        {"gradient_accumulation_steps": 4, "global_clipnorm": 1.0},
        {"gradient_accumulation_steps": 4, "use_ema": True, "ema_momentum": 0.5},
    ],
)
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
        ({"global_clipnorm": 0.0}, "`global_clipnorm` must be above 0. Received: 0.0"),
        ({"clipvalue": -1.0}, "`clipvalue` must be above 0. Received: -1.0"),
        (
            {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 3},
            "without accumulation.*Received: gradient_accumulation_steps=2",
        ),
    ],
)
def test_bad_arguments(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        SGDWithL2(**arguments)


def fit_small(scaled):
    """Trains with everything; returns losses of the averages, and the weights, as a list."""
    x = np.random.default_rng(0).standard_normal((24, 4)).astype("float32")
    y = 5 * x[:, :1] ** 2
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.set_weights([np.ones((4, 1)), np.zeros(1)])
    ema = {"use_ema": True, "ema_momentum": 0.8}
    optimizer = SGDWithL2(0.1, global_clipnorm=0.5, gradient_accumulation_steps=2, **ema)
    if scaled:
        optimizer = LossScaleOptimizer(optimizer, initial_scale=4.0)
    model.compile(optimizer, "mse")
    losses = model.fit(
        *(x, y),
        validation_data=(x, y),
        batch_size=4,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.SwapEMAWeights()],
    ).history["val_loss"]
    return losses + [float(v) for w in model.get_weights() for v in w.ravel()]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_backends_train_alike(backend, scaled):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    script = f"""
        import json
        from tests.test_optimizers import fit_small

        print(json.dumps(fit_small({scaled})))
    """
    found = json.loads(run_python(script, ROOT, backend=backend).splitlines()[-1])
    np.testing.assert_allclose(found, fit_small(scaled), rtol=1e-4)


@pytest.fixture(scope="module")
def two_devices():
    """The results of trainings on one and on two devices, in a process of its own."""
    if keras_version() < (3, 10):
        pytest.skip("needs Keras 3.10, older ones are refused")
    code = """
        import json
        from smallbig_keras.machine import set_environment
        set_environment()
        import keras, numpy as np, tensorflow as tf
        from smallbig_keras.errors import SmallBigError
        from smallbig_keras.optimizers import LossScaleOptimizer, SGDWithL2
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        x = np.random.default_rng(0).standard_normal((24, 4)).astype("float32")
        # The thread of the tuning holds up the end of an iterator.
        untuned = tf.data.Options()
        untuned.autotune.enabled = False
        dataset = tf.data.Dataset.from_tensor_slices((x, 5 * x[:, :1] ** 2)).batch(4)
        dataset = dataset.with_options(untuned)

        def train(strategy, scaled=False, **options):
            keras.utils.set_random_seed(0)
            with strategy.scope():
                model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
                optimizer = SGDWithL2(0.1, **options)
                if scaled:
                    optimizer = LossScaleOptimizer(optimizer, initial_scale=4.0)
                model.compile(optimizer, "mse", jit_compile=False)
            swap = [keras.callbacks.SwapEMAWeights()] if options.get("use_ema") else []
            losses = model.fit(
                dataset, validation_data=dataset, epochs=2, shuffle=False, verbose=0, callbacks=swap
            ).history["val_loss"]
            state = [*model.get_weights(), *(v.numpy() for v in optimizer.variables)]
            return losses + [float(v) for w in state for v in w.ravel()]

        ema = {"use_ema": True, "ema_momentum": 0.8}
        cases = {
            "accumulation": {"gradient_accumulation_steps": 2},
            "clipnorm": {"clipnorm": 0.5},
            "clipvalue": {"clipvalue": 0.5},
            "average": ema,
            "all": {"global_clipnorm": 0.5, "gradient_accumulation_steps": 2, **ema},
        }
        cases["all, scaled"] = {**cases["all"], "scaled": True}
        one = tf.distribute.get_strategy()
        found = {
            name: [train(strategy, **options) for strategy in (one, mirrored)]
            for name, options in cases.items()
        }

        for overflowing in (0, 1):
            with mirrored.scope():
                variable = keras.Variable([0.0])
                optimizer = LossScaleOptimizer(SGDWithL2(0.1, 0.0, 0.0), initial_scale=4.0)
                optimizer.build([variable])

            def step():
                context = tf.distribute.get_replica_context()
                here = tf.equal(context.replica_id_in_sync_group, overflowing)
                gradient = tf.where(here, [float("inf")], [1.0])
                optimizer.apply([gradient], [variable])

            tf.function(lambda: mirrored.run(step))()
            scale = float(optimizer.dynamic_scale.numpy())
            found[f"overflow of {overflowing}"] = [float(variable.numpy()[0]), scale]

        try:
            train(mirrored, ema_overwrite_frequency=2, **ema)
        except SmallBigError as error:
            found["overwriting"] = str(error)
        print(json.dumps(found))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "case", ["accumulation", "clipnorm", "clipvalue", "average", "all", "all, scaled"]
)
def test_two_devices_train_as_one(two_devices, case):
    one, two = two_devices[case]
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("replica", [0, 1])
def test_an_overflow_of_any_device_leaves_the_step_out(two_devices, replica):
    weight, scale = two_devices[f"overflow of {replica}"]
    assert weight == 0.0 and scale == 2.0


def test_overwriting_on_two_devices(two_devices):
    assert two_devices["overwriting"].endswith("Received: 2 devices")
