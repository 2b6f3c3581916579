"""Blocks of other codes, and stages of networks, against their golden numbers."""

import keras
import numpy as np

from smallbig_keras.weights import reference_variables
from smallbig_keras.weights.ports import fitted, to_keras_layout
from tests.peers_formula import CASES, clip, golden, output_gradient, state
from tests.reference_formula import relative_error


def build_block(name, build, layout, prefix):
    """The model of a block with the weights of its case, and variables by the code's names."""
    x = clip(name)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, build(inputs, CASES[name]["arguments"]))
    weights = layout.simplify(state(name, prefix))
    variables = reference_variables(model, layout)
    assert set(variables) == set(weights)
    for key, variable in variables.items():
        variable.assign(fitted(to_keras_layout(weights[key]), variable))
    # The names of the case, without wrappers and prefix.
    names = {k: layout.simplify({prefix + k: 0}) for k, _, _ in CASES[name]["state"]}
    return model, x, {k: variables[next(iter(v))] for k, v in names.items()}


def to_float64(values):
    """An array of a tensor of any backend, wherever it is."""
    return keras.ops.convert_to_numpy(values).astype("float64")


def stages(name, outputs):
    """Pairs of ours and the stored numbers of stages, by the name that these have.

    Args:
        name: str. The case.
        outputs: dict of the code's names of stages to our outputs, channels last.

    Returns:
        dict of `(ours, stored)`: means of each channel, and of channels where they are stored.
    """
    expected, found = golden(name), {}
    for stage, values in outputs.items():
        mean = values.reshape(-1, values.shape[-1]).mean(0)
        found[f"mean/{stage}"] = mean, expected[f"mean/{stage}"]
        if f"map/{stage}" in expected:
            found[f"map/{stage}"] = values.mean(-1), expected[f"map/{stage}"]
    return found


def channels_first(clips):
    return np.moveaxis(np.asarray(clips), -1, 1)


def block_errors(name, build, layout, prefix):
    """Relative error of each number of a block: in evaluation, and of one training step."""
    import tensorflow as tf

    model, x, variables = build_block(name, build, layout, prefix)
    expected, case = golden(name), CASES[name]
    errors = {"eval": relative_error(channels_first(model(x, training=False)), expected["eval"])}

    x = tf.constant(x)
    trainable = {k: v for k, v in variables.items() if v.trainable}
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = model(x, training=True)
        loss = tf.reduce_sum(outputs * output_gradient(name, outputs.shape))
    gradients = tape.gradient(loss, [x, *(v.value for v in trainable.values())])
    errors["train"] = relative_error(channels_first(outputs), expected["train"])
    errors["grad_x"] = relative_error(channels_first(gradients[0]), expected["grad_x"])
    scale = max([np.linalg.norm(expected[f"grad/{k}"]) for k in trainable], default=1)
    for key, gradient in zip(trainable, gradients[1:], strict=True):
        reference = to_keras_layout(expected[f"grad/{key}"])
        gradient = np.asarray(gradient).reshape(reference.shape)
        # A gradient of 0 has no relative error: it is compared with the largest one.
        is_zero = key in case["zero_gradients"]
        error = np.linalg.norm(gradient) / scale if is_zero else relative_error(gradient, reference)
        errors[f"grad/{key}"] = error
    for key in set(variables) - set(trainable):
        moved = relative_error(variables[key].numpy(), expected[f"after/{key}"])
        errors[f"after/{key}"] = moved
    return errors


def check_block(name, build, layout, prefix):
    """Asserts that every stored number of a block is that of ours.

    Args:
        name: str. The case.
        build: function of the input and the case's arguments that gives the output.
        layout: Layout of the code.
        prefix: str. Put before the names of the case to make them names of the layout.
    """
    errors = block_errors(name, build, layout, prefix)
    numbers = {k for k in golden(name) if "num_batches" not in k} - {"gradnorms"}
    assert set(errors) == numbers
    for key, error in errors.items():
        assert error < (1e-4 if key.startswith("grad") else 1e-5), key
