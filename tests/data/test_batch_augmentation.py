import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import batch_augmentation
from smallbig_keras.data.batch_augmentation import Mix, RandAugment

SIZE = 24
needs_keras_layers = pytest.mark.skipif(
    not hasattr(keras.layers, "CutMix"),
    reason="RandAugment and MixUp are in Keras 3.8, CutMix in 3.9; see test_older_keras",
)


@pytest.fixture
def still(rng):
    """A clip of one picture."""
    picture = rng.integers(0, 256, (1, SIZE, SIZE, 3))
    return tf.constant(np.repeat(picture, 4, axis=0), tf.float32)


@needs_keras_layers
def test_frames_of_a_clip_change_alike(still):
    augment = RandAugment(2, 0.3)
    draw = tf.function(lambda key: augment(still, key))
    views = [draw(tf.constant((0, i))).numpy() for i in range(60)]
    for view in views:
        assert view.shape == still.shape and view.dtype == np.float32
        assert view.min() >= 0 and view.max() <= 255
        assert np.array_equal(view, np.repeat(view[:1], 4, axis=0))
    assert len({view.tobytes() for view in views}) > 50
    # A key gives the same view whatever was drawn before, in another function too.
    augment = RandAugment(2, 0.3)
    again = tf.function(lambda key: augment(still, key))
    for i in (3, 1):
        assert np.array_equal(again(tf.constant((0, i))), views[i])


@needs_keras_layers
def test_operations_are_those_of_keras(still):
    """All eleven are reached, and each is what Keras' layer of its name does."""
    layer = RandAugment(1, 0.5)._layer
    seen = set()
    augment = RandAugment(1, 0.5)
    draw = tf.function(lambda key: augment(still, key))
    for i in range(80):
        key = tf.constant((1, i))
        drawn = tf.random.stateless_uniform((1,), tf.random.fold_in(key, 0), 0, 11, tf.int32)
        name = batch_augmentation._OPERATIONS[int(drawn[0])]
        view = draw(key).numpy()
        operation = getattr(layer, name)
        seeds = batch_augmentation._Seeds(tf.random.fold_in(key, 1))
        one = operation.get_random_transformation(still[0], training=True, seed=seeds)
        expected = operation.transform_images(still[:1], one, training=True)
        np.testing.assert_allclose(view[:1], np.clip(expected, 0, 255), atol=1e-2, err_msg=name)
        seen.add(name)
    assert len(seen) == 11


@pytest.fixture
def brightening(rng):
    """A clip whose frames have means of about 31, 91, 151 and 211."""
    noise = rng.integers(-20, 21, (4, SIZE, SIZE, 3))
    return np.float32(noise + np.reshape((31, 91, 151, 211), (4, 1, 1, 1)))


def contrast(clip, drawn):
    mean = clip.mean((0, 1, 2))
    return np.clip((clip - mean) * np.ravel(drawn["contrast_factor"]) + mean, 0, 255)


def auto_contrast(clip, drawn):
    low, high = clip.min((0, 1, 2)), clip.max((0, 1, 2))
    return (clip - low) / (high - low) * 255


def equalization(clip, drawn):
    result = np.empty_like(clip)
    for c in range(3):
        counts = np.bincount(np.int64(clip[..., c]).ravel(), minlength=256).cumsum()
        lowest = counts[counts > 0][0]
        table = np.round((counts - lowest) * 255 / (counts[-1] - lowest))
        result[..., c] = table[np.int64(clip[..., c])]
    return result


@needs_keras_layers
@pytest.mark.parametrize(
    "name, reference",
    [
        ("random_contrast", contrast),
        ("auto_contrast", auto_contrast),
        ("equalization", equalization),
    ],
)
def test_statistics_are_those_of_the_clip(brightening, name, reference):
    """A clip that gets brighter stays one: no frame is scaled by values of its own."""
    augment, key = RandAugment(1, 0.5), tf.constant((0, 7))
    view = augment._apply(name, tf.constant(brightening), key).numpy()
    assert np.diff(view.mean((1, 2, 3))).min() > 10
    seeds = batch_augmentation._Seeds(key)
    layer = getattr(augment._layer, name)
    drawn = layer.get_random_transformation(brightening[0], training=True, seed=seeds)
    np.testing.assert_allclose(view, reference(brightening, drawn), atol=1e-2)


