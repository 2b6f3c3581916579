"""From every source the same names for the same video; what is no source is one message."""

import http.server
import json
import pathlib
import shutil
import threading
import zipfile

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import VideoClassifier, load, runs
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.weights import WeightsError
from smallbig_keras.weights.description import FILE
from tests.classifier.conftest import CLIPS, NAMES, OPTIONS, make_model
from tests.classifier.sources import SOURCES, write_keras, write_pth, write_run, write_weights


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_names(classifier, videos, tmp_path, kind, monkeypatch):
    source, options = SOURCES[kind](classifier, tmp_path / "classifier")

    def refused(*_, **__):
        raise AssertionError("A user's file must not be loaded by Keras")

    monkeypatch.setattr(keras.saving, "load_model", refused)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", refused)
    opened = load(source, **options)
    assert (opened.clips, opened.class_names) == (CLIPS, NAMES)
    expected, found = classifier.predict(videos), opened.predict(videos)
    for theirs, ours in zip(found, expected, strict=True):
        assert [name for name, _ in theirs] == [name for name, _ in ours]
        np.testing.assert_allclose([p for _, p in theirs], [p for _, p in ours], atol=2e-6)
    (one,) = opened.predict(videos[0], top=1)
    assert one[0] == expected[0][0][0]


@pytest.fixture(scope="module")
def written(classifier, tmp_path_factory):
    return classifier.save(tmp_path_factory.mktemp("classifiers") / "saved")


@pytest.fixture
def saved(written, tmp_path):
    """A folder of the test's own, to damage."""
    return pathlib.Path(shutil.copytree(written, tmp_path / "saved"))


def changed(folder, **values):
    file = folder / FILE
    described = json.loads(file.read_text())
    file.write_text(json.dumps({**described, "sha256": None, **values}))
    return folder


@pytest.mark.parametrize(
    "values, message",
    [
        ({"options": {**OPTIONS, "width": 16}}, "not those of SmallBigR23"),
        ({"variant": "reference"}, "not those of SmallBigR23"),
        ({"model": "SmallBigR50"}, "not those of SmallBigR50"),
        ({"model": "SmallBigR500"}, "Did you mean 'SmallBigR50"),
        ({"model": "os.system"}, "The model must be one of .*Received: 'os.system'"),
        ({"options": {"initializer": "evil"}}, "has no such option. Received: initializer"),
        ({"classes": 6, "class_names": NAMES[:6]}, "it has 6 classes"),
        ({"class_names": NAMES[:6]}, "classifier.json describes no classifier. Received: class_n"),
        ({"class_names": [1] * 7}, "describes no classifier. Received: class_names"),
        ({"clips": {"frames": 8}}, "classifier.json: The description of a clip must have"),
        (
            {"options": {"width": 100_000}},
            "does not fit its weights: .* parameters. Give .* Received: ",
        ),
        ({"classes": 10**9, "class_names": None}, "does not fit its weights: .* parameters"),
        ({"layers": []}, "must have the fields model, .*Received: .*layers"),
        ({"sha256": "0" * 64}, "damaged or another file: its SHA-256 must be 0000"),
        ({"activation": "evil"}, "activation of a head must be one of .*Received: 'evil'"),
        ({"activation": {"class_name": "Lambda"}}, "activation of a head must be one of"),
    ],
)
def test_descriptions_that_do_not_fit(saved, values, message):
    with pytest.raises(ValueError, match=message):
        load(changed(saved, **values))


def test_the_activation_in_a_file_of_keras_is_data(classifier, tmp_path):
    """Keras would make whatever object a dictionary in its place describes."""
    path, _ = write_keras(classifier, tmp_path / "x")
    evil = tmp_path / "evil.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(evil, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                (head,) = (
                    layer["config"]
                    for layer in config["config"]["layers"]
                    if layer["config"]["name"] == "predictions"
                )
                head["activation"] = {"module": "os", "class_name": "system", "config": "true"}
                content = json.dumps(config)
            new.writestr(name, content)
    with pytest.raises(SmallBigError, match="activation of a head must be one of .*system"):
        load(evil)


def test_damaged_descriptions(saved):
    for text in ("", "{", "[]", "[" * 100_000, '"text"'):
        (saved / FILE).write_text(text)
        with pytest.raises(SmallBigError, match="classifier.json must"):
            load(saved)
    (saved / FILE).unlink()
    with pytest.raises(SmallBigError, match=r"with classifier.json. Received: .*which has none"):
        load(saved)


def test_a_run_before_its_first_epoch(classifier, tmp_path):
    path, _ = write_run(classifier, tmp_path / "run")
    (path / runs.BEST).unlink()
    with pytest.raises(NotFoundError, match="has its checkpoint model.weights.h5 after the first"):
        load(path)


