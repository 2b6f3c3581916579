"""A trained network, its run and its publication; no folders of the user's."""

import dataclasses
import pathlib

import pytest

from smallbig_keras import runs
from smallbig_keras.cli import main
from smallbig_keras.files import sha256
from smallbig_keras.weights import records
from smallbig_keras.weights.description import of_training, write_description
from tests.conftest import randomize
from tests.weights.networks import NAMES, SHAPE, TINY, tiny


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """A cache of the test's own, and no folders of the user's."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SMALLBIG_WEIGHTS", raising=False)
    monkeypatch.delenv("SMALLBIG_WEIGHTS_URL", raising=False)


@pytest.fixture
def trust(monkeypatch):
    """Gives the records of a published file the digest of one that was made here."""

    def trust(path):
        digest = sha256(path)
        found = [
            dataclasses.replace(record, sha256=digest[: len(record.sha256)])
            if record.sha256 and pathlib.PurePath(record.file).name == path.name
            else record
            for record in records.builtin_records()
        ]
        monkeypatch.setattr(records, "builtin_records", lambda: found)
        return path

    return trust


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
    write_description(of_training(config), path)
    runs.save_checkpoint(trained, path / runs.BEST, include_optimizer=False)
    return path


@pytest.fixture(scope="session")
def published(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    main(["publish", str(run), "--name", "k400", "--out", str(folder)])
    return folder
