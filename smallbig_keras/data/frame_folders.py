"""Videos as folders of numbered pictures, the first one 1."""

import os
import re
import string

import numpy as np
import tensorflow as tf

from smallbig_keras.data.video_file import BadVideoError, check_video_file

_PICTURE_NAME = re.compile(r"(.*?)([0-9]+)(\.(?:jpg|jpeg|png|webp|bmp))", re.IGNORECASE)
_NUMBERED = "NUMBER.jpg"
_PICTURE = tf.TensorSpec((None, None, 3), tf.uint8)


def count_frames(folder, template):
    """Counts the frames of a folder, at least 1; a missing one is a `BadVideoError`."""
    try:
        files = set(os.listdir(folder))
    except (OSError, ValueError) as error:
        raise _bad(folder, template, getattr(error, "strerror", None) or error) from None
    number = ("([0-9]+)", "")
    pieces = string.Formatter().parse(template)
    pattern = (re.escape(text) + number[field is None] for text, field, *_ in pieces)
    matches = map(re.compile("".join(pattern)).fullmatch, files)
    numbers = {int(match[1]) for match in matches if match}
    last = max((number for number in numbers if template.format(number) in files), default=0)
    if last == 0:
        raise _bad(folder, template, "no frame")
    for index in range(last):
        if template.format(index + 1) not in files:
            raise _bad(frame_file(folder, template, index), template, "a missing frame")
    return last


def frame_file(folder, template, index):
    """Returns the file of a frame, counted from 0 as samplers do; the names count from 1."""
    return os.path.join(folder, template.format(int(index) + 1))


def read_frame_folder(folder, template, sampler, num_frames=None):
    """Reads the frames `sampler(num_frames)` chooses: uint8 `(indices, height, width, 3)`, RGB."""
    # Lists say 0 frames where they were not extracted: they are counted then.
    num_frames = num_frames or count_frames(folder, template)
    files = [frame_file(folder, template, index) for index in sampler(num_frames)]
    return _read_pictures(files, template)


def read_picture_folder(folder, sampler):
    """Does the same for a folder whose pictures have numbers in their names, from any number on."""
    files = _list_pictures(folder)
    return _read_pictures([files[index] for index in sampler(len(files))], _NUMBERED)


def holds_pictures(folder):
    """Tells whether a folder holds numbered pictures."""
    return any(_PICTURE_NAME.fullmatch(name) for name in os.listdir(folder))


def _list_pictures(folder):
    """Returns the pictures of a folder in the order of their numbers."""
    series = {}
    for name in os.listdir(folder):
        match = _PICTURE_NAME.fullmatch(name)
        if match and not name.startswith("."):
            numbers = series.setdefault((match[1], match[3].lower()), {})
            other = numbers.setdefault(int(match[2]), name)
            if other != name:
                raise _bad(folder, _NUMBERED, f"{other} and {name}, which have one number")
    if len(series) != 1:
        names = " and ".join(sorted(f"{a}NUMBER{b}" for a, b in series))
        raise _bad(folder, _NUMBERED, f"pictures {names}" if names else "no frame")
    ((_, numbers),) = series.items()
    for number in range(min(numbers), max(numbers)):
        if number not in numbers:
            raise _bad(folder, _NUMBERED, f"no frame {number}, a missing frame")
    return [os.path.join(folder, numbers[number]) for number in sorted(numbers)]


def _read_pictures(files, template):
    frames = []
    for file in files:
        try:
            with open(check_video_file(file), "rb") as content:
                frame = decode_image(content.read()).numpy()
        except BadVideoError as error:
            raise _bad(file, template, str(error).rpartition(": ")[2]) from None
        except OSError as error:
            raise _bad(file, template, error.strerror) from None
        except tf.errors.InvalidArgumentError as error:
            raise _bad(file, template, graph_reason(error)) from None
        if frames and frame.shape != frames[0].shape:
            received = f"a frame of shape {frame.shape} after one of {frames[0].shape}"
            raise _bad(file, template, received)
        frames.append(frame)
    return np.stack(frames)


def read_images(files):
    """Reads files of pictures in the graph; of no frames where one cannot be read."""
    return try_images(files, tf.io.read_file)


def try_images(items, load):
    """Decodes `load(item)` of items `(frames,)` in the graph; of no frames on any error."""
    pictures = tf.data.Dataset.from_tensors(items).map(
        lambda items: tf.map_fn(
            lambda item: decode_image(load(item)), items, fn_output_signature=_PICTURE
        )
    )
    # A graph cannot catch errors, but a dataset can leave out what failed.
    nothing = tf.data.Dataset.from_tensors(tf.zeros((0, 1, 1, 3), tf.uint8))
    return pictures.ignore_errors().concatenate(nothing).take(1).get_single_element()


def graph_reason(error):
    """Returns the reason in a `tf.errors.OpError`, without its words about its own operations."""
    return re.sub(r"^\{\{.*?\}\} |\s*\[Op:.*", "", error.message, flags=re.DOTALL)


def decode_image(content):
    """Decodes a JPEG or PNG file, `(height, width, 3)`, RGB."""
    # The accurate transform gives the values of OpenCV and Pillow.
    picture = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
    # A WebP picture comes as a film of one frame; in a graph, where the rank is known, that is an
    # error.
    return tf.reshape(picture, tf.shape(picture)[-3:])


def _bad(file, template, received):
    return BadVideoError(
        f"A frame folder must hold its frames as pictures {template!r}"
        f"{'' if template == _NUMBERED else ', from 1 on'} and of one size. "
        f"Received: {os.fspath(file)!r}: {received}"
    )
