import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras.data import BadVideoError
from smallbig_keras.data.frame_folders import (
    count_frames,
    frame_file,
    read_frame_folder,
    read_images,
)
from tests.data.videos import HEIGHT, WIDTH, numbers, picture, write_frames

TEMPLATE = "img_{:05d}.jpg"


def read(folder, indices, num_frames=None):
    return read_frame_folder(folder, TEMPLATE, lambda n: [i % n for i in indices], num_frames)


def read_graph(folder, indices):
    files = [frame_file(folder, TEMPLATE, i) for i in indices]
    return tf.function(read_images)(tf.constant(files)).numpy()


@pytest.mark.parametrize("template", [TEMPLATE, "{:06d}.jpg", "{}.jpg", "frame{{}}-{0:03d}.png"])
def test_templates(tmp_path, template):
    folder = write_frames(tmp_path / "a", 12, template)
    for other in ("flow_x_00001.jpg", ".hidden", "img_0013.jpg", "img_00013.jpg.part"):
        (folder / other).write_bytes(b"")
    assert count_frames(folder, template) == 12
    frames = read_frame_folder(folder, template, lambda n: [n - 1, 0, 5, 5])
    assert frames.shape == (4, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    assert numbers(frames) == [11, 0, 5, 5]


def test_frames_are_those_of_opencv(tmp_path):
    """Bit by bit, in the graph as outside."""
    folder = write_frames(tmp_path / "a", 3)
    expected = np.stack([cv2.imread(frame_file(folder, TEMPLATE, i)) for i in range(3)])
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
    with pytest.raises(BadVideoError, match="img_00003.jpg': a missing frame"):
        count_frames(folder, TEMPLATE)
    with pytest.raises(BadVideoError, match="a': no frame"):
        count_frames(folder, "image_{:05d}.jpg")
    # Lists of real data sets state 0 frames for folders that are empty.
    for num_frames in (None, 0):
        with pytest.raises(BadVideoError, match="a missing frame"):
            read(folder, [0], num_frames)
    (folder / "img_00000.jpg").write_bytes(b"")
    with pytest.raises(BadVideoError, match="img_00003.jpg': a missing frame"):
        count_frames(folder, TEMPLATE)
    with pytest.raises(BadVideoError, match="b': No such file"):
        count_frames(tmp_path / "b", TEMPLATE)
    with pytest.raises(BadVideoError, match="Not a directory"):
        count_frames(folder / "img_00001.jpg", TEMPLATE)
    with pytest.raises(BadVideoError, match="null"):
        count_frames("a\0b", TEMPLATE)
