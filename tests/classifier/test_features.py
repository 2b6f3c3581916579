"""Features of videos are those of the network on their clips."""

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import VideoClassifier
from smallbig_keras.data import ClipConfig, clip_dataset, load_clip
from smallbig_keras.errors import SmallBigError
from smallbig_keras.models import feature_extractor
from tests.classifier.conftest import CLIPS, NAMES, make_model
from tests.conftest import randomize
from tests.data.videos import write_frames, write_video


def by_hand(model, name, clips):
    """The mean over the clips of a video, and over frames, height and width."""
    maps = np.asarray(feature_extractor(model, [name])(clips)[name])
    return maps.reshape(-1, maps.shape[-1]).mean(axis=0)


def assert_close(found, expected):
    """Differences are small beside the largest value: batches of other sizes round differently."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_features_of_many_videos(classifier, videos, batch_size):
    found = classifier.features(iter(videos), clips=2, crops=3, batch_size=batch_size)
    assert found.shape == (3, 256) and found.dtype == np.float32
    for row, video in zip(found, videos, strict=True):
        views = load_clip(video, clips=CLIPS.replace(short_side=32), views=(2, 3))
        assert_close(row, by_hand(classifier.model, "avg_pool", views))


def test_features_of_one_video(classifier, videos, tmp_path):
    still = write_video(tmp_path / "still.webm", 1)
    for video in (still, write_frames(tmp_path / "frames", 9), videos[0]):
        one = classifier.features(video)
        expected = by_hand(classifier.model, "avg_pool", load_clip(video, clips=CLIPS))
        assert one.shape == (256,)
        assert_close(one, expected)
    # The classifier gives its probabilities for them.
    logits = one @ np.asarray(classifier.model.get_layer("classifier").kernel)
    logits += np.asarray(classifier.model.get_layer("classifier").bias)
    scores = np.exp(logits) / np.exp(logits).sum()
    named = dict(classifier.predict(videos[0], top=7))
    np.testing.assert_allclose(scores, [named[name] for name in NAMES], atol=1e-5)


def test_features_of_layers(classifier, videos):
    names = ["res3", "res4_block1_unit2", "features", "probabilities"]
    found = classifier.features(videos, layers=names)
    assert list(found) == names
    for name in names[:2]:
        for row, video in zip(found[name], videos, strict=True):
            expected = by_hand(classifier.model, name, load_clip(video, clips=CLIPS))
            assert_close(row, expected)
    np.testing.assert_array_equal(found["features"], classifier.features(videos))
    assert found["probabilities"].shape == (3, 7)
    one = classifier.features(videos[0], layers="res3")
    assert_close(one["res3"], found["res3"][0])
    assert classifier.features([]).shape == (0, 256)
    assert classifier.features([], layers="res3")["res3"].shape == found["res3"][:0].shape


@pytest.mark.parametrize(
    "name, shape, layer",
    [
        ("S3D", (8, 32, 32, 3), "avg_pool"),
        ("I3D", (8, 32, 32, 3), "avg_pool"),
        ("VoV3DM", (4, 64, 64, 3), "head_features"),
    ],
)
def test_features_of_other_families(name, shape, layer, videos):
    model = getattr(smallbig_keras, name)(input_shape=shape, classes=7, width=16)
    clips = ClipConfig(shape[0], size=shape[1])
    (found,) = VideoClassifier(randomize(model), clips, NAMES).features(videos[:1])
    expected = by_hand(model, layer, load_clip(videos[0], clips=clips))
    assert np.ptp(found) > 0
    assert_close(found, expected)


def test_features_in_half_precision(videos):
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = VideoClassifier(make_model(), CLIPS, NAMES).features(videos, layers=["res2"])
    assert found["res2"].dtype == np.float32 and np.isfinite(found["res2"]).all()


def test_unreadable_videos(classifier, videos):
    given = [videos[0], "nowhere.mp4", videos[1], "missing.mp4"]
    with pytest.raises(SmallBigError, match="nowhere.mp4"):
        classifier.features(given)
    unreadable = []
    rows = list(classifier.outputs(given, ["features"], unreadable=unreadable))
    assert [index for index, _ in rows] == [0, 2]
    np.testing.assert_array_equal(rows[1][1]["features"], classifier.features(given[::2])[1])
    assert ["nowhere" in str(unreadable[0]), "missing" in str(unreadable[1])] == [True, True]


def test_many_videos_of_a_feature_extractor(classifier, videos):
    extractor = feature_extractor(classifier.model, ["res3"])
    clips = clip_dataset(videos, classifier.clips, batch_size=2, training=False)
    maps = extractor.predict(clips, verbose=0)["res3"]
    found = classifier.features(videos, layers="res3")["res3"]
    assert_close(maps.mean(axis=(1, 2, 3)), found)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layers": "res6"}, "A feature is named by a stage.*Received: 'res6'"),
        ({"layers": []}, "Name one output at least"),
        ({"clips": 0}, "`clips` must be an int of at least 1"),
        ({"batch_size": 0}, "`batch_size` must be an int of at least 1"),
        ({"crops": 2}, "1, 3 or 10. Received: crops=2"),
    ],
)
def test_wrong_arguments(classifier, videos, arguments, message):
    with pytest.raises(SmallBigError, match=message):
        classifier.features(videos[0], **arguments)


def test_networks_without_features(classifier, videos, tmp_path):
    artifact = smallbig_keras.load(classifier.export(tmp_path / "x.onnx"))
    assert artifact.predict(videos[0])
    with pytest.raises(SmallBigError, match="An artifact gives probabilities alone.*x.onnx"):
        artifact.features(videos[0])
    inputs = keras.Input(CLIPS.shape)
    pooled = keras.layers.GlobalAveragePooling3D(name="pooled")(inputs)
    own = keras.Model(inputs, keras.layers.Dense(7, name="own")(pooled))
    own = VideoClassifier(own, CLIPS, NAMES)
    with pytest.raises(SmallBigError, match="a layer named 'classifier'. This network has none"):
        own.features(videos[0])
    assert own.features(videos[0], layers="pooled")["pooled"].shape == (3,)