@pytest.mark.parametrize(
    "source, options, message",
    [
        ("k401", {}, "Did you mean 'k400'. Received: k401, which is not there"),
        ("nowhere/run", {}, "Received: nowhere/run, which is not there"),
        ("./foldr", {}, "Did you mean 'folder'\\? Received: foldr, which is not there"),
        (None, {}, "A source is a path, a name or a URL. Received: None"),
        ("", {}, "A source is a path, a name or a URL"),
        ("folder", {"clips": 64}, "`clips` must be a ClipConfig or a dict. Received: 64|A folder"),
        ("x.pth", {"classnames": []}, "Did you mean 'class_names'\\? Received: classnames"),
        ("x.pth", {"widht": 8}, "Did you mean 'width'\\? Received: widht"),
        ("x.pth", {"model": "SmallBigR23"}, "x.pth, which is not there"),
        ("x.tflite", {}, "An artifact must be there. Received: x.tflite"),
        ("sthv1", {}, "No 'sthv1' weights of SmallBigSlowOnlyR50 are published"),
        ("imagenet", {}, "classify pictures: name the network"),
        ("k400", {"model": "SmallBigR23"}, "No 'k400' weights of SmallBigR23 are published"),
        ("k400", {"model": "SmallBig50"}, "Did you mean 'SmallBigR50'"),
        ("hf://owner", {}, "is hf://owner/name. Received: hf://owner"),
        ("ftp://host/x.pth", {"model": "C2DR50"}, "must begin with http.*Received: ftp://host/x"),
        ("folder", {}, "A folder of weights is a run or a saved classifier"),
        ("SmallBigR50", {}, "SmallBigR50 is a network: name its weights"),
        ("text.txt", {}, "A source is a run, .* or weights, .*.pth.* Received: text.txt"),
        (
            "file.weights.h5",
            {},
            "needs the name of its network: add model .--model., one of C2D",
        ),
    ],
)
def test_what_is_no_source(source, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("no weights")
    (tmp_path / "file.weights.h5").write_text("no weights")
    with pytest.raises(SmallBigError, match=message):
        load(source, **options)


def test_options_that_a_source_contradicts(classifier, saved, tmp_path):
    with pytest.raises(SmallBigError, match=r"of SmallBigR23 \(7 classes\); you asked for SmallB"):
        load(saved, "SmallBigR50")
    with pytest.raises(SmallBigError, match="have 7 classes; you asked for 8"):
        load(saved, classes=8)
    with pytest.raises(WeightsError, match="not those of SmallBigR23"):
        load(saved, extra=None)
    assert load(saved, "SmallBigR23", "paper", dropout=0.5).class_names == NAMES
    artifact = classifier.export(tmp_path / "x.onnx")
    with pytest.raises(SmallBigError, match="knows its network: leave out model, dropout"):
        load(artifact, "SmallBigR23", dropout=0.5)


def test_names_that_nobody_tells(classifier, tmp_path):
    path, options = write_weights(classifier, tmp_path / "x")
    del options["class_names"]
    assert load(path, **options).class_names == [f"class {i}" for i in range(7)]
    with pytest.raises(SmallBigError, match=r"\(7,\). Received: 400 names"):
        load(path, class_names="k400", **options)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    assert load(path, class_names=str(tmp_path / "names.txt"), **options).class_names == NAMES
    with pytest.raises(SmallBigError, match="the lines of a file that is there. Received: k401"):
        load(path, class_names="k401", **options)


def test_a_name_comes_before_a_folder_of_that_name(classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name in ("k400", "imagenet"):
        classifier.save(name)
        monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", "file:///nowhere")
        with pytest.raises(SmallBigError, match="no weights at /nowhere/c2d_|classify pictures"):
            load(name)
        with pytest.raises(SmallBigError, match="There are no weights at /nowhere"):
            smallbig_keras.SmallBigR23(weights=name)
        monkeypatch.delenv("SMALLBIG_WEIGHTS_URL")
        for path in (f"./{name}", pathlib.Path(name)):
            assert load(path).class_names == NAMES
    classifier.save("mine")
    assert load("mine").class_names == NAMES


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Files below `tmp_path / "served"`, and the paths that were asked for."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder, asked
        running.shutdown()
        thread.join()


def test_classifier_from_a_hub_and_a_url(classifier, server, videos, monkeypatch):
    url, folder, asked = server
    classifier.save(folder / "me" / "mine" / "resolve" / "main")
    monkeypatch.setenv("HF_ENDPOINT", url)
    expected = classifier.predict(videos[0])
    for source in ("hf://me/mine", f"{url}/me/mine/resolve/main/"):
        assert load(source).predict(videos[0]) == expected
    asked.clear()
    assert load("hf://me/mine").predict(videos[0]) == expected
    assert asked == [f"/me/mine/resolve/main/{FILE}"]
    # Other weights have another hash, and are downloaded.
    other = VideoClassifier(make_model(variant="reference"), CLIPS, NAMES)
    other.save(folder / "me" / "mine" / "resolve" / "main", overwrite=True)
    assert load("hf://me/mine").predict(videos[0]) == other.predict(videos[0])
    with pytest.raises(NotFoundError, match="There are no weights at .*/me/other/resolve/main"):
        load("hf://me/other")


def test_files_of_a_url(classifier, server, videos):
    url, folder, asked = server
    path, options = write_pth(classifier, folder / "checkpoint")
    classifier.export(folder / "x.onnx")
    expected = classifier.predict(videos[0])
    for source, more in ((f"{url}/{path.name}", options), (f"{url}/x.onnx", {})):
        for _ in range(2):
            found = load(source, **more).predict(videos[0])
            np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], atol=2e-6)
    assert len(asked) == 2
    with pytest.raises(NotFoundError, match=f"There are no weights at {url}/missing.pth"):
        load(f"{url}/missing.pth", **options)
    wrong = path.rename(folder / "checkpoint-00000000.pth")
    with pytest.raises(WeightsError, match="gave a wrong file, twice.*SHA-256 must be 00000000"):
        load(f"{url}/{wrong.name}", **options)
