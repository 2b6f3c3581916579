"""Every network gives the same output on every backend of Keras."""

import importlib.util
import pathlib

import keras
import pytest

from tests.fresh_process import run_python
from tests.models import backends

ROOT = pathlib.Path(__file__).parents[2]
BACKENDS = ("tensorflow", "jax", "torch")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder with the weights and outputs of all networks on the backend of this process."""
    folder = tmp_path_factory.mktemp("networks")
    backends.write(folder)
    return folder


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_are_the_same(backend, written):
    if backend == keras.backend.backend():
        pytest.skip("the backend of this process")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    script = f"""
        import keras
        from tests.models import backends

        assert keras.backend.backend() == {backend!r}
        backends.compare({str(written)!r})
    """
    run_python(script, ROOT, backend=backend)
