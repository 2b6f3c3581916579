"""`weights=`: names, paths, where they are looked for, and what is said when they are not there."""

import dataclasses
import functools
import hashlib
import http.server
import json
import pathlib
import shutil
import threading
import warnings
import zipfile

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.cli import main
from smallbig_keras.weights import WeightsError, WeightsNotFoundError, list_weights, load_weights
from smallbig_keras.weights.records import builtin_records, read_record, write_record
from tests.conftest import randomize
from tests.weights.torch_writer import write_torch

TINY = {"blocks": [1, 1, 1, 1], "width": 8, "smallbig_stages": [5]}
SHAPE = (2, 32, 32, 3)
NAMES = ["up", "down", "left"]


def tiny(name="SmallBigR50", **options):
    return getattr(smallbig_keras, name)(
        **{"input_shape": SHAPE, "classes": len(NAMES), **TINY, **options}
    )


def equal(one, other):
    values = zip(one.weights, other.weights, strict=True)
    return all(a.path == b.path and np.array_equal(a, b) for a, b in values)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """A cache of the test's own, and no folders of the user's."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SMALLBIG_WEIGHTS", raising=False)
    monkeypatch.delenv("SMALLBIG_WEIGHTS_URL", raising=False)


@pytest.fixture(scope="module")
def trained():
    return randomize(tiny(variant="paper"))


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    main(["publish", str(run), "--name", "k400", "--out", str(folder)])
    return folder


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
    assert record.labels == NAMES and record.preprocessing["short_side"] == 36

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
    with pytest.raises(WeightsNotFoundError, match="SmallBigR50-sthv2.json.* 404 [^?]*$"):
        smallbig_keras.SmallBigR50(weights="sthv2")
    with pytest.raises(WeightsNotFoundError, match="SmallBigR50-k4000.json.* mean 'k400'"):
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
        smallbig_keras.SmallBigR50(weights="k400")
    what, train, convert = str(error.value).splitlines()
    assert what.startswith("No 'k400' weights of SmallBigR50 are published. Received: weights=")
    assert str(tmp_path / "cache" / "smallbig_keras") in what
    assert "smallbig publish RUN --name k400" in train and "SMALLBIG_WEIGHTS=DIR" in train
    assert "a checkpoint of the authors' code, FILE.pth" in convert and "--weights none" in convert


@pytest.mark.parametrize(
    "weights, error, message",
    [
        ("k401", ValueError, "or one of imagenet, k400.* Did you mean 'k400'. Received: .*'k401'"),
        ("missing.pth", FileNotFoundError, "must be a file or a run.*Received: missing.pth"),
        ("a/b", FileNotFoundError, "must be a file or a run.*Received: a/b"),
    ],
)
def test_unknown_weights(weights, error, message):
    with pytest.raises(error, match=message):
        smallbig_keras.SmallBigR50(weights=weights)


def test_options_must_agree_with_the_record(published, monkeypatch):
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(published))
    with pytest.raises(ValueError, match=r"are those of SmallBigR50.*Received: .*'width': 16"):
        smallbig_keras.SmallBigR50(weights="k400", width=16)
    features = smallbig_keras.SmallBigR50(weights="k400", include_top=False, pooling="avg")
    assert features.output_shape == (None, 256)


def test_other_classes_start_anew(published, trained, monkeypatch):
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(published))
    with pytest.warns(UserWarning, match="(?s)new classifier.*3 classes, the model has 5"):
        model = smallbig_keras.SmallBigR50(weights="k400", classes=5)
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        same = np.array_equal(ours, theirs)
        assert same == (not ours.path.startswith("classifier/")), ours.path


@pytest.mark.parametrize("kind", ["run", "keras", "h5"])
def test_paths(run, trained, tmp_path, kind):
    path = {"run": run, "keras": run / runs.BEST, "h5": tmp_path / "x.weights.h5"}[kind]
    if kind == "h5":
        trained.save_weights(path)
    assert equal(tiny(variant="paper", weights=path), trained)
    headless = tiny(variant="paper", weights=path, include_top=False)
    body = keras.Model(trained.input, trained.get_layer(headless.layers[-1].name).output)
    assert equal(headless, body)
    with pytest.warns(UserWarning, match="3 classes, the model has 4"):
        tiny(variant="paper", weights=path, classes=4)


@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize(
    "name, options",
    [("C2DR23", {}), ("SmallBigR50", {"width": 16}), ("SmallBigR50", {"extra": None})],
)
def test_weights_of_another_network(run, trained, tmp_path, kind, name, options):
    path = run / runs.BEST
    if kind == "h5":
        path = tmp_path / "x.weights.h5"
        trained.save_weights(path)
    model = tiny(name, variant="reference" if name == "C2DR23" else "paper", **options)
    before = [np.array(w) for w in model.weights]
    with pytest.raises(WeightsError, match=f"weights are not those of {name} .*Received: "):
        load_weights(model, path)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("name", ["x.weights.h5", "x.keras", "x.npz", "x.bin"])
def test_files_that_are_no_weights(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=f"Received: .*{name}"):
        load_weights(tiny(), tmp_path / name)


def test_a_run_knows_its_network(run, trained):
    model = smallbig_keras.SmallBigR50(weights=run)
    assert model.input_shape == (None, *SHAPE) and equal(model, trained)
    with pytest.warns(UserWarning, match="3 classes, the model has 10"):
        smallbig_keras.SmallBigR50(weights=run, classes=10)
    message = r"are those of SmallBigR50\(variant='paper', .*Received: SmallBigR23"
    with pytest.raises(ValueError, match=message):
        smallbig_keras.SmallBigR23(weights=run)


@pytest.mark.parametrize("name", ["x.keras", "x.weights.h5"])
def test_weights_without_a_classifier(trained, tmp_path, name):
    body = keras.Model(trained.input, trained.get_layer("classifier").input)
    (body.save if name == "x.keras" else body.save_weights)(tmp_path / name)
    model = tiny(variant="paper")
    report = load_weights(model, tmp_path / name)
    assert report.new == ["classifier/kernel", "classifier/bias"] and not report.skipped
    np.testing.assert_array_equal(model.weights[0], trained.weights[0])


def test_keras_file_with_an_optimizer_and_code(trained, tmp_path):
    """The numbers are taken; the configuration, which might run code, is not."""
    model = keras.models.clone_model(trained)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.set_weights(trained.get_weights())
    model.save(tmp_path / "x.keras")
    with zipfile.ZipFile(tmp_path / "x.keras") as old:
        config = old.read("config.json").replace(b'"Activation"', b'"Lambda"')
        with zipfile.ZipFile(tmp_path / "y.keras", "w") as new:
            new.writestr("config.json", config)
            new.writestr("model.weights.h5", old.read("model.weights.h5"))
    for name in ("x.keras", "y.keras"):
        loaded = tiny(variant="paper")
        load_weights(loaded, tmp_path / name)
        assert equal(loaded, trained)


def test_damaged_checkpoint_names_the_file(run, tmp_path):
    data = bytearray((run / runs.BEST).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "x.keras").write_bytes(data)
    with pytest.raises(ValueError, match="must be whole.*Received: .*x.keras"):
        load_weights(tiny(variant="paper"), tmp_path / "x.keras")


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


def test_imagenet(tmp_path, monkeypatch):
    """The file is looked for by torchvision's name, its digest checked, the result cached."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    file, source = resnet_file(mirror / "resnet50-19c8e357.pth")
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", mirror.as_uri())
    with pytest.raises(WeightsError, match="19c8e357"):
        tiny(weights="imagenet")

    # The real file cannot be had here: its record gets the digest of the one above.
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    family = json.loads(RESNET.read_text())
    family["weights"][0]["sha256"] = digest
    monkeypatch.setattr(
        "smallbig_keras.weights.records._family",
        lambda f: (
            [{**family["common"], **row} for row in family["weights"]]
            if f.name == RESNET.name
            else []
        ),
    )
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


