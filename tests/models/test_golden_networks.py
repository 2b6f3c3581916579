"""Networks against the authors' numbers: logits, stage statistics, loss and gradient norms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.models import (
    SlowOnlyR50,
    SmallBigR50,
    SmallBigSlowOnlyR50,
    feature_extractor,
)
from smallbig_keras.weights import port_state_dict, reference_variables
from tests.reference_formula import CASES, clip, golden, relative_error, weight

VARIANTS = {
    "smallbig_no_extra": lambda **kw: SmallBigR50(extra=None, **kw),
    "smallbig_extra": SmallBigR50,
    "slowonly50": SlowOnlyR50,
    "slowonly50_extra": SmallBigSlowOnlyR50,
}
STAGES = {"maxpool": "stem", "layer1": "res2", "layer2": "res3", "layer3": "res4", "layer4": "res5"}
NETS = [name for name, case in CASES.items() if case["kind"] == "net"]
TRAINED = [name for name in NETS if CASES[name]["batch"] == 2]


def build(name):
    case = CASES[name]
    shape = (case["frames"], case["size"], case["size"], 3)
    model = VARIANTS[case["variant"]](
        input_shape=shape,
        classes=case["classes"],
        blocks=case["layers"],
        classifier_activation=None,
    )
    state = case["state_dict"] or [(k, torch_shape(k, v)) for k, v in reference_shapes(model)]
    port_state_dict(model, {n: weight(n, s) for n, s in state})
    return model, clip(name, (case["batch"], *shape))


def reference_shapes(model):
    return [(k, tuple(v.shape)) for k, v in reference_variables(model).items()]


def torch_shape(name, shape):
    """Our shape of a variable in PyTorch's layout; kernels of three frames are over time."""
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        over_time = (height, width) == (3, 1)
        return (outputs, inputs, 3, 1, 1) if over_time else (outputs, inputs, 1, height, width)
    return shape[::-1] if name == "fc.weight" else shape


@pytest.mark.parametrize("name", NETS)
def test_logits_and_stages(name):
    model, x = build(name)
    expected = golden(name)
    features = feature_extractor(model, [*STAGES.values(), "predictions"])(x, training=False)
    assert relative_error(features["predictions"], expected["eval"]) < 1e-5
    for stage, ours in STAGES.items():
        values = np.asarray(features[ours], "float64").reshape(-1, features[ours].shape[-1])
        assert relative_error(values.mean(0), expected[f"mean/{stage}"]) < 1e-5, stage
        assert relative_error(values.std(0, ddof=1), expected[f"std/{stage}"]) < 1e-5, stage


@pytest.mark.parametrize("name", TRAINED)
def test_training_gradients(name):
    model, x = build(name)
    expected = golden(name)
    labels = np.arange(2) % CASES[name]["classes"]
    trainable = {k: v for k, v in reference_variables(model).items() if v.trainable}
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        )
    gradients = tape.gradient(loss, [v.value for v in trainable.values()])
    assert relative_error(logits, expected["train"]) < 1e-4
    assert relative_error(loss, expected["loss"]) < 1e-4
    norms = {f"gradnorm/{k}": np.linalg.norm(g) for k, g in zip(trainable, gradients, strict=True)}
    assert set(norms) == {k for k in expected if k.startswith("gradnorm/")}
    # A shift that every path normalises away has gradient 0: there is only rounding to compare.
    rounding = 1e-6 * max(expected[key] for key in norms)
    for key, norm in norms.items():
        assert abs(norm - expected[key]) < max(1e-3 * expected[key], rounding), key
    assert relative_error(list(norms.values()), [expected[k] for k in norms]) < 1e-3
