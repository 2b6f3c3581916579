"""Random and fixed views of a clip, as TensorFlow operations.

Clips have shape `(frames, height, width, 3)`. Randomness is stateless: the same `seed`, an
integer tensor of shape `(2,)`, gives the same view.
"""

import numpy as np
import tensorflow as tf

from smallbig_keras.labels.preprocessing import MEAN, STD

# Fixed places of a multi-scale crop, (y, x) in quarters of the room: the corners and the centre,
# the middles of the sides, and the centres of the quadrants.
_PLACES = (
    *((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)),
    *((2, 0), (2, 4), (4, 2), (0, 2)),
    *((1, 1), (1, 3), (3, 1), (3, 3)),
)


def short_side_resize(clip, size, antialias=False):
    """Resizes a clip so that its shorter side has `size` pixels; the longer one is rounded down.

    Args:
        clip: tensor of shape `(frames, height, width, 3)`, any number type.
        size: int or int tensor. Pixels.
        antialias: bool. Whether to average over the source pixels of one target pixel; OpenCV
            does not, Pillow does. Defaults to `False`.

    Returns:
        float32 tensor of shape `(frames, new_height, new_width, 3)`, bilinear.
    """
    height, width = tf.shape(clip)[1], tf.shape(clip)[2]
    short = tf.minimum(height, width)
    size = tf.cast(size, tf.int32)
    return tf.image.resize(
        clip, (size * height // short, size * width // short), antialias=antialias
    )


def random_crop(clip, size, seed, low, high):
    """Takes a square at a random place of a clip with a random short side.

    It is the paper's resize of the short side to `low` to `high` pixels, both included, and crop
    (section 6, "Training") in one step that computes what is kept alone, which takes half the
    time: the square of `round(size * short / drawn)` pixels of the source at any of its places,
    the same in every frame, resized to `size`.

    Args:
        clip: tensor of shape `(frames, height, width, 3)`, any number type.
        size: int. Height and width of the result in pixels.
        seed: int tensor of shape `(2,)`.
        low: int. Least short side, at least `size`.
        high: int. Greatest short side.

    Returns:
        float32 tensor of shape `(frames, size, size, 3)`, bilinear.
    """
    clip = tf.convert_to_tensor(clip)
    keys = tf.random.split(seed, 2)
    sides = tf.shape(clip)[1:3]
    short = tf.reduce_min(sides)
    drawn = tf.random.stateless_uniform((), keys[0], low, high + 1, tf.int32)
    side = tf.maximum((2 * size * short + drawn) // (2 * drawn), 1)
    room = sides - side
    # One uniform number a side: its product with the number of places never reaches it.
    place = tf.random.stateless_uniform((2,), keys[1]) * tf.cast(room + 1, tf.float32)
    top, left = tf.unstack(tf.minimum(tf.cast(place, tf.int32), room))
    window = clip[:, top : top + side, left : left + side]
    return tf.image.resize(window, (size, size))


def centre_crop(clip, size):
    """Takes the rectangle in the middle, up and left of it where the margin is odd.

    Args:
        clip: tensor of shape `(frames, height, width, 3)`, no side shorter than `size`.
        size: int or pair of ints. Height and width in pixels.

    Returns:
        tensor of shape `(frames, size, size, 3)`.
    """
    size = (size, size) if isinstance(size, int) else size
    top, left = tf.unstack((tf.shape(clip)[1:3] - size) // 2)
    return _crop(clip, top, left, size)


def three_crops(clip, size):
    """Takes three squares that cover the longer side (paper, section 6, "Testing").

    Args:
        clip: tensor of shape `(frames, height, width, 3)`, no side shorter than `size`.
        size: int. Pixels.

    Returns:
        tensor of shape `(3, frames, size, size, 3)`: left, centre, right, or in a clip that is
        higher than wide top, centre, bottom; in the middle of the other side.
    """
    height, width = tf.unstack(tf.shape(clip)[1:3])
    room = (height - size, width - size)
    crops = []
    for halves in range(3):
        place = room * tf.where(width >= height, (1, halves), (halves, 1)) // 2
        crops.append(_crop(clip, *tf.unstack(place), (size, size)))
    return tf.stack(crops)


def multi_scale_crop(clip, size, seed, scales=(1, 0.875, 0.75, 0.66)):
    """Takes a rectangle of random size at one of 13 places and resizes it to a square.

    TSN's crop (Wang et al., ECCV 2016), with which the authors' code trains: height and width
    are the shorter side times two neighbours in `scales`, or `size` where that is less than 3
    pixels off. It is resized as Pillow does, averaging where it shrinks.

    Args:
        clip: tensor of shape `(frames, height, width, 3)`, any number type.
        size: int. Height and width of the result in pixels.
        seed: int tensor of shape `(2,)`.
        scales: sequence of floats from 0 to 1. Defaults to `(1, 0.875, 0.75, 0.66)`.

    Returns:
        float32 tensor of shape `(frames, size, size, 3)`.
    """
    clip = tf.convert_to_tensor(clip)
    keys = tf.random.split(seed, 2)
    room = tf.shape(clip)[1:3]
    short = tf.reduce_min(room)
    # In double precision: 0.75 * 340 rounded down is one less in another.
    sides = tf.cast(tf.cast(short, tf.float64) * tf.constant(scales, tf.float64), tf.int32)
    sides = tf.where(tf.abs(sides - size) < 3, size, sides)
    sides = tf.clip_by_value(sides, 1, short)
    ids = range(len(scales))
    pairs = [(i, j) for i in ids for j in ids if abs(i - j) <= 1]
    height, width = tf.unstack(tf.gather(sides, _choice(pairs, keys[0])))
    top, left = tf.unstack((room - (height, width)) // 4 * _choice(_PLACES, keys[1]))
    view = clip[:, top : top + height, left : left + width]
    return tf.image.resize(view, (size, size), antialias=True)


def horizontal_flip(clip, label, seed, label_map=None):
    """Mirrors a clip with probability one half.

    Args:
        clip: tensor of shape `(frames, height, width, 3)`.
        label: int tensor of shape `()`. Class id, negative if unknown.
        seed: int tensor of shape `(2,)`.
        label_map: sequence of ints. Class id of the mirrored clip for every class id, see
            `left_right_label_map`. Defaults to `None`, the label stays.

    Returns:
        `(clip, label)`.
    """
    mirrored = tf.random.stateless_uniform((), seed) < 0.5
    # Slicing backwards takes five times as long.
    clip = tf.cond(mirrored, lambda: tf.reverse(clip, [2]), lambda: clip)
    if label_map is not None:
        other = tf.gather(tf.constant(label_map, label.dtype), tf.maximum(label, 0))
        label = tf.where(mirrored & (label >= 0), other, label)
    return clip, label


def normalize(clip):
    """Does what `smallbig_keras.preprocess_input` does to a clip, five times as fast.

    Args:
        clip: float32 tensor of shape `(..., width, 3)`, from 0 to 255, of a known width.

    Returns:
        float32 tensor of the same shape.
    """
    # TensorFlow broadcasts along rows of pixels, not along an axis of three, at full speed.
    width = clip.shape[-2]
    mean, std = (np.tile(np.array(value, np.float32) * 255, width) for value in (MEAN, STD))
    rows = tf.reshape(clip, (-1, width * 3))
    return tf.ensure_shape(tf.reshape((rows - mean) / std, tf.shape(clip)), clip.shape)


def left_right_label_map(class_names):
    """Finds the class of a mirrored clip by name.

    Classes whose names become each other's when the words "left" and "right" are swapped are
    swapped; every other class stays. Something-Something V2 has three such pairs.

    Args:
        class_names: sequence of str.

    Returns:
        list of ints, the class id of the mirrored clip for every class id.
    """
    ids = {name: i for i, name in enumerate(class_names)}
    words = {"left": "right", "right": "left"}
    swapped = (" ".join(words.get(w, w) for w in name.split(" ")) for name in class_names)
    return [ids.get(name, i) for i, name in enumerate(swapped)]


def _choice(rows, seed):
    index = tf.random.stateless_uniform((), seed, 0, len(rows), tf.int32)
    return tf.gather(tf.constant(rows, tf.int32), index)


def _crop(clip, top, left, size):
    clip = tf.convert_to_tensor(clip)
    height, width = size
    fits = tf.debugging.assert_less_equal(
        tf.constant(size),
        tf.shape(clip)[1:3],
        message=f"A crop must fit into the clip. Received: size={height}x{width}",
    )
    # Eager execution has checked already and has no operation to wait for.
    with tf.control_dependencies([] if fits is None else [fits]):
        view = clip[:, top : top + height, left : left + width]
    return tf.ensure_shape(view, (None, height, width, 3))