@needs_keras_layers
@pytest.mark.parametrize("name", sorted({*batch_augmentation._OPERATIONS} - {"solarization"}))
def test_brighter_frames_stay_brighter(brightening, name):
    """Under every operation but solarization, which inverts."""
    augment = RandAugment(1, 0.5)
    for i in range(8):
        view = augment._apply(name, tf.constant(brightening), tf.constant((3, i))).numpy()
        assert np.diff(view.mean((1, 2, 3))).min() >= 0


@needs_keras_layers
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_policies_change_nothing(still, policy):
    expected = RandAugment(2, 0.3)(still, (0, 5))
    keras.config.set_dtype_policy(policy)
    assert np.array_equal(RandAugment(2, 0.3)(still, (0, 5)), expected)


@pytest.fixture
def batch():
    """Clips whose every value is their own number; two frames, told apart by 0.25."""
    clips = np.zeros((6, 2, SIZE, SIZE, 3), np.float32)
    clips += np.arange(6, dtype=np.float32)[:, None, None, None, None]
    clips[:, 1] += 0.25
    return tf.constant(clips), tf.range(6)


@needs_keras_layers
def test_mixup(batch):
    clips, labels = Mix("mixup", 7)(*batch, (0, 1))
    assert clips.shape == batch[0].shape and labels.shape == (6, 7)
    assert labels.dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_sum(labels, 1), np.ones(6), rtol=1e-6)
    # Labels are shares of the numbers 0 to 5, as values are.
    value = labels.numpy() @ np.arange(7)
    expected = np.broadcast_to(value[:, None, None, None], (6, SIZE, SIZE, 3))
    np.testing.assert_allclose(clips[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(clips[:, 1], expected + 0.25, atol=1e-5)
    assert np.any((labels > 0.01) & (labels < 0.99))


@needs_keras_layers
def test_cutmix(batch):
    mixed = 0
    for i in range(8):
        clips, labels = Mix("cutmix", 7)(*batch, (0, i))
        np.testing.assert_allclose(tf.reduce_sum(labels, 1), np.ones(6), rtol=1e-6)
        np.testing.assert_array_equal(clips[:, 0] + 0.25, clips[:, 1])
        for number, (clip, shares) in enumerate(zip(clips.numpy(), labels.numpy(), strict=True)):
            inside = clip[0, :, :, 0] != number
            if inside.any():
                (other,) = np.unique(clip[0][inside])
                rows, columns = np.where(inside)
                area = np.ptp(rows) + 1, np.ptp(columns) + 1
                # A rectangle, whose part of the picture is the share but for its rounding.
                assert inside.sum() == area[0] * area[1]
                assert abs(inside.mean() - shares[int(other)]) < 2 / SIZE
                mixed += 1
    assert mixed > 10


@needs_keras_layers
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mix_depends_on_the_key_alone(batch, kind):
    mix = Mix(kind, 6)
    draw = tf.function(lambda key: mix(*batch, key))
    first = [draw(tf.constant((0, i))) for i in (1, 2, 3)]
    second = [Mix(kind, 6)(*batch, (0, i)) for i in (1, 2, 3)]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-6)
        np.testing.assert_allclose(one[1], other[1], atol=1e-6)
    assert not np.allclose(first[0][0], first[1][0])


@pytest.mark.parametrize(
    "make, received",
    [
        (lambda: RandAugment(0, 0.5), "num_ops=0, factor=0.5"),
        (lambda: RandAugment(2, 0), "num_ops=2, factor=0"),
        (lambda: RandAugment(2, 1.1), "num_ops=2, factor=1.1"),
        (lambda: Mix("blend", 3), "mix='blend'"),
        (lambda: Mix("mixup", 0), "classes=0"),
    ],
)
def test_wrong_arguments(make, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        make()


def test_other_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="TensorFlow backend only. Received: jax"):
        Mix("mixup", 3)


@pytest.mark.parametrize(
    "name, make",
    [
        ("RandAugment", lambda: RandAugment(2, 0.3)),
        ("MixUp", lambda: Mix("mixup", 3)),
        ("CutMix", lambda: Mix("cutmix", 3)),
    ],
)
def test_older_keras(monkeypatch, name, make):
    monkeypatch.delattr(keras.layers, name, raising=False)
    message = f"{name} needs a later Keras: pip install -U keras. Received: Keras "
    with pytest.raises(ImportError, match=message + keras.__version__):
        make()
