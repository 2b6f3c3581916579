"""One object from every source: the same names for the same video, whatever the engine."""

import dataclasses
import http.server
import json
import pathlib
import threading
import zipfile

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import smallbig_keras
from smallbig_keras import VideoClassifier, classify, load, runs
from smallbig_keras.data import ClipConfig, Video, load_clip, read_frames
from smallbig_keras.errors import AlreadyThereError, NotFoundError, SmallBigError
from smallbig_keras.labels import preprocess_input
from smallbig_keras.weights import WeightsError, reference_variables
from smallbig_keras.weights.description import FILE, WEIGHTS
from tests.conftest import randomize
from tests.data.videos import write_frames, write_video
from tests.weights.torch_writer import write_torch

CLIPS = ClipConfig(4, "dense", 3, 36, 32, (0.45, 0.4, 0.5), (0.225, 0.2, 0.25))
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


@pytest.fixture(scope="module")
def classifier():
    return VideoClassifier(make_model(dropout=0.25), CLIPS, NAMES)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [str(write_video(folder / f"{count}.webm", count)) for count in (14, 23, 31)]


def write_run(classifier, path):
    """The folder of a run, as training writes it."""
    config = {
        **{"model": "SmallBigR23", "variant": "paper", "options": {**OPTIONS, "dropout": 0.25}},
        **{"frames": 4, "sampling": "dense", "stride": 3, "size": 32, "test_short_side": 36},
        **{"mean": CLIPS.mean, "std": CLIPS.std, "class_names": NAMES},
        **{"dataset": "folder", "data_root": "nowhere"},
    }
    runs.write_config(path, config)
    smallbig_keras.weights.description.write_description(
        smallbig_keras.weights.description.of_training(config), path
    )
    runs.save_checkpoint(classifier.model, path / runs.BEST, include_optimizer=False)
    return path, {}


def write_old_run(classifier, path):
    """That of version 0.1.0, whose checkpoints are files of Keras and whose mean is ImageNet's."""
    write_run(classifier, path)
    (path / FILE).unlink()
    (path / runs.BEST).unlink()
    classifier.model.save(path / "best.keras")
    return path, {}


def state_dict(model):
    """The weights by the authors' names, in PyTorch's layout."""
    arrays = {}
    for name, variable in reference_variables(model).items():
        value = variable.numpy()
        value = np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim > 1 else value
        arrays[name] = np.ascontiguousarray(value[:, :, None] if value.ndim == 4 else value)
    return arrays


NETWORK = {"model": "SmallBigR23", "variant": "paper", **OPTIONS}
TOLD = {"clips": CLIPS, "class_names": NAMES}


def write_weights(classifier, path):
    path = path.with_suffix(".weights.h5")
    classifier.model.save_weights(path)
    return path, {**NETWORK, **TOLD}


def write_keras(classifier, path):
    path = path.with_suffix(".keras")
    classifier.model.save(path)
    return path, TOLD


def write_pth(classifier, path):
    path = path.with_suffix(".pth")
    write_torch(path, {"state_dict": state_dict(classifier.model)})
    return path, {**NETWORK, **TOLD}


def write_safetensors(classifier, path):
    path = path.with_suffix(".safetensors")
    save_file(state_dict(classifier.model), path)
    return path, {**NETWORK, **TOLD}


def writer(suffix, **options):
    return lambda classifier, path: (classifier.export(path.with_suffix(suffix), **options), {})


SOURCES = {
    "saved": lambda classifier, path: (classifier.save(path), {}),
    "run": write_run,
    "run of 0.1.0": write_old_run,
    ".weights.h5": write_weights,
    ".keras": write_keras,
    ".pth": write_pth,
    ".safetensors": write_safetensors,
    ".tflite": writer(".tflite"),
    ".onnx": writer(".onnx"),
    "SavedModel": writer(""),
    "SavedModel of floats": writer("", format="saved_model", input_dtype="float32"),
    ".tflite, normalised outside": writer(".tflite", include_preprocessing=False),
}


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


