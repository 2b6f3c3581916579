"""Videos as folders of numbered pictures."""

import os
import re

import numpy as np
import tensorflow as tf

from smallbig_keras.data.annotations.video import frame_numbers
from smallbig_keras.data.video_file import BadVideoError, check_video_file

_PICTURE_NAME = re.compile(r"(.*?)([0-9]+)(\.(?:jpg|jpeg|png|webp|bmp))", re.IGNORECASE)
_PICTURE = tf.TensorSpec((None, None, 3), tf.uint8)


def find_frames(folder, template=None, num_frames=None):
    """Finds the frames of a folder, which are numbered from the lowest number in it.

    Args:
        folder: str or path.
        template: str. Name of a frame by its number. Defaults to `None`: the folder holds one
            series of numbered pictures.
        num_frames: int. The number of frames, if it is known: the folder need not be listed then.
            Lists say 0 where frames were not extracted; they are counted. Defaults to `None`.

    Returns:
        `(num_frames, file)`; `file(index)` is the path of a frame, counted from 0 as samplers do.

    Raises:
        BadVideoError: there is no frame, or one between others is missing.
    """
    count = num_frames if template is not None else None
    first = _find_first(folder, template) if count else None
    if first is None:
        names = _list_frames(folder, template)
        first = min(names)
    count = count or len(names)

    def file(index):
        number = first + int(index)
        name = names[number] if template is None else template.format(number)
        return os.path.join(folder, name)

    return count, file


def _find_first(folder, template):
    """Returns 0 or 1 if a frame has that number, else None."""
    names = ((number, template.format(number)) for number in (0, 1))
    return next((n for n, name in names if os.path.exists(os.path.join(folder, name))), None)


def _list_frames(folder, template):
    """Returns the names of the frames in a folder by number; none is missing between them."""
    try:
        files = os.listdir(folder)
    except (OSError, ValueError) as error:
        raise _bad(folder, template, getattr(error, "strerror", None) or error) from None
    if template is None:
        names = _number_pictures(folder, files)
    else:
        names = {number: template.format(number) for number in frame_numbers(files, template)}
    if not names:
        raise _bad(folder, template, "no frame")
    for number in range(min(names), max(names)):
        if number not in names:
            if template is None:
                raise _bad(folder, template, f"no picture {number}, a missing frame")
            raise _bad(os.path.join(folder, template.format(number)), template, "a missing frame")
    return names


def _number_pictures(folder, files):
    """Returns the names of pictures by number, if they are of one series."""
    series = {}
    for name in files:
        match = _PICTURE_NAME.fullmatch(name)
        if match and not name.startswith("."):
            numbers = series.setdefault((match[1], match[3].lower()), {})
            other = numbers.setdefault(int(match[2]), name)
            if other != name:
                raise _bad(folder, None, f"{other} and {name}, which have one number")
    if len(series) > 1:
        names = " and ".join(sorted(f"{a}NUMBER{b}" for a, b in series))
        raise _bad(folder, None, f"pictures {names}")
    return next(iter(series.values()), {})


def read_frame_folder(folder, template, sampler, num_frames=None):
    """Reads the frames `sampler(num_frames)` chooses: uint8 `(indices, height, width, 3)`, RGB."""
    count, file = find_frames(folder, template, num_frames)
    return _read_pictures([file(index) for index in sampler(count)], template)


def read_picture_folder(folder, sampler):
    """Does the same for a folder of one series of pictures, however they are named."""
    return read_frame_folder(folder, None, sampler)


def holds_pictures(folder):
    """Tells whether a folder holds numbered pictures."""
    return any(_PICTURE_NAME.fullmatch(name) for name in os.listdir(folder))


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
        f"A frame folder must hold its frames as pictures {template or 'NUMBER.jpg'!r}, numbered "
        f"without a gap and of one size. Received: {os.fspath(file)!r}: {received}"
    )
