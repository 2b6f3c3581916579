"""The PyTorch twins of the benchmarks compute what our networks do, from the same weights."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from smallbig_keras import models
from smallbig_keras.weights import load_weights
from tests.benchmarks import twins

ROOT = pathlib.Path(__file__).parents[2]
# PyTorch may have an environment of its own.
PYTHON = os.environ.get("PEER_PYTHON", sys.executable)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder with the state dict, clips and scores of each twin."""
    if PYTHON == sys.executable and not all(
        map(importlib.util.find_spec, ("torch", "torchvision"))
    ):
        pytest.skip("torch and torchvision are not installed, and PEER_PYTHON names no other")
    folder = tmp_path_factory.mktemp("twins")
    command = [PYTHON, "-m", "tests.benchmarks.twins", folder]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("name", twins.SMALL)
def test_scores_are_the_same(name, written):
    expected = np.load(written / f"{name}.npz")
    model = models.get_model_function(name.split()[0])(
        input_shape=expected["clips"].shape[1:],
        classes=400,
        classifier_activation=None,
        **twins.SMALL[name][1],
    )
    report = load_weights(model, written / f"{name}.pth")
    assert not report.new and not report.skipped
    scores = np.asarray(model(expected["clips"], training=False))
    largest = np.abs(expected["scores"]).max()
    assert np.ptp(expected["scores"], axis=0).max() > 0.01 * largest, "the clips differ"
    np.testing.assert_allclose(scores, expected["scores"], rtol=1e-3, atol=1e-4 * largest)
