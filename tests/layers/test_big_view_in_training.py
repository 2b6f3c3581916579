"""The big view is pooled again for the gradients: they are those of a unit that keeps it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.layers import SmallBigUnit

KINDS = {
    "max": {},
    "avg": {"pool": "avg"},
    "wide": {"pool_size": (5, 7, 5)},
    "all frames": {"pool_size": (None, 3, 3)},
    "strided": {"kernel_size": 3, "strides": 2},
    "two kernels": {"share_weights": False},
    "two kernels, one norm": {"share_weights": False, "normalization": "single"},
    "one norm": {"normalization": "single"},
}


def step(unit, clips, weights):
    """Returns outputs and gradients of a step."""
    with tf.GradientTape() as tape:
        tape.watch(clips)
        outputs = unit(clips, training=True)
        loss = tf.reduce_sum(outputs * weights)
    sources = [clips, *(variable.value for variable in unit.trainable_variables)]
    return outputs, tape.gradient(loss, sources)


def step_in_graph(unit, clips, weights):
    """Returns outputs, gradients and moved statistics of a step, and its graph."""
    compute = tf.function(lambda clips: step(unit, clips, weights))
    outputs, gradients = compute(clips)
    moved = [variable.numpy() for variable in unit.non_trainable_variables]
    return outputs, gradients, moved, compute.get_concrete_function(clips).graph


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_step(rng, randomize, monkeypatch, kind, frames):
    clips = tf.constant(rng.standard_normal((2, frames, 7, 6, 4)), tf.float32)
    unit = SmallBigUnit(5, activation="relu", **KINDS[kind])
    unit.build(clips.shape)
    randomize(unit)
    start = unit.get_weights()
    weights = tf.constant(rng.standard_normal(unit.compute_output_shape(clips.shape)), tf.float32)
    again = step_in_graph(unit, clips, weights)
    unit.set_weights(start)
    monkeypatch.setattr(keras, "remat", lambda function: function)
    kept = step_in_graph(unit, clips, weights)
    for value, expected in zip(tf.nest.flatten(again[:3]), tf.nest.flatten(kept[:3]), strict=True):
        np.testing.assert_array_equal(value, expected)
    # Both graphs have the gradient; one pools twice where the view is not summed before.
    pools = [
        sum(op.type in ("MaxPool", "AvgPool") for op in graph.get_operations())
        for graph in (again[3], kept[3])
    ]
    single = kind == "one norm"
    assert pools[0] == pools[1] * (1 if single else 2)


@pytest.mark.parametrize("kind", KINDS)
def test_outside_a_graph(rng, randomize, monkeypatch, kind):
    clips = tf.constant(rng.standard_normal((2, 3, 7, 6, 4)), tf.float32)
    unit = SmallBigUnit(5, **KINDS[kind])
    unit.build(clips.shape)
    randomize(unit)
    weights = tf.constant(rng.standard_normal(unit.compute_output_shape(clips.shape)), tf.float32)
    again = step(unit, clips, weights)
    monkeypatch.setattr(keras, "remat", lambda function: function)
    kept = step(unit, clips, weights)
    for value, expected in zip(tf.nest.flatten(again), tf.nest.flatten(kept), strict=True):
        np.testing.assert_array_equal(value, expected)
