"""Transforms: from the frames of a video to the clips of a model, as TensorFlow operations.

Frames have shape `(frames, height, width, 3)`. Randomness is stateless: the same `seed`, an
integer tensor of shape `(2,)`, gives the same result.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from smallbig_keras.data.batch_augmentation import RandAugment
from smallbig_keras.data.clips import ClipConfig, check_crops
from smallbig_keras.errors import SmallBigError, did_you_mean

AUGMENTATIONS = ("short_side", "multi_scale")
# Fixed points of a multi-scale crop, (y, x) in quarters of the room: the corners and the centre,
# the middles of the sides, and the centres of the quadrants.
_CORNERS = (
    *((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)),
    *((2, 0), (2, 4), (4, 2), (0, 2)),
    *((1, 1), (1, 3), (3, 1), (3, 3)),
)


@dataclass(frozen=True)
class TrainTransform:
    """Cuts a random clip out of the frames of a video; for the fields see `clip_dataset`."""

    clips: ClipConfig
    # Range of the short side in pixels.
    short_side: tuple
    augmentation: str = "short_side"
    flip: bool = False
    # Class id of a mirrored clip for every class id; with None labels stay.
    label_map: list | None = None
    randaugment: RandAugment | None = None
    normalize: bool = True

    def __post_init__(self):
        if self.augmentation not in AUGMENTATIONS:
            raise SmallBigError(
                f"`augmentation` must be one of {AUGMENTATIONS}."
                f"{did_you_mean(self.augmentation, AUGMENTATIONS)} "
                f"Received: augmentation={self.augmentation!r}"
            )

    def __call__(self, frames, frame_positions, label, key):
        """Returns `(clip, label)`, the clip `(frames, size, size, 3)`; `key` is for the chance."""
        size = self.clips.size
        clip = tf.ensure_shape(frames, (self.clips.frames, None, None, 3))
        keys = tf.random.split(key, 2)
        if self.augmentation == "short_side":
            squash = not self.clips.keep_aspect
            clip = random_crop(clip, size, keys[0], *self.short_side, squash)
        else:
            clip = multi_scale_crop(clip, size, keys[0])
        if self.flip:
            clip, label = horizontal_flip(clip, label, keys[1], self.label_map)
        clip = tf.ensure_shape(clip, self.clips.shape)
        if self.randaugment:
            clip = self.randaugment(clip, tf.random.fold_in(key, 2))
        clip = to_uint8(clip)
        return normalize(clip, self.clips) if self.normalize else clip, label


@dataclass(frozen=True)
class EvaluationTransform:
    """Cuts the same views of a video every time (paper, section 6, "Testing")."""

    clips: ClipConfig
    crops: int = 1
    normalize: bool = True

    def __post_init__(self):
        check_crops(self.crops)

    def __call__(self, frames, frame_positions, label, key=None):
        """Returns `(clips, label)`; several views are an axis, clip by clip and crop by crop."""
        clips = frame_positions.shape[0]
        # Each frame is resized and cropped once, however many clips have it.
        frames = resize_frames(frames, self.clips)
        cut = {1: one_crop, 3: three_crops, 10: ten_crops}[self.crops]
        crops = cut(frames, self.clips.size)
        crops = to_uint8(crops)
        crops = normalize(crops, self.clips) if self.normalize else crops
        if clips * self.crops == 1:
            return tf.ensure_shape(crops[0], self.clips.shape), label
        crops = tf.unstack(crops, self.crops)
        views = tf.stack([tf.gather(crop, frame_positions) for crop in crops], 1)
        return tf.reshape(views, (clips * self.crops, *self.clips.shape)), label


def resize(frames, height, width):
    """Resizes frames `(frames, height, width, 3)` by the one rule of `ClipConfig.interpolation`.

    Bilinear between the pixels where it enlarges; where it shrinks, also the mean of all pixels
    that one of the result covers, as Pillow does: without that, stripes become others.
    """
    size, given = (height, width), tf.shape(frames)
    # The two are equal where nothing shrinks, but averaging takes five times as long.
    return tf.cond(
        (height < given[1]) | (width < given[2]),
        lambda: tf.image.resize(frames, size, antialias=True),
        lambda: tf.image.resize(frames, size),
    )


def resize_frames(frames, clips):
    """Resizes whole frames before the crop, by the rule of a ClipConfig."""
    if clips.keep_aspect:
        return short_side_resize(frames, clips.short_side)
    return resize(frames, clips.short_side, clips.short_side)


def short_side_resize(clip, size):
    """Resizes the shorter side to `size` pixels, the longer one rounded down, to float32."""
    height, width = tf.shape(clip)[1], tf.shape(clip)[2]
    short = tf.minimum(height, width)
    size = tf.cast(size, tf.int32)
    return resize(clip, size * height // short, size * width // short)


def random_crop(clip, size, seed, low, high, squash=False):
    """Takes a random square of `size` pixels of a clip with a random short side `low`..`high`."""
    # The paper's resize of the short side, both ends included, and crop (section 6, "Training")
    # in one step that computes only the pixels that are kept, in half the time: the square of
    # `round(size * short / drawn)` pixels of the source anywhere in it, the same in every frame,
    # resized to `size`. With `squash`, the same part of either side.
    clip = tf.convert_to_tensor(clip)
    keys = tf.random.split(seed, 2)
    sides = tf.shape(clip)[1:3]
    short = sides if squash else tf.reduce_min(sides)
    drawn = tf.random.stateless_uniform((), keys[0], low, high + 1, tf.int32)
    side = tf.maximum((2 * size * short + drawn) // (2 * drawn), 1)
    room = sides - side
    # One uniform number a side: its product with the number of offsets never reaches it.
    offset = tf.random.stateless_uniform((2,), keys[1]) * tf.cast(room + 1, tf.float32)
    top, left = tf.unstack(tf.minimum(tf.cast(offset, tf.int32), room))
    height, width = tf.unstack(tf.broadcast_to(side, (2,)))
    window = clip[:, top : top + height, left : left + width]
    return resize(window, size, size)


def centre_crop(clip, size):
    """Takes the rectangle in the middle, up and left of it where the margin is odd."""
    size = (size, size) if isinstance(size, int) else size
    top, left = tf.unstack((tf.shape(clip)[1:3] - size) // 2)
    return _crop(clip, top, left, size)


def three_crops(clip, size):
    """Takes three squares that cover the longer side (paper, section 6, "Testing"), stacked."""
    height, width = tf.unstack(tf.shape(clip)[1:3])
    room = (height - size, width - size)
    crops = []
    # Left, centre, right; top, centre, bottom of a clip that is higher than wide.
    for halves in range(3):
        corner = room * tf.where(width >= height, (1, halves), (halves, 1)) // 2
        crops.append(_crop(clip, *tf.unstack(corner), (size, size)))
    return tf.stack(crops)


def one_crop(clip, size):
    """Takes the square in the middle, stacked."""
    return centre_crop(clip, size)[None]


def ten_crops(clip, size):
    """Takes the squares in the four corners and the middle, and their mirror images, stacked."""
    height, width = tf.unstack(tf.shape(clip)[1:3])
    corners = [(top, left) for top in (0, height - size) for left in (0, width - size)]
    crops = [_crop(clip, top, left, (size, size)) for top, left in corners]
    crops = tf.stack([*crops, centre_crop(clip, size)])
    return tf.concat([crops, crops[:, :, :, ::-1]], axis=0)


def multi_scale_crop(clip, size, seed, scales=(1, 0.875, 0.75, 0.66)):
    """Takes a rectangle of random size at one of 13 points, resized to a square of `size`."""
    # TSN's crop (Wang et al., ECCV 2016), with which the authors' code trains: height and width
    # are the shorter side times two neighbours in `scales`, or `size` where that is less than 3
    # pixels off.
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
    top, left = tf.unstack((room - (height, width)) // 4 * _choice(_CORNERS, keys[1]))
    window = clip[:, top : top + height, left : left + width]
    return resize(window, size, size)


def horizontal_flip(clip, label, seed, label_map=None):
    """Mirrors a clip with probability one half; `label_map` gives the class of a mirrored one."""
    mirrored = tf.random.stateless_uniform((), seed) < 0.5
    # Slicing backwards takes five times as long.
    clip = tf.cond(mirrored, lambda: tf.reverse(clip, [2]), lambda: clip)
    if label_map is not None:
        # A negative label is unknown and stays.
        other = tf.gather(tf.constant(label_map, label.dtype), tf.maximum(label, 0))
        label = tf.where(mirrored & (label >= 0), other, label)
    return clip, label


def to_uint8(clip):
    """Rounds resized values to those of pictures, as Pillow does: every engine takes the same."""
    return tf.cast(tf.round(clip), tf.uint8)


def normalize(clip, clips):
    """Does `ClipConfig.normalize` five times as fast."""
    # TensorFlow broadcasts along rows of pixels, not along an axis of three, at full speed.
    width = clip.shape[-2]
    values = (clips.mean, clips.std)
    mean, std = (np.tile(np.array(value, np.float32) * 255, width) for value in values)
    rows = tf.reshape(tf.cast(clip, tf.float32), (-1, width * 3))
    values = tf.ensure_shape(tf.reshape((rows - mean) / std, tf.shape(clip)), clip.shape)
    return values if clips.channel_order == "rgb" else tf.reverse(values, [-1])


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
        crop = clip[:, top : top + height, left : left + width]
    return tf.ensure_shape(crop, (None, height, width, 3))
