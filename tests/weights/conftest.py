"""A trained network, its run and its publication; no folders of the user's."""

import pytest

from smallbig_keras import runs
from smallbig_keras.cli import main
from tests.conftest import randomize
from tests.weights.networks import NAMES, SHAPE, TINY, tiny


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """A cache of the test's own, and no folders of the user's."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SMALLBIG_WEIGHTS", raising=False)
    monkeypatch.delenv("SMALLBIG_WEIGHTS_URL", raising=False)


@pytest.fixture(scope="session")
def trained():
    return randomize(tiny(variant="paper"))


@pytest.fixture(scope="session")
def run(trained, tmp_path_factory):
    """The folder of a finished run, as training writes it."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    config = {
        "model": "SmallBigR50",
        "variant": "paper",
        "options": TINY,
        "dataset": "sthv2",
        "data_root": "/data/sthv2",
        "class_names": NAMES,
        "frames": SHAPE[0],
        "size": SHAPE[1],
        "sampling": "segment",
        "stride": 8,
        "test_short_side": 36,
        "epochs": 2,
    }
    runs.write_config(path, config)
    rows = [{"epoch": i, "val_top1": i / 4, "val_top5": i / 2} for i in (2, 1)]
    runs.write_log(path, rows)
    trained.save(path / runs.BEST)
    return path


@pytest.fixture(scope="session")
def published(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    main(["publish", str(run), "--name", "k400", "--out", str(folder)])
    return folder
