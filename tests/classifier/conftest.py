"""A small classifier of dense clips, and videos for it."""

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import VideoClassifier
from smallbig_keras.data import ClipConfig
from tests.conftest import randomize
from tests.data.videos import write_video

CLIPS = ClipConfig(4, "dense", 3, 36, 32, (0.45, 0.4, 0.5), (0.225, 0.2, 0.25))
# Every field away from its default.
CLIPS = CLIPS.replace(channel_order="bgr", keep_aspect=False)


NAMES = [f"turning {i}" for i in range(7)]


OPTIONS = {"blocks": (1, 1, 1, 1), "width": 8}


def make_model(**options):
    options = {**OPTIONS, "variant": "paper", **options}
    shape = {"input_shape": CLIPS.shape, "classes": len(NAMES)}
    model = randomize(smallbig_keras.SmallBigR23(**shape, **options))
    # Logits of spread 1, so that probabilities are neither equal nor 0.
    kernel = model.get_layer("classifier").kernel
    clips = np.random.default_rng(1).standard_normal((2, *CLIPS.shape)).astype("float32")
    logits = keras.Model(model.input, model.get_layer("classifier").output)(clips)
    kernel.assign(kernel / np.std(logits))
    return model


@pytest.fixture(scope="session")
def classifier():
    return VideoClassifier(make_model(dropout=0.25), CLIPS, NAMES)


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [str(write_video(folder / f"{count}.webm", count)) for count in (14, 23, 31)]
