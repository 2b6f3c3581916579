"""Tiny models with random statistics, and clips to compare artifacts on."""

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import data, runs
from smallbig_keras.weights.description import of_training, write_description
from tests.data.videos import write_video

SHAPE = (4, 32, 32, 3)
NAMES = [f"turning {i}" for i in range(7)]

# Every family, one of them at full depth, and every option away from its default.
FEW = {"blocks": (1, 2, 1, 1)}
MODELS = {
    "R23-reference": ("SmallBigR23", {}),
    "R23-paper": ("SmallBigR23", {"variant": "paper", **FEW}),
    "R50-reference": ("SmallBigR50", FEW),
    "R50-paper": ("SmallBigR50", {"variant": "paper", **FEW}),
    "SlowOnly-reference": ("SmallBigSlowOnlyR50", FEW),
    "SlowOnly-paper": ("SmallBigSlowOnlyR50", {"variant": "paper", **FEW}),
    "C2D": ("C2DR50", FEW),
    "3x3x3": ("SlowOnlyR50", {"temporal_stages": (2, 3, 4, 5), "temporal": "3x3x3", **FEW}),
    "NonLocal": ("NonLocalR50", FEW),
    "NonLocal-plain": (
        "NonLocalR23",
        {
            **{"variant": "c2d", "nonlocal_mode": "dot_product"},
            **{"nonlocal_pool": None, "nonlocal_bias": False, **FEW},
        },
    ),
    "TSM": ("TSMR50", {"variant": "nl", **FEW}),
    "CoST-b": ("CoSTR50", FEW),
    "CoST-a": ("CoSTR50", {"variant": "a", "stem_frames": 5, "stem_stride": 2, **FEW}),
    "average, apart": (
        "SmallBigR50",
        {"pool": "avg", "share_weights": False, "extra": "smallbig", **FEW},
    ),
    "single": ("SmallBigR50", {"normalization": "single", "extra": "squeeze_excite", **FEW}),
    "tubes": (
        "SmallBigR23",
        {"units": (1, 3), "pool_sizes": ((3, 1, 1), (3, 3, 3), (None, 5, 5)), **FEW},
    ),
    "logits": ("SmallBigR23", {"classifier_activation": None, "dropout": 0.5, **FEW}),
}


SMALL = {"blocks": (1, 1, 1, 1), "extra": "smallbig", "width": 8}


def make_model(name, options, randomize):
    model = getattr(smallbig_keras, name)(
        input_shape=SHAPE, classes=len(NAMES), **{"width": 8, **options}
    )
    randomize(model)
    # Logits of spread 1: a softmax that leaves one class alone hides errors.
    classifier = model.get_layer("classifier")
    clips = np.random.default_rng(1).standard_normal((2, *SHAPE)).astype("float32")
    logits = keras.Model(model.input, classifier.output)(clips)
    classifier.kernel.assign(classifier.kernel / np.std(logits))
    return model


@pytest.fixture(params=MODELS, scope="module")
def any_model(request):
    from tests.conftest import randomize

    return make_model(*MODELS[request.param], randomize)


@pytest.fixture(scope="module")
def small_model():
    from tests.conftest import randomize

    return make_model("SmallBigR23", SMALL, randomize)


@pytest.fixture(scope="module")
def clips():
    """Five uint8 clips."""
    return np.random.default_rng(5).integers(0, 256, (5, *SHAPE), np.uint8)


@pytest.fixture(scope="module")
def small_run(small_model, tmp_path_factory):
    """The folder of a run, as training writes it, with training videos, beside two `videos`."""
    root = tmp_path_factory.mktemp("run")
    sample = data.make_sample(root / "data", train_clips=18, val_clips=6)
    config = {
        **{"model": small_model.name, "variant": "reference", "options": SMALL},
        **{"frames": SHAPE[0], "size": SHAPE[1], "sampling": "segment", "stride": 8},
        **{"test_short_side": 36, "class_names": NAMES},
        **{"dataset": "sthv2", "data_root": str(sample)},
    }
    runs.write_config(root / "run", config)
    write_description(of_training(config), root / "run")
    small_model.save_weights(root / "run" / runs.BEST)
    (root / "videos").mkdir()
    for count in (5, 9):
        write_video(root / "videos" / f"{count}.webm", count)
    return root / "run"
