import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import BadVideoError
from smallbig_keras.data.frame_folders import (
    find_frames,
    read_frame_folder,
    read_images,
    read_picture_folder,
)
from tests.data.videos import HEIGHT, WIDTH, numbers, picture, write_frames

TEMPLATE = "img_{:05d}.jpg"


def read(folder, indices, num_frames=None):
    return read_frame_folder(folder, TEMPLATE, lambda n: [i % n for i in indices], num_frames)


def read_graph(folder, indices):
    files = [str(folder / TEMPLATE.format(i + 1)) for i in indices]
    return tf.function(read_images)(tf.constant(files)).numpy()


@pytest.mark.parametrize("template", [TEMPLATE, "{:06d}.jpg", "{}.jpg", "frame{{}}-{0:03d}.png"])
def test_templates(tmp_path, template):
    folder = write_frames(tmp_path / "a", 12, template)
    for other in ("flow_x_00001.jpg", ".hidden", "img_0013.jpg", "img_00013.jpg.part"):
        (folder / other).write_bytes(b"")
    count, file = find_frames(folder, template)
    assert (count, file(11)) == (12, str(folder / template.format(12)))
    frames = read_frame_folder(folder, template, lambda n: [n - 1, 0, 5, 5])
    assert frames.shape == (4, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    assert numbers(frames) == [11, 0, 5, 5]


@pytest.mark.parametrize("first", [0, 1, 57])
@pytest.mark.parametrize("num_frames", [None, 0, 12])
def test_frames_begin_at_the_lowest_number(tmp_path, first, num_frames):
    """With a template and without, counted or listed; that one frame is missing is found."""
    folder = write_frames(tmp_path / "a", 12, first=first)
    assert numbers(read(folder, [0, 5, 11], num_frames)) == [0, 5, 11]
    assert numbers(read_picture_folder(folder, lambda n: [0, 5, n - 1])) == [0, 5, 11]
    (folder / TEMPLATE.format(first + 5)).unlink()
    with pytest.raises(BadVideoError, match=TEMPLATE.format(first + 5)):
        read(folder, [0, 5, 11], num_frames)
    with pytest.raises(BadVideoError, match="a missing frame"):
        read_picture_folder(folder, lambda n: [0])


def test_a_number_of_frames_spares_the_listing(tmp_path, monkeypatch):
    folders = [write_frames(tmp_path / str(first), 3, first=first) for first in (0, 1)]
    monkeypatch.setattr(os, "listdir", None)
    for first, folder in enumerate(folders):
        count, file = find_frames(folder, TEMPLATE, 3)
        assert (count, file(2)) == (3, str(folder / TEMPLATE.format(first + 2)))


def test_frames_are_those_of_opencv(tmp_path):
    """Bit by bit, in the graph as outside."""
    folder = write_frames(tmp_path / "a", 3)
    expected = np.stack([cv2.imread(str(folder / TEMPLATE.format(i + 1))) for i in range(3)])
    for frames in (read(folder, range(3)), read_graph(folder, range(3))):
        np.testing.assert_array_equal(frames, expected[..., ::-1])


@pytest.mark.parametrize("kind", [".png", ".webp"])
def test_other_pictures_named_jpg(tmp_path, kind):
    folder = write_frames(tmp_path / "a", 3)
    (folder / "img_00002.jpg").write_bytes(cv2.imencode(kind, picture(1))[1].tobytes())
    if kind == ".webp" and not hasattr(tf.io, "decode_webp"):
        # Before TensorFlow 2.20.
        with pytest.raises(BadVideoError, match="img_00002.jpg': Unknown image file format"):
            read(folder, [1, 2])
        return
    ways = [read(folder, [1, 2]), read_graph(folder, [1, 2])]
    # TensorFlow's graph has no place for the axis that it gives to WebP: the other way is taken.
    assert kind != ".webp" or len(ways.pop()) == 0
    for frames in ways:
        assert frames.shape == (2, HEIGHT, WIDTH, 3) and numbers(frames) == [1, 2]


BAD = {
    "missing": (None, "No such file"),
    "empty": (b"", "an empty file"),
    "text": (b"<html>404</html>", "Unknown image file format"),
    "truncated": (cv2.imencode(".jpg", picture(1))[1].tobytes()[:-200], ".*Invalid JPEG data"),
    "size": (cv2.imencode(".jpg", picture(1, 32, 32))[1].tobytes(), r"a frame of shape \(32, 32"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_frames_are_named(tmp_path, kind):
    content, reason = BAD[kind]
    folder = write_frames(tmp_path / "a", 5)
    file = folder / "img_00003.jpg"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadVideoError, match=f"img_00003.jpg': {reason}") as caught:
        read(folder, [0, 2], num_frames=5)
    assert str(folder) in str(caught.value) and "{{" not in str(caught.value)
    # The graph gives nothing, and other frames as ever.
    assert read_graph(folder, [0, 2]).shape[0] == 0
    assert numbers(read_graph(folder, [0, 1])) == [0, 1]


def test_fifo_is_not_waited_for(tmp_path):
    folder = write_frames(tmp_path / "a", 2)
    os.mkfifo(folder / "img_00003.jpg")
    with pytest.raises(BadVideoError, match="img_00003.jpg': not a regular file"):
        read(folder, [2], num_frames=3)


def test_gaps_and_empty_folders(tmp_path):
    folder = write_frames(tmp_path / "a", 5)
    (folder / "img_00003.jpg").unlink()
    for template, reason in (
        (TEMPLATE, "img_00003.jpg': a missing frame"),
        ("image_{:05d}.jpg", "a': no frame"),
    ):
        with pytest.raises(BadVideoError, match=reason):
            find_frames(folder, template)
    # Lists of real data sets state 0 frames for folders that are empty.
    for num_frames in (None, 0):
        with pytest.raises(BadVideoError, match="a missing frame"):
            read(folder, [0], num_frames)
    for path, reason in (
        (tmp_path / "b", "b': No such file"),
        (folder / "img_00001.jpg", "Not a directory"),
        ("a\0b", "null"),
    ):
        for num_frames in (None, 7):
            with pytest.raises(BadVideoError, match=reason):
                find_frames(path, TEMPLATE, num_frames)
        with pytest.raises(BadVideoError, match=reason):
            find_frames(path)
