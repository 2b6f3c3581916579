"""Files that claim more than they have, and the memory that reading them takes."""

import contextlib
import tracemalloc
import zipfile

import numpy as np
import pytest

from smallbig_keras.weights import WeightsError, load_weights
from smallbig_keras.weights.loading import count_classes

# Bytes that reading may allocate for a network of 0.5 MB.
MOST = 20_000_000


@contextlib.contextmanager
def little_memory(most=MOST):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def refused(model, path, message):
    """Everything that reads the file gives the same error, and no variable changes."""
    before = [np.array(w) for w in model.weights]
    with little_memory():
        for read in (lambda: load_weights(model, path), lambda: count_classes(path)):
            with pytest.raises(WeightsError, match=f"{message}.*Received: .*{path.name}"):
                read()
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def bomb(path, name, others=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in others:
            archive.writestr(other, content)
        with archive.open(name, "w") as file:
            for _ in range(200):
                file.write(bytes(1 << 20))