def test_probabilities_are_those_of_the_model_on_the_clip_of_validation(classifier, videos):
    pixels = load_clip(videos[1], clips=CLIPS, normalize=False)
    expected = classifier.model(preprocess_input(pixels, CLIPS.mean, CLIPS.std)).numpy()[0]
    found = dict(classifier.predict(videos[1], top=100))
    np.testing.assert_allclose([found[name] for name in NAMES], expected, atol=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    prepared = classifier.preprocess(videos[1])
    assert prepared.shape == (1, *CLIPS.shape) and prepared.dtype == np.float32
    np.testing.assert_allclose(classifier.model(prepared)[0], expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_views_are_averaged(classifier, videos, batch_size):
    rule = CLIPS.replace(short_side=32)
    found = classifier.predict(videos, top=7, clips=2, crops=3, batch_size=batch_size)
    for video, row in zip(videos, found, strict=True):
        views = load_clip(video, clips=rule, views=(2, 3))
        expected = classifier.model(views).numpy().mean(axis=0)
        np.testing.assert_allclose([dict(row)[name] for name in NAMES], expected, atol=1e-6)


def test_one_or_many_of_every_kind(classifier, videos, tmp_path):
    expected = classifier.predict(videos[0])
    frames = read_frames(videos[0], range)
    folder = write_frames(tmp_path / "frames", 9)
    many = [
        *(videos[0], pathlib.Path(videos[0]), pathlib.Path(videos[0]).read_bytes()),
        *(Video(videos[0], 3, "a"), frames, list(frames)),
    ]
    results = classifier.predict(many, batch_size=3)
    assert len(results) == len(many)
    for one in (*many, iter(frames), (frame for frame in frames)):
        results.append(classifier.predict(one))
    for found in results:
        assert [name for name, _ in found] == [name for name, _ in expected]
        np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], atol=1e-6)
    assert len(classifier.predict(np.stack([frames, frames]))) == 2
    assert len(classifier.predict(video for video in videos)) == 3
    assert (
        isinstance(classifier.predict([folder])[0], list) and len(classifier.predict(folder)) == 5
    )
    assert classifier.predict([]) == []


def test_a_long_list_is_not_held_in_memory(classifier, videos):
    """A few videos are read ahead of the results, however many there are."""
    asked = []

    def endless():
        for index in range(200):
            asked.append(index)
            yield videos[0] if index < 150 else "missing.mp4"

    with pytest.raises(SmallBigError, match="missing.mp4"):
        classifier.predict(endless(), batch_size=4)
    assert 150 < len(asked) < 190


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"top": 0}, "`top` must be an int of at least 1. Received: 0"),
        ({"clips": 0}, "`clips` must be an int of at least 1"),
        ({"batch_size": None}, "`batch_size` must be an int of at least 1"),
        ({"crops": 2}, "1 or 3 crops. Received: crops=2"),
    ],
)
def test_bad_arguments(classifier, videos, arguments, message):
    with pytest.raises(SmallBigError, match=message):
        classifier.predict(videos[0], **arguments)


def test_what_is_no_video(classifier):
    for video in (3, None, {"a": 1}):
        with pytest.raises(SmallBigError, match="A video must be a path"):
            classifier.predict(video)
    with pytest.raises(SmallBigError, match="nowhere.mp4"):
        classifier.predict("nowhere.mp4")


def test_parts_that_do_not_fit(classifier):
    model = classifier.model
    with pytest.raises(
        SmallBigError, match=r"take the clips, \(8, 32, 32, 3\): change.*\(4, 32, 32, 3\)"
    ):
        VideoClassifier(model, CLIPS.replace(frames=8), NAMES)
    with pytest.raises(SmallBigError, match=r"\(7,\). Received: 6 names"):
        VideoClassifier(model, CLIPS, NAMES[:6])
    with pytest.raises(SmallBigError, match="in this order. Received: ClipConfig, Functional"):
        VideoClassifier(CLIPS, model, NAMES)
    with pytest.raises(SmallBigError, match="must be a sequence of str. Received: 'k400'"):
        VideoClassifier(model, CLIPS, "k400")
    headless = smallbig_keras.SmallBigR23(include_top=False, input_shape=CLIPS.shape, **OPTIONS)
    with pytest.raises(SmallBigError, match="must name the classes"):
        VideoClassifier(headless, CLIPS, NAMES)


