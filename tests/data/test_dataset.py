import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import (
    Sampler,
    UnreadableVideos,
    Video,
    clip_dataset,
    load_clip,
    sources,
)
from smallbig_keras.data.decoding import read_with_times
from smallbig_keras.labels import preprocess_input
from tests.data.streams import assert_same, stream
from tests.data.test_batch_augmentation import needs_keras_layers
from tests.data.videos import numbers, picture, write_frames, write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [Video(str(write_video(folder / f"{i}.webm", 9 + i)), i, str(i)) for i in range(10)]


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    """Files and folders in which every square of the width shows its whole number."""
    root = tmp_path_factory.mktemp("portraits")
    size = (64, 96)
    videos = [
        Video(str(write_video(root / f"{i}.webm", 16 + 8 * i, size=size)), i, str(i))
        for i in range(2)
    ]
    for i in (2, 3):
        # Every other one has its number of frames in its list.
        folder = write_frames(root / str(i), 16 + 8 * i, size=size)
        videos.append(Video(str(folder), i, str(i), (None, 40)[i - 2], "img_{:05d}.jpg"))
    return videos


# Short side and crop of the height of the videos: nothing is interpolated.
WHOLE = dict(size=64, short_side=64, batch_size=1, training=False, normalize=False)


def test_evaluation_is_the_middle_of_every_video_in_order(videos):
    # Short side 64 is the height of the videos: nothing is interpolated.
    options = dict(frames=4, size=64, batch_size=4, training=False, short_side=64)
    dataset = clip_dataset(videos, **options, normalize=False)
    assert dataset.cardinality() == 3
    assert dataset.element_spec[0].shape[1:] == (4, 64, 64, 3)
    assert dataset.element_spec[1].dtype == tf.int32
    batches = list(dataset)
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    clips = np.concatenate([clips for clips, _ in batches])
    assert clips.dtype == np.uint8
    clips = clips.astype(np.float32)
    assert np.concatenate([labels for _, labels in batches]).tolist() == list(range(10))
    for i, clip in enumerate(clips):
        indices = [int((k + 0.5) * (9 + i) / 4) for k in range(4)]
        expected = np.stack([picture(index)[:, 16:80] for index in indices])
        assert np.abs(clip - expected).mean() < 12
    normalised = np.concatenate([clips for clips, _ in stream(videos, **options)])
    np.testing.assert_allclose(normalised, preprocess_input(clips), atol=1e-5)
    np.testing.assert_allclose(load_clip(videos[3].path, 4, 64, 64), normalised[3:4], atol=1e-5)


def test_dense_sampling(portraits):
    sampler = Sampler("dense", 4, 5)
    options = dict(frames=4, sampling="dense", stride=5)
    dataset = clip_dataset(portraits, **WHOLE, **options)
    for video, (clips, _) in zip(portraits, dataset, strict=True):
        assert numbers(clips[0]) == sampler(16 + 8 * video.label)[0].tolist()
        clip = load_clip(video, 4, 64, 64, "dense", 5)
        np.testing.assert_allclose(clip, preprocess_input(clips), atol=1e-5)


