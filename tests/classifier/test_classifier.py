"""A classifier names videos of every kind, and is saved and exported."""

import dataclasses
import io
import json
import pathlib

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import VideoClassifier, classify, load
from smallbig_keras.data import ClipConfig, Video, load_clip, read_frames
from smallbig_keras.errors import AlreadyThereError, SmallBigError
from smallbig_keras.labels import preprocess_input
from smallbig_keras.weights.description import FILE, WEIGHTS
from tests.classifier.conftest import CLIPS, NAMES, OPTIONS, make_model
from tests.data.videos import write_frames


def test_probabilities_are_those_of_the_model_on_the_clip_of_validation(classifier, videos):
    pixels = load_clip(videos[1], clips=CLIPS, normalize=False)
    expected = classifier.model(preprocess_input(pixels, CLIPS.mean, CLIPS.std, "bgr")).numpy()[0]
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


def open_file(path):
    return io.BytesIO(pathlib.Path(path).read_bytes())


def test_one_or_many_of_every_kind(classifier, videos, tmp_path):
    expected = classifier.predict(videos[0])
    frames = read_frames(videos[0], range)
    folder = write_frames(tmp_path / "frames", 9)
    many = [
        *(videos[0], pathlib.Path(videos[0]), pathlib.Path(videos[0]).read_bytes()),
        *(Video(videos[0], 3, "a"), frames, list(frames), open_file(videos[0])),
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
        ({"crops": 2}, "1, 3 or 10. Received: crops=2"),
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


def test_only_three_fields():
    assert [f.name for f in dataclasses.fields(VideoClassifier)] == [
        "model",
        "clips",
        "class_names",
    ]
