"""One resize everywhere: that of Pillow."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import smallbig_keras
from smallbig_keras.data import (
    ClipConfig,
    ShardOptions,
    ShardSource,
    Video,
    clip_dataset,
    load_clip,
    make_shards,
    transforms,
)
from tests.data.videos import write_video

SIZES = {"720p": (720, 1280), "1080p": (1080, 1920)}


def pictures(height, width, frames=2):
    """Noise, stripes of one pixel and a slope: what aliases, and what must stay."""
    rng = np.random.default_rng(height)
    y, x = np.mgrid[:height, :width]
    stripes = 120 * ((x + y // 3) % 2)
    values = (
        rng.integers(0, 60, (frames, height, width, 3)) + (stripes + 70 * y / height)[..., None]
    )
    return values.astype(np.uint8)


def by_pillow(frames, height, width, box=None):
    files = [Image.fromarray(frame) for frame in frames]
    made = [file.resize((width, height), Image.Resampling.BILINEAR, box) for file in files]
    return np.stack([np.asarray(picture) for picture in made])


def assert_close(found, expected):
    wrong = np.abs(np.asarray(found, int) - expected)
    assert wrong.mean() <= 1 and wrong.max() <= 3


@pytest.mark.parametrize("name", SIZES)
def test_validation(name):
    frames = pictures(*SIZES[name])
    (clip,) = load_clip(frames, clips=ClipConfig(frames=2, size=224), normalize=False)
    width = 256 * SIZES[name][1] // SIZES[name][0]
    left = (width - 224) // 2
    assert_close(clip, by_pillow(frames, 256, width)[:, 16:240, left : left + 224])


@pytest.mark.parametrize("name", SIZES)
def test_training_crop(name):
    """The crop is resized from a window of the source, wherever it is."""
    height, width = SIZES[name]
    frames = pictures(height, width, 1)
    side = round(224 * height / 256)
    found = transforms.to_uint8(transforms.random_crop(frames, 224, (1, 2), 256, 256)).numpy()
    top, left = place_of(frames[0], side)
    top, left = round(top), round(left)
    assert_close(found, by_pillow(frames[:, top : top + side, left : left + side], 224, 224))


def place_of(frame, side):
    """The window that `random_crop` takes of a picture of that size for the same key."""
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    places = np.stack([y, x, y], -1)[None]
    corner = transforms.random_crop(places, 224, (1, 2), 256, 256).numpy()[0]
    return corner.mean((0, 1))[:2] - (side - 1) / 2


def test_multi_scale_crop():
    """From 320 x 256 pixels it shrinks, and averages."""
    frames = pictures(256, 340, 1)
    stripes = transforms.multi_scale_crop(frames, 112, (0, 3), (1,)).numpy()
    expected = by_pillow(frames, 112, 112, (42, 0, 298, 256))
    assert abs(stripes.std() - expected.std()) < 5 < pictures(112, 112, 1).std() - expected.std()


def test_stripes_do_not_alias():
    stripes = np.zeros((1, 1080, 1080, 3), np.uint8)
    stripes[:, :, ::2] = 200
    small = transforms.short_side_resize(stripes, 256).numpy()
    assert np.abs(small - 100).max() < 7
    aliased = tf.image.resize(stripes, (256, 256)).numpy()
    assert np.abs(aliased - 100).max() > 90


def test_shards_are_resized_as_files(tmp_path):
    path = write_video(tmp_path / "a.mkv", 8, "ffv1", size=(480, 360))
    options = ShardOptions("csv", short_side=90, quality=100)
    make_shards({"test": [Video(str(path), 0, "a")]}, ["a"], tmp_path / "out", options)
    settings = dict(frames=8, size=90, short_side=90, batch_size=1, training=False, normalize=False)
    ((clip, _),) = clip_dataset(ShardSource(tmp_path / "out", "test"), **settings)
    ((expected, _),) = clip_dataset([path], **settings)
    assert np.abs(clip.numpy().astype(int) - expected.numpy()).mean() < 1


def test_equal_math_where_nothing_shrinks():
    frames = pictures(60, 80)
    for size in ((60, 80), (61, 200), (128, 80)):
        plain = transforms.resize(frames, *size)
        np.testing.assert_allclose(plain, tf.image.resize(frames, size, antialias=True), atol=2e-3)


def test_there_is_no_other_resize():
    """But for the footage of the sample set, and the pictures of networks' features."""
    root = pathlib.Path(smallbig_keras.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if re.search(r"(image|cv2|Image)\.resize\(", path.read_text(encoding="utf-8"))
    }
    assert found == {"data/transforms.py", "data/sample_set.py"}