def test_dense_training(portraits):
    options = {**WHOLE, "training": True, "seed": 3, "epochs": 5}
    sampler = Sampler("dense", 4, 5, training=True, seed=3)
    batches = stream(portraits, frames=4, sampling="dense", stride=5, **options)
    for step, (clips, labels) in enumerate(batches):
        label = int(labels[0])
        assert numbers(clips[0]) == sampler(16 + 8 * label, step // 4, label)[0].tolist()


@pytest.mark.parametrize("sampling", ["segment", "dense"])
def test_views_are_clip_by_clip(portraits, sampling):
    options = {**WHOLE, "frames": 4, "sampling": sampling, "stride": 3, "views": (5, 3)}
    dataset = clip_dataset(portraits, **options)
    assert dataset.element_spec[0].shape[1:] == (15, 4, 64, 64, 3)
    sampler = Sampler(sampling, 4, 3, clips=5)
    for video, (views, _) in zip(portraits, dataset, strict=True):
        expected = np.repeat(sampler(16 + 8 * video.label), 3, axis=0)
        assert [numbers(view) for view in views[0]] == expected.tolist()
        assert len(np.unique(expected[:, 0])) > 1


def test_crops_are_left_centre_right(videos):
    options = {**WHOLE, "batch_size": 3, "frames": 2}
    for clips in (1, 2):
        ((views, _),) = stream(videos[7:], views=(clips, 3), **options)
        assert views.shape == (3, clips * 3, 2, 64, 64, 3)
        indices = Sampler("segment", 2, clips=clips)(16)
        for number, view in enumerate(views[0]):
            left = 16 * (number % 3)
            expected = np.stack([picture(i)[:, left : left + 64] for i in indices[number // 3]])
            assert np.abs(view.astype(int) - expected).mean() < 12
    ((ten, _),) = stream(videos[7:], views=(2, 10), **options)
    assert ten.shape == (3, 20, 2, 64, 64, 3)
    np.testing.assert_array_equal(ten[:, 5:10], ten[:, :5, :, :, ::-1])
    np.testing.assert_array_equal(ten[:, 4::10], views[:, 1::3])
    ((centre, _),) = stream(videos[7:], **options)
    ((several, _),) = stream(videos[7:], views=(2, 1), **options)
    np.testing.assert_array_equal(centre, several[:, 0])
    ((normalised, _),) = stream(videos[7:], views=(2, 3), **{**options, "normalize": True})
    np.testing.assert_allclose(normalised, preprocess_input(views), atol=1e-5)


def test_a_video_is_read_once_for_all_views(videos, monkeypatch):
    calls = []

    def count(path, sampler, *times):
        return read_with_times(path, lambda n: calls.append(sampler(n)) or calls[-1], *times)

    monkeypatch.setattr(sources, "read_with_times", count)
    stream(videos[:3], frames=4, training=False, views=(6, 3))
    assert len(calls) == 3
    for wanted in calls:
        assert len(set(wanted.tolist())) == len(wanted) < 24


def test_training_takes_every_segment_and_a_random_crop(videos):
    # Nine segments of nine frames leave one choice each; 64 of 96 columns leave 33 offsets.
    batches = stream(
        videos[:1], frames=9, size=64, short_side=64, batch_size=1, epochs=8, normalize=False
    )
    expected = np.stack([picture(i) for i in range(9)]).astype(np.float32)
    offsets = set()
    for clips, labels in batches:
        assert clips.shape == (1, 9, 64, 64, 3) and labels.tolist() == [0]
        errors = [np.abs(clips[0] - expected[:, :, x : x + 64]).mean() for x in range(33)]
        assert min(errors) < 12
        offsets.add(int(np.argmin(errors)))
    assert len(offsets) > 3


def test_defaults_and_epochs(videos):
    batches = stream(videos, epochs=3)
    assert len(batches) == 9
    epochs = [np.concatenate([y for _, y in batches[i : i + 3]]).tolist() for i in (0, 3, 6)]
    for labels in epochs:
        assert len(set(labels)) == 9
    assert len({tuple(labels) for labels in epochs}) == 3
    whole = stream(videos, drop_remainder=False)
    assert sorted(np.concatenate([labels for _, labels in whole]).tolist()) == list(range(10))


def test_stream_depends_only_on_seed_epoch_and_position(videos):
    whole = stream(videos, epochs=3, seed=5, num_parallel_calls=1, flip="plain")
    assert_same(whole, stream(videos, epochs=3, seed=5, num_parallel_calls=4, flip="plain"))
    resumed = stream(videos, epochs=3, initial_epoch=1, seed=5, flip="plain")
    assert_same(whole[3:], resumed)
    for one, other in ((whole, stream(videos, epochs=3, seed=6)), (whole[:3], whole[3:6])):
        assert not np.array_equal(one[0][0], other[0][0])


def as_arrays(dataset):
    return [(clips.numpy(), labels.numpy()) for clips, labels in dataset]


def test_every_pass_is_the_next_epoch(videos):
    options = dict(frames=4, size=24, batch_size=3, training=True, seed=5, flip="plain")
    whole = stream(videos, epochs=4, **options)
    dataset = clip_dataset(videos, initial_epoch=1, **options)
    assert len(dataset) == 3
    unused = iter(dataset)
    for epoch in (1, 2, 3):
        assert_same(as_arrays(dataset), whole[3 * epoch : 3 * epoch + 3])
    next(unused)
    repeated = clip_dataset(videos, **options).repeat(4)
    assert_same(as_arrays(repeated), whole)


def test_passes_that_are_the_same(videos):
    """Those of evaluation, and those of a stream of several epochs."""
    options = dict(frames=4, size=24, batch_size=4)
    for more, length in (({"training": False}, 3), ({"training": True, "epochs": 2}, 4)):
        dataset = clip_dataset(videos, **options, **more)
        assert len(dataset) == length
        assert_same(as_arrays(dataset), as_arrays(dataset))


def test_flip_swaps_labels(videos):
    names = ["turn left", "turn right"]
    turns = [Video(videos[i].path, 0, str(i)) for i in range(10)]
    labels = np.concatenate([y for _, y in stream(turns, epochs=9, flip="swap", class_names=names)])
    assert 20 < labels.sum() < 61
    labels = np.concatenate([y for _, y in stream(turns, epochs=3, flip="plain")])
    assert labels.sum() == 0


@pytest.mark.parametrize("training", [True, False])
def test_flip_none_is_none(videos, training):
    """The word of the command line."""
    assert_same(stream(videos, training=training, flip="none"), stream(videos, training=training))


@pytest.mark.parametrize(
    "options",
    [
        dict(augmentation="multi_scale"),
        pytest.param(dict(randaugment=(2, 0.2)), marks=needs_keras_layers),
        pytest.param(dict(mix="mixup", class_names=list("abcdefghij")), marks=needs_keras_layers),
        pytest.param(dict(mix="cutmix", class_names=list("abcdefghij")), marks=needs_keras_layers),
    ],
)
def test_augmentations_depend_only_on_seed_epoch_and_position(videos, options):
    options = {**options, "epochs": 2, "seed": 2}
    whole = stream(videos, num_parallel_calls=1, **options)
    assert whole[0][0].shape == (3, 4, 24, 24, 3)
    assert_same(whole, stream(videos, num_parallel_calls=4, **options))
    assert_same(whole[3:], stream(videos, initial_epoch=1, **options))
    assert not np.array_equal(whole[0][0], stream(videos, epochs=1, seed=2)[0][0])


@pytest.mark.parametrize("mix", [None, "mixup"])
def test_a_stream_that_begins_within_an_epoch(videos, mix):
    """Batches that are left out are not read, and the others are those of the whole stream."""
    options = {"epochs": 2, "seed": 5, "mix": mix, "class_names": list("abcdefghij")}
    whole = stream(videos, **options)
    for epoch, batch in ((0, 1), (1, 2), (0, 3)):
        part = stream(videos, initial_epoch=epoch, initial_batch=batch, **options)
        assert_same(whole[3 * epoch + batch :], part)


def test_unlabelled_videos(videos):
    (_, labels), *_ = stream([Video(videos[0].path, None, "0")], training=False)
    assert labels.tolist() == [-1]


@pytest.mark.parametrize("mix", [None, pytest.param("mixup", marks=needs_keras_layers)])
def test_fit_takes_the_dataset(videos, mix):
    import keras

    options = dict(frames=2, size=16, batch_size=5, training=True)
    options.update(mix=mix, class_names=list("abcdefghij"))
    dataset = clip_dataset(videos, **options)
    if mix:
        assert dataset.element_spec[1] == tf.TensorSpec((5, 10), tf.float32)
    model = keras.Sequential(
        [keras.Input((2, 16, 16, 3)), keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(10)]
    )
    loss = "CategoricalCrossentropy" if mix else "SparseCategoricalCrossentropy"
    model.compile("sgd", getattr(keras.losses, loss)(from_logits=True), metrics=["accuracy"])
    seen = []

    def note(clips, labels):
        kind, shape = labels.dtype, labels.shape
        labels = tf.numpy_function(lambda value: seen.append(value) or value, (labels,), kind)
        return clips, tf.ensure_shape(labels, shape)

    noted = dataset.map(note)
    history = model.fit(noted, epochs=3, verbose=0, shuffle=False).history
    assert len(history["loss"]) == 3 and np.isfinite(history["loss"]).all()
    expected = clip_dataset(videos, epochs=3, **options)
    np.testing.assert_array_equal(seen, [labels for _, labels in expected])
    if mix:
        np.testing.assert_allclose(np.sum(seen, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "options, received",
    [
        (dict(frames=0), "frames=0"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(batch_size=11), "batch_size=11, 10 videos"),
        (dict(seed=-1), "at least 0"),
        (dict(epochs=1, initial_epoch=2), "initial_epoch=2, epochs=1"),
        (dict(initial_epoch=-1), "initial_epoch=-1, epochs=None"),
        (dict(initial_batch=1), "initial_batch=1, initial_epoch=0, epochs=None"),
        (dict(epochs=1, initial_batch=9), "initial_batch=9, initial_epoch=0, epochs=1"),
        (dict(short_side=23), "short_side=23, size=24"),
        (dict(short_side=(30, 25)), r"short_side=\(30, 25\)"),
        (dict(short_side=(25, 30), training=False), "training=False"),
        (dict(flip="yes"), "flip='yes'"),
        (dict(flip="plain", training=False), "flip='plain', training=False"),
        (dict(flip="swap"), "class_names=None"),
        (dict(training=False, unreadable=UnreadableVideos("replace")), "unreadable='replace'"),
        (dict(training=False, unreadable="replace"), "unreadable='replace', training=False"),
        (dict(unreadable="skipped"), r"Did you mean 'skip'\? Received: policy='skipped'"),
        (dict(unreadable=3), "policy=3"),
        (dict(sampling="random"), "'random'"),
        (dict(sampling="dense", stride=0), "stride=0"),
        (dict(views=(2, 1)), r"views=\(2, 1\)"),
        (dict(views=3, training=False), "Received: 3"),
        (dict(views=(0, 1), training=False), "clips=0"),
        (dict(views=(1, 2), training=False), "crops=2"),
        (dict(augmentation="none"), "augmentation='none'"),
        (dict(augmentation="multi_scale", training=False), "augmentation='multi_scale'"),
        (dict(randaugment=(2, 0.5), training=False), r"randaugment=\(2, 0.5\)"),
        (dict(randaugment=2), "Received: 2"),
        (dict(randaugment=(2, 2)), "factor=2"),
        (dict(mix="mixup", training=False), "mix='mixup'"),
        (dict(mix="mixup"), "class_names=None"),
        (dict(mix="blend", class_names=list("abcdefghij")), "mix='blend'"),
    ],
)
def test_wrong_options(videos, options, received):
    with pytest.raises(ValueError, match=received):
        stream(videos, **options)


def test_training_needs_videos_and_labels(videos):
    with pytest.raises(ValueError, match="Received: 0 videos"):
        stream([])
    with pytest.raises(ValueError, match="label None"):
        stream([Video(videos[0].path, None, "0")] * 3)
