"""`weights=`: names, where they are looked for, and the errors when they are not there."""

import errno
import functools
import hashlib
import http.server
import shutil
import threading
import warnings

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.data import ClipConfig
from smallbig_keras.errors import ResourceError
from smallbig_keras.models.rebuilding import describe
from smallbig_keras.weights import WeightsError, WeightsNotFoundError, list_weights
from smallbig_keras.weights.records import read_record
from tests.conftest import randomize
from tests.weights.networks import NAMES, SHAPE, TINY, equal, tiny
from tests.weights.torch_writer import write_torch


@pytest.fixture
def server(published):
    """The published folder on loopback, and the paths that were asked for."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

        def log_message(self, *_args):
            """Nothing is written to the console of the tests."""

    handler = functools.partial(Handler, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", requests
        httpd.shutdown()
        thread.join()


def test_published_folder(published, trained, monkeypatch):
    """The record agrees with the file; the name alone gives network, classes and size."""
    record = read_record(published / "SmallBigR50-k400.json")
    file = published / record.file
    assert record.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record.bytes == file.stat().st_size
    assert (record.accuracy["top1"], record.accuracy["top5"]) == (0.5, 1.0)
    assert record.accuracy["protocol"] == "2x1x1" and record.accuracy["run"] == "finished"
    assert record.labels == NAMES and record.description.clips == ClipConfig(
        SHAPE[0], size=SHAPE[1], short_side=36
    )

    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(published))
    model = smallbig_keras.SmallBigR50(weights="k400")
    assert model.input_shape == (None, *SHAPE)
    assert equal(model, trained)
    assert smallbig_keras.complexity(model) == (record.parameters, record.macs)
    (row,) = (r for r in list_weights() if (r["model"], r["name"]) == ("SmallBigR50", "k400"))
    assert row["available"] and not row["published"] and row["accuracy"]["top1"] == 0.5


def test_mirror_and_cache(published, server, trained, monkeypatch):
    address, requests = server
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", f"{address}/")
    assert equal(smallbig_keras.SmallBigR50(weights="k400"), trained)
    assert requests == ["/SmallBigR50-k400.json", "/SmallBigR50-k400.weights.h5"]
    monkeypatch.delenv("SMALLBIG_WEIGHTS_URL")
    assert equal(smallbig_keras.SmallBigR50(weights="k400"), trained)
    assert len(requests) == 2


def test_mirror_of_a_folder(published, trained, monkeypatch):
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", published.as_uri())
    assert equal(smallbig_keras.SmallBigR50(weights="k400"), trained)


def test_mirror_without_the_name(server, monkeypatch):
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", server[0])
    with pytest.raises(WeightsNotFoundError, match="SmallBigR23-k400.json.* 404 [^?]*$"):
        smallbig_keras.SmallBigR23(weights="k400")
    with pytest.raises(WeightsNotFoundError, match="mean 'k400'.*SmallBigR50-k4000.json.* 404"):
        smallbig_keras.SmallBigR50(weights="k4000")


def test_mirror_with_a_damaged_record(published, tmp_path, trained, monkeypatch):
    """It is named with its address, and does not stay in the cache."""
    mirror = shutil.copytree(published, tmp_path / "mirror")
    (mirror / "SmallBigR50-k400.json").write_text("<html>Please log in</html>")
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", str(mirror))
    with pytest.raises(WeightsError, match=f"whole JSON file.*from {mirror}/SmallBigR50-k400"):
        smallbig_keras.SmallBigR50(weights="k400")
    shutil.copy(published / "SmallBigR50-k400.json", mirror)
    assert equal(smallbig_keras.SmallBigR50(weights="k400"), trained)


def test_damaged_file_is_not_used(published, tmp_path, monkeypatch):
    copy = shutil.copytree(published, tmp_path / "copy")
    with (copy / "SmallBigR50-k400.weights.h5").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 8)
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(copy))
    with pytest.raises(WeightsError, match="SmallBigR50-k400.weights.h5"):
        smallbig_keras.SmallBigR50(weights="k400")


def test_nothing_is_published(tmp_path):
    """Three lines: what is not there and where it was looked for, and two ways to get it."""
    with pytest.raises(WeightsNotFoundError) as error:
        smallbig_keras.SmallBigR23(weights="k400")
    what, train, convert = str(error.value).splitlines()
    assert what.startswith("No 'k400' weights of SmallBigR23 are published. Received: weights=")
    assert str(tmp_path / "cache" / "smallbig_keras") in what
    assert "smallbig publish RUN --name k400" in train and "SMALLBIG_WEIGHTS=DIR" in train
    assert "a checkpoint of the authors' code, FILE.pth" in convert and "--weights none" in convert


@pytest.mark.parametrize(
    "weights, error, message",
    [
        ("k401", ValueError, "or one of imagenet, k400.* Did you mean 'k400'. Received: k401, wh"),
        ("missing.pth", FileNotFoundError, "must be a file that is there.*Received: missing.pth"),
        ("a/b", FileNotFoundError, "must be a file that is there.*Received: a/b"),
    ],
)
def test_unknown_weights(weights, error, message):
    with pytest.raises(error, match=message):
        smallbig_keras.SmallBigR50(weights=weights)


def test_options_must_agree_with_the_record(published, monkeypatch):
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(published))
    known = r"(?s)not those of SmallBigR50.*weights k400 are of SmallBigR50\(variant='paper'"
    for options in ({"width": 16}, {"variant": "reference"}, {"extra": None}):
        with pytest.raises(WeightsError, match=known):
            smallbig_keras.SmallBigR50(weights="k400", **options)
    features = smallbig_keras.SmallBigR50(weights="k400", include_top=False, pooling="avg")
    assert features.output_shape == (None, 256)


def test_options_without_weights_are_free(published, trained, monkeypatch):
    """Networks are compared by their weights; what is given explicitly is never overridden."""
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(published))
    for options in ({"dropout": 0.5}, {"variant": "paper", **TINY}, {"pool": "avg"}):
        model = smallbig_keras.SmallBigR50(weights="k400", **options)
        assert equal(model, trained)
        for name, value in options.items():
            described = describe(model)
            if name in ("dropout", "pool"):
                assert described.options[name] == value


def test_file_of_a_record_is_checked(published, tmp_path):
    copy = shutil.copytree(published, tmp_path / "copy")
    file = copy / "SmallBigR50-k400.weights.h5"
    assert smallbig_keras.SmallBigR50(weights=file).output_shape == (None, len(NAMES))
    with file.open("ab") as end:
        end.write(b"0")
    for source in (file, str(file)):
        with pytest.raises(WeightsError, match="SHA-256 must be"):
            smallbig_keras.SmallBigR50(weights=source)


def test_replacing_a_publication_leaves_no_record_of_other_weights(
    published, run, tmp_path, monkeypatch
):
    """Whatever fails on the way, a record that is there describes the file that is there."""
    from smallbig_keras.training import publishing

    copy = shutil.copytree(published, tmp_path / "copy")
    arguments = (run, "k400", copy)
    before = {file.name: file.read_bytes() for file in copy.iterdir()}

    def broken(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "write_record", broken)
        with pytest.raises(ResourceError, match="No space left"):
            publishing.publish(*arguments, overwrite=True)
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    with monkeypatch.context() as patch:
        patch.setattr(publishing.os, "replace", broken)
        with pytest.raises(ResourceError, match="No space left"):
            publishing.publish(*arguments, overwrite=True)
    assert {file.name for file in copy.iterdir()} == {"SmallBigR50-k400.weights.h5"}
    record = publishing.publish(*arguments, licence="MIT", overwrite=True)
    assert read_record(copy / "SmallBigR50-k400.json") == record and record.licence == "MIT"


def test_other_classes_start_anew(published, trained, monkeypatch):
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(published))
    with pytest.warns(UserWarning, match="(?s)new classifier.*3 classes, the model has 5"):
        model = smallbig_keras.SmallBigR50(weights="k400", classes=5)
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        same = np.array_equal(ours, theirs)
        assert same == (not ours.path.startswith("classifier/")), ours.path


def test_a_run_knows_its_network(run, trained):
    model = smallbig_keras.SmallBigR50(weights=run)
    assert model.input_shape == (None, *SHAPE) and equal(model, trained)
    with pytest.warns(UserWarning, match="3 classes, the model has 10"):
        smallbig_keras.SmallBigR50(weights=run, classes=10)
    message = r"are of SmallBigR50 \(3 classes\); you asked for SmallBigR23. Take SmallBigR50"
    with pytest.raises(ValueError, match=message):
        smallbig_keras.SmallBigR23(weights=run)


def test_imagenet_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", (tmp_path / "nothing").as_uri())
    with pytest.raises(WeightsNotFoundError, match="put resnet101-5d3b4d8f.pth into a folder"):
        smallbig_keras.SmallBigR101(weights="imagenet")


def resnet_file(path, width=8):
    """A file of torchvision's layout for a narrow ResNet of 23 layers and 1000 classes."""
    from smallbig_keras.weights import reference_variables

    model = randomize(tiny("C2DR23", smallbig_stages=[], classes=1000, width=width))
    state = {}
    for name, variable in reference_variables(model).items():
        value = np.array(variable)
        value = np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim > 1 else value
        state[name] = np.ascontiguousarray(value)
    return write_torch(path, state), model


def test_imagenet(tmp_path, monkeypatch, trust):
    """The file is looked for by torchvision's name, its digest checked, the result cached."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    file, source = resnet_file(mirror / "resnet50-19c8e357.pth")
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", mirror.as_uri())
    with pytest.raises(WeightsError, match="19c8e357"):
        tiny(weights="imagenet")

    # The real file cannot be had here: its record gets the digest of the one above.
    trust(file)
    for _ in range(2):
        with pytest.warns(UserWarning, match="1000 classes, the model has 3"):
            model = tiny(weights="imagenet")
        ours = model.get_layer("res5_block1_unit2").conv.kernel
        np.testing.assert_array_equal(ours, source.get_layer("res5_block1_unit2_conv").kernel)
        file.unlink(missing_ok=True)
    assert [f.name for f in (tmp_path / "cache" / "smallbig_keras").glob("*.npz")] == [
        "C2DR50-imagenet.npz"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(weights="imagenet", include_top=False)
