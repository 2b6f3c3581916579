"""A training with dense sampling, from its validation to a server: everywhere the same frames."""

import json
import types

import cv2
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.cli import main, source
from smallbig_keras.data import Sampler
from smallbig_keras.export import RestClient, encode_clip, open_artifact, server_clips
from smallbig_keras.training import loop
from tests.data.videos import numbers, write_video
from tests.export.serving_double import serve

# Crops of the whole frame: every frame can be told by its number.
SIZE, FRAMES, STRIDE, LENGTH = 64, 4, 5, 40
EXPECTED = [12, 17, 22, 27]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "val"):
        for name in ("one", "two"):
            folder = root / split / name
            folder.mkdir(parents=True)
            write_video(folder / "a.webm", LENGTH, size=(SIZE, SIZE))
    return root


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "dense"
    main(
        [
            *("fit", "--dataset", "folder", "--data-root", str(root), "--output", str(output)),
            *("--model", "SmallBigR23", "--options", '{"blocks": [1, 1, 1, 1], "width": 4}'),
            *("--weights", "none", "--frames", str(FRAMES), "--stride", str(STRIDE)),
            *("--size", str(SIZE), "--short-side", "64", "64", "--test-short-side", "64"),
            *("--batch-size", "2", "--epochs", "1", "--mean", "0.45", "0.4", "0.5"),
        ]
    )
    return output


def test_the_rule_is_the_middle(run):
    assert EXPECTED == Sampler("dense", FRAMES, STRIDE)(LENGTH)[0].tolist()
    assert runs.read_config(run)["sampling"] == "dense"


def in_validation(run, root, monkeypatch):
    """The clips that `fit` validates on, taken from the arguments of `model.fit`."""
    config = runs.read_config(run)
    config["epochs"] = 2
    found = []

    def fit(*_, validation_data, **__):
        found.extend(validation_data)
        raise KeyboardInterrupt

    make = loop.compiling.make_model

    def make_model(*args, **options):
        model = make(*args, **options)
        model.fit = fit
        return model

    monkeypatch.setattr(loop.compiling, "make_model", make_model)
    runs.write_config(run, config)
    with pytest.raises(SystemExit):
        main(["fit", "--resume", str(run)])
    pixels = found[0][0].numpy()[0]
    assert pixels.dtype == np.uint8
    return numbers(pixels)


def in_prediction(run, root, monkeypatch):
    classifier = smallbig_keras.load(run)
    given = []
    row = {"probabilities": np.ones((1, 2)) / 2}
    function = (lambda clips: given.append(clips) or row), {}
    vars(classifier)["_functions"] = {("probabilities",): function}
    classifier.predict(root / "val" / "one" / "a.webm")
    return numbers(given[0][0])


def in_metadata(run, root, monkeypatch):
    path = run.parent / "metadata.onnx"
    main(["export", "--weights", str(run), "--output", str(path)])
    metadata = open_artifact(path).metadata
    form = metadata["input"]
    assert form["frames_from"] == "4 frames, 5 apart, from the middle of the video"
    assert form["mean"] == [114.75, 102.0, 127.5] and form["short_side"] == SIZE
    # As a program of other people would read it.
    rule = Sampler(form["sampling"], form["frames"], form["stride"])
    return rule(LENGTH)[0].tolist()


def in_the_client(run, root, monkeypatch):
    path = run.parent / "served"
    main(["export", "--weights", str(run), "--output", str(path)])
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    with serve(path) as double:
        clips = server_clips(RestClient(double.url, "served"))
    files = encode_clip(root / "val" / "one" / "a.webm", clips)
    images = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files[0]]
    return numbers(np.stack(images))


def in_verification(run, root, monkeypatch):
    given = types.SimpleNamespace(weights=str(run), videos=(), clips=1)
    vars(given).update(dict.fromkeys(vars(source.DatasetOptions())))
    clips = source.load_clips(given, smallbig_keras.load(run).clips, "validation")
    return numbers(clips[0])


@pytest.mark.parametrize(
    "place", [in_validation, in_prediction, in_metadata, in_the_client, in_verification]
)
def test_frames_are_the_same(run, root, place, monkeypatch):
    found = place(run, root, monkeypatch)
    print(f"{place.__name__}: frames {found}")
    assert found == EXPECTED


def test_the_artifacts_of_the_run_pass(run, capsys):
    paths = [str(run.parent / name) for name in ("a.onnx", "a.tflite", "a")]
    for path in paths:
        main(["export", "--weights", str(run), "--output", path])
        stated = open_artifact(path).clips
        assert (stated.sampling, stated.stride, stated.mean) == ("dense", STRIDE, (0.45, 0.4, 0.5))
    main(["verify", "--weights", str(run), "--rounds", "1", *paths])
    assert capsys.readouterr().out.count("pass") == 3
    described = json.loads((run / "classifier.json").read_text())
    assert described["clips"]["sampling"] == "dense"