RESNET = pathlib.Path(smallbig_keras.__file__).parent / "weights" / "families" / "resnet.json"


def test_records_can_be_recomputed():
    """Parameters and operations of every record, and what is not published says so."""
    for record in builtin_records():
        model = getattr(smallbig_keras, record.model)(
            input_shape=tuple(record.input_shape),
            classes=record.classes,
            variant=record.variant,
            **record.options,
        )
        size = smallbig_keras.complexity(model)
        assert (record.parameters, record.macs) == size, record.stem
        if isinstance(record.labels, str):
            assert len(smallbig_keras.class_names(record.labels)) == record.classes
        published = [record.file, record.url, record.sha256]
        assert all(published) or published == [None] * 3
        assert record.accuracy is None
        if record.file is None:
            assert "Not published" in record.source
        else:
            assert record.sha256 in record.file and record.licence


def test_damaged_records(tmp_path):
    record = builtin_records()[0]
    file = tmp_path / "x.json"
    write_record(record, file)
    assert read_record(file) == record
    fields = json.loads(file.read_text())
    for change, message in (
        ({"classes": "400"}, "of another type.*classes"),
        ({"more": 1}, "must have the fields"),
        ({"file": "../x.h5"}, "must lie beside it"),
    ):
        file.write_text(json.dumps({**fields, **change}))
        with pytest.raises(ValueError, match=message):
            read_record(file)
    file.write_text("{")
    with pytest.raises(ValueError, match="whole JSON file. Received: .*x.json"):
        read_record(file)


def test_list_skips_what_is_no_record(published, tmp_path, monkeypatch):
    """Also what an interrupted download leaves; a damaged file asked for by name is an error."""
    folder = shutil.copytree(published, tmp_path / "weights")
    for name, text in (
        ("a.json", "{"),
        ("b.json", '{"url": "http://x", "length": 3}'),
        ("c.json", "[" * 100_000),
        ("SmallBigR50-sthv2.json", "<html>"),
        ("SmallBigR50-k400.weights.h5.part.note", "{}"),
    ):
        (folder / name).write_text(text)
    (folder / "d.json").mkdir()
    record = read_record(folder / "SmallBigR50-k400.json")
    write_record(dataclasses.replace(record, file=None), folder / "e.json")
    (folder / "f.json").write_bytes(b"\xff\xfe")
    rows = list_weights(folder)
    assert len(rows) == len(builtin_records())
    assert [row["name"] for row in rows if row["available"]] == ["k400"]
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(folder))
    with pytest.raises(ValueError, match="whole JSON file. Received: .*SmallBigR50-sthv2.json"):
        smallbig_keras.SmallBigR50(weights="sthv2")


def test_publishing_errors(run, published, tmp_path):
    arguments = ["publish", str(run), "--out", str(published), "--name"]
    with pytest.raises(SystemExit, match="not replaced without --overwrite"):
        main([*arguments, "k400"])
    for name in ("imagenet", "K400", "../x", ""):
        with pytest.raises(SystemExit, match="A name has small letters"):
            main([*arguments, name])
    half = shutil.copytree(run, tmp_path / "half")
    runs.write_log(half, runs.read_log(half)[:1])
    with pytest.raises(SystemExit, match="must be finished, 2 epochs; .*Received: .*half after 1"):
        main(["publish", str(half), "--name", "k400", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