@pytest.mark.parametrize("options", [{}, {"classifier_activation": None}, {"variant": "reference"}])
def test_saved_and_loaded(options, videos, tmp_path):
    saved = VideoClassifier(make_model(**options), CLIPS, NAMES)
    folder = saved.save(tmp_path / "deep" / "folder")
    assert sorted(file.name for file in folder.iterdir()) == [FILE, WEIGHTS]
    opened = load(str(folder))
    for old, new in zip(saved.model.weights, opened.model.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    found = opened.predict(videos[0])
    assert found == saved.predict(videos[0]) and sum(p for _, p in found) <= 1 + 1e-6
    with pytest.raises(AlreadyThereError, match="overwrite=True"):
        saved.save(folder)
    saved.save(folder, overwrite=True)
    described = json.loads((folder / FILE).read_text())
    assert described["versions"]["smallbig_keras"] == smallbig_keras.__version__
    assert (described["model"], described["class_names"]) == ("SmallBigR23", NAMES)


def test_changed_models_and_artifacts_are_not_saved(classifier, tmp_path):
    features = classifier.model.get_layer("avg_pool").output
    scores = keras.layers.Dense(7, "softmax")(keras.layers.Dense(9)(features))
    other = VideoClassifier(keras.Model(classifier.model.input, scores), CLIPS, NAMES)
    with pytest.raises(SmallBigError, match="without a|A classifier has a head|other layers"):
        other.save(tmp_path / "other")
    artifact = load(classifier.export(tmp_path / "x.onnx"))
    for call in (artifact.save, artifact.export):
        with pytest.raises(SmallBigError, match="not from an artifact. Received: .*x.onnx"):
            call(tmp_path / "again.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["x.onnx"]


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("x.tflit", {}, "No format has the suffix .tflit. Did you mean '.tflite'"),
        ("x", {"format": "savedmodel"}, "Did you mean 'saved_model'\\? Received: 'savedmodel'"),
        ("x.onnx", {"format": "tflite"}, "must end in .tflite"),
        ("x", {"class_names": NAMES[:3]}, "must name the 7 classes"),
        ("x", {"clips": ClipConfig()}, "must be of the model's 4 frames of 32 x 32"),
    ],
)
def test_exports_that_are_refused(classifier, tmp_path, name, options, message):
    with pytest.raises(SmallBigError, match=message):
        classifier.export(tmp_path / name, **options)
    assert not any(tmp_path.iterdir())


def test_another_size_of_a_source(classifier, videos, tmp_path):
    folder = classifier.save(tmp_path / "saved")
    larger = load(folder, clips={"size": 48, "frames": 6})
    assert larger.clips == CLIPS.replace(size=48, frames=6) and larger.clips.short_side == 54
    clip = load_clip(videos[2], clips=larger.clips)
    np.testing.assert_allclose(
        [p for _, p in larger.predict(videos[2], top=7)],
        np.sort(larger.model(clip).numpy()[0])[::-1],
        atol=1e-6,
    )
    artifact = classifier.export(tmp_path / "x.onnx")
    assert load(artifact, clips={"stride": 2}).clips.stride == 2
    with pytest.raises(SmallBigError, match=r"keeps its clips of .* one of \(4, 48, 48, 3\)"):
        load(artifact, clips={"size": 48})


def test_classify(classifier, videos, tmp_path):
    folder = classifier.save(tmp_path / "saved")
    expected = classifier.predict(videos[0], top=2)
    assert classify(videos[0], classifier, top=2) == expected
    found = classify(videos[0], str(folder), top=2)
    np.testing.assert_allclose(dict(found)[expected[0][0]], expected[0][1], atol=1e-6)
    assert len(classify(videos, folder)) == 3
    # Weights that changed are read again.
    other = VideoClassifier(make_model(variant="reference"), CLIPS, NAMES[::-1])
    other.save(folder, overwrite=True)
    assert classify(videos[0], str(folder)) == other.predict(videos[0])


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
def test_descriptions_that_do_not_fit(classifier, tmp_path, values, message):
    folder = changed(classifier.save(tmp_path / "saved"), **values)
    with pytest.raises(ValueError, match=message):
        load(folder)


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


def test_damaged_descriptions(classifier, tmp_path):
    folder = classifier.save(tmp_path / "saved")
    for text in ("", "{", "[]", "[" * 100_000, '"text"'):
        (folder / FILE).write_text(text)
        with pytest.raises(SmallBigError, match="classifier.json must"):
            load(folder)
    (folder / FILE).unlink()
    with pytest.raises(SmallBigError, match=r"with classifier.json. Received: .*which has none"):
        load(folder)


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
        ("k400", {}, "No 'k400' weights are published, of SmallBigR101"),
        ("imagenet", {}, "classify pictures: name the network"),
        ("k400", {"model": "SmallBigR50"}, "No 'k400' weights of SmallBigR50 are published"),
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


def test_options_that_a_source_contradicts(classifier, tmp_path):
    folder = classifier.save(tmp_path / "saved")
    with pytest.raises(SmallBigError, match=r"of SmallBigR23 \(7 classes\); you asked for SmallB"):
        load(folder, "SmallBigR50")
    with pytest.raises(SmallBigError, match="have 7 classes; you asked for 8"):
        load(folder, classes=8)
    with pytest.raises(WeightsError, match="not those of SmallBigR23"):
        load(folder, extra=None)
    assert load(folder, "SmallBigR23", "paper", dropout=0.5).class_names == NAMES
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
        with pytest.raises(SmallBigError, match="weights are published|classify pictures"):
            load(name)
        with pytest.raises(SmallBigError, match="There are no weights at /nowhere"):
            monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", "file:///nowhere")
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


def test_only_three_fields():
    assert [f.name for f in dataclasses.fields(VideoClassifier)] == [
        "model",
        "clips",
        "class_names",
    ]
