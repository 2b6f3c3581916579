"""The map to the authors' names: complete, or an error that lists everything."""

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.weights import load_reference_state, reference_variables
from tests.reference_formula import CASES, weight

SHAPE = {"input_shape": (2, 32, 32, 3), "blocks": (1, 1, 1, 1), "classes": 10}


def state(case="net_smallbig_extra"):
    return {name: weight(name, shape) for name, shape in CASES[case]["state_dict"]}


def test_names_are_those_of_the_authors():
    model = smallbig_keras.SmallBigR50(**SHAPE)
    names = {name for name in state() if not name.endswith("num_batches_tracked")}
    assert set(reference_variables(model)) == names


def test_every_problem_is_listed_and_nothing_changes():
    model = smallbig_keras.SmallBigR50(**SHAPE)
    before = [w.numpy() for w in model.weights]
    damaged = state()
    del damaged["layer2.0.big1.1.weight"]
    damaged["layer9.0.conv1.weight"] = np.zeros(3)
    damaged["fc.weight"] = np.zeros((11, 2048))
    with pytest.raises(ValueError) as error:
        load_reference_state(model, damaged)
    message = str(error.value)
    assert "missing: layer2.0.big1.1.weight" in message
    assert "unexpected: layer9.0.conv1.weight" in message
    assert "of another shape: fc.weight (11, 2048) for (2048, 10)" in message
    for weight_, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight_.numpy(), value)


def test_options_that_the_authors_do_not_have():
    model = smallbig_keras.SmallBigR50(share_weights=False, **SHAPE)
    with pytest.raises(ValueError, match="no counterpart.*Received: 'res3_block1_extra_big_red"):
        reference_variables(model)
