import gc
import os
import socket

from smallbig_keras.machine import quiet_tensorflow

if os.environ.get("KERAS_BACKEND") == "torch":
    # A PyTorch with CUDA breaks off where TensorFlow is there first.
    import keras  # noqa: F401

quiet_tensorflow()
# The encoder of AV1 reports every setting.
os.environ.setdefault("SVT_LOG", "0")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# Few of the objects of a test are garbage before its end.
gc.freeze()
gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def restored_state():
    """Every test starts from the same seeds and leaves the dtype policy as it was."""
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that asks another machine fails, also where there is a network."""
    look_up = socket.getaddrinfo

    def refuse(host, *arguments, **options):
        if host not in (None, "localhost", "127.0.0.1", "::1"):
            raise socket.gaierror(f"a test asked for {host}")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def randomize(model, seed=0):
    """Random weights and statistics: the defaults of a normalisation hide errors."""
    rng = np.random.default_rng(seed)
    # Signals grow with every sum of a residual network; without one, smaller scales end them.
    plain = not any(isinstance(layer, keras.layers.Add) for layer in getattr(model, "layers", ()))
    scales = (0.6, 1.4) if plain else (0.3, 0.9)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name == "moving_variance":
            value = rng.uniform(0.5, 1.5, shape)
        elif weight.name == "gamma":
            value = rng.uniform(*scales, shape)
        elif len(shape) > 1:
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        else:
            value = rng.standard_normal(shape) * 0.1
        weight.assign(value)
    return model


@pytest.fixture(name="randomize")
def randomize_fixture():
    return randomize
