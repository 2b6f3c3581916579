"""Keras' own checks of a layer, on the backend of the process and on JAX."""

import inspect
import pathlib

import keras
import pytest

from smallbig_keras import layers
from tests.fresh_process import run_python
from tests.layers.harness import NAMES, check

ROOT = pathlib.Path(__file__).parents[2]


def test_every_layer_is_checked():
    assert sorted(name for name in dir(layers) if inspect.isclass(getattr(layers, name))) == NAMES


# Keras' checks train on a generator without a word on its order, and layers without weights.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_keras_checks_pass(name):
    check(name)


def test_keras_checks_pass_on_jax():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("runs on other backends check theirs alone")
    pytest.importorskip("jax", reason="JAX is in the test extra")
    script = """
        import keras
        from tests.layers.harness import NAMES, check

        assert keras.backend.backend() == "jax"
        for name in NAMES:
            check(name)
    """
    run_python(script, ROOT, backend="jax")
