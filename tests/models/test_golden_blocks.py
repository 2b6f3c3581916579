"""Blocks against the authors' numbers: outputs, gradients and moving statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.models import VideoResNetSpec
from smallbig_keras.models.video_resnet import apply_block
from smallbig_keras.weights import port_state_dict, reference_variables
from tests.reference_formula import CASES, clip, golden, output_gradient, relative_error, weight

SPECS = {
    "SmallBig_module": {"smallbig_stages": (3,)},
    "SmallBig_module_extra": {"smallbig_stages": (3,), "extra": "smallbig"},
    "Bottleneck3D_000": {},
    "Bottleneck3D_100": {"temporal_stages": (3,)},
    "Bottleneck3D_100_extra": {
        "temporal_stages": (3,),
        "smallbig_stages": (3,),
        "units": (),
        "extra": "smallbig",
    },
}
BLOCKS = [name for name, case in CASES.items() if case["kind"] == "block"]
PREFIX = "layer2.0."


@pytest.fixture(scope="module", params=BLOCKS)
def case(request):
    """Name, expected numbers, input, and the built block with the weights of the case."""
    name, case = request.param, CASES[request.param]
    shape = (case["frames"], case["size"], case["size"], case["in_channels"])
    inputs = keras.Input(shape)
    spec = VideoResNetSpec(**SPECS[case["block"]])
    outputs = apply_block(inputs, spec, 3, case["planes"], case["stride"], "res3_block1")
    model = keras.Model(inputs, outputs)
    state = {PREFIX + n: weight(n, s, f"{name}/") for n, s in case["state_dict"]}
    port_state_dict(model, state)
    return name, golden(name), clip(name, (2, *shape)), model


def channels_first(clips):
    return np.moveaxis(np.asarray(clips), -1, 1)


def kernel_to_torch(array, shape):
    """A kernel `(height, width, in, out)` in the shape of its state-dict entry."""
    return np.moveaxis(np.asarray(array), (-1, -2), (0, 1)).reshape(shape)


def test_eval_output(case):
    _, expected, x, model = case
    actual = channels_first(model(x, training=False))
    assert relative_error(actual, expected["eval"]) < 1e-5


def test_training_step(case):
    name, expected, x, model = case
    variables = reference_variables(model)
    before = {key: variable.numpy() for key, variable in variables.items()}
    x = tf.constant(x)
    trainable = {k: v for k, v in variables.items() if v.trainable}
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = model(x, training=True)
        g = np.moveaxis(output_gradient(name, expected["train"].shape), 1, -1)
        loss = tf.reduce_sum(outputs * g)
    gradients = tape.gradient(loss, [x, *(v.value for v in trainable.values())])

    assert relative_error(channels_first(outputs), expected["train"]) < 1e-4
    assert relative_error(channels_first(gradients[0]), expected["grad_x"]) < 1e-4
    shapes = dict(CASES[name]["state_dict"])
    assert {f"grad/{k.removeprefix(PREFIX)}" for k in trainable} == {
        k for k in expected if k.startswith("grad/")
    }
    # A shift that every path normalises away has gradient 0: there is only rounding to compare.
    rounding = 1e-6 * max(np.linalg.norm(v) for k, v in expected.items() if k.startswith("grad/"))
    for key, gradient in zip(trainable, gradients[1:], strict=True):
        key = key.removeprefix(PREFIX)
        if len(shapes[key]) == 5:
            gradient = kernel_to_torch(gradient, shapes[key])
        reference = expected[f"grad/{key}"]
        error = np.linalg.norm(gradient - reference)
        assert error < max(1e-4 * np.linalg.norm(reference), rounding), key

    moved = [k for k in expected if k.startswith("after/") and "num_batches" not in k]
    assert len(moved) == len(variables) - len(trainable)
    for key in moved:
        variable = variables[PREFIX + key.removeprefix("after/")]
        assert relative_error(variable.numpy(), expected[key]) < 1e-5, key
    for key, variable in variables.items():
        variable.assign(before[key])
