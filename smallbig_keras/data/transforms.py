"""From the frames of a video to what a model sees: the last steps of the pipeline.

Both views take the frames that were read, `(read, height, width, 3)`, where each clip has its
frames in them, `(clips, frames)`, and the label, all as TensorFlow tensors.
"""

from dataclasses import dataclass

import tensorflow as tf

from smallbig_keras.data import augmentation
from smallbig_keras.data.batch_augmentation import RandAugment
from smallbig_keras.errors import SmallBigError

AUGMENTATIONS = ("short_side", "multi_scale")


@dataclass(frozen=True)
class TrainTransform:
    """A random view of the clip of a video.

    Args:
        size: int. Height and width of a clip in pixels.
        short_side: pair of ints. Range of the short side for `augmentation="short_side"`.
        augmentation: str. `"short_side"` is the paper's: a random short side, then a random
            crop. `"multi_scale"` is the authors' code's: `multi_scale_crop` of the frames.
            Defaults to `"short_side"`.
        flip: bool. Whether half of the clips are mirrored. Defaults to `False`.
        label_map: list of ints. Class id of a mirrored clip for every class id. Defaults to
            `None`, the label stays.
        randaugment: `RandAugment`. Defaults to `None`.
        normalize: bool. Whether clips go through `preprocess_input`; else they are 0..255.
            Defaults to `True`.

    Raises:
        ValueError: `augmentation` is another word.
    """

    size: int
    short_side: tuple
    augmentation: str = "short_side"
    flip: bool = False
    label_map: list | None = None
    randaugment: RandAugment | None = None
    normalize: bool = True

    def __post_init__(self):
        if self.augmentation not in AUGMENTATIONS:
            raise SmallBigError(
                f"`augmentation` must be one of {AUGMENTATIONS}. "
                f"Received: augmentation={self.augmentation!r}"
            )

    def __call__(self, frames, places, label, key):
        """Returns `(clip, label)`, the clip `(frames, size, size, 3)`; the key is the chance."""
        count = places.shape[1]
        clip = tf.ensure_shape(frames, (count, None, None, 3))
        keys = tf.random.split(key, 2)
        if self.augmentation == "short_side":
            clip = augmentation.random_crop(clip, self.size, keys[0], *self.short_side)
        else:
            clip = augmentation.multi_scale_crop(clip, self.size, keys[0])
        if self.flip:
            clip, label = augmentation.horizontal_flip(clip, label, keys[1], self.label_map)
        clip = tf.ensure_shape(clip, (count, self.size, self.size, 3))
        if self.randaugment:
            clip = self.randaugment(clip, tf.random.fold_in(key, 2))
        return augmentation.normalize(clip) if self.normalize else clip, label


@dataclass(frozen=True)
class EvaluationTransform:
    """The same views of a video every time (paper, section 6, "Testing").

    Args:
        size: int. Height and width of a clip in pixels.
        short_side: int. Short side in pixels before the crop.
        crops: int. 1 for the centre, 3 for `three_crops`. Defaults to `1`.
        normalize: bool. Whether clips go through `preprocess_input`; else they are 0..255.
            Defaults to `True`.

    Raises:
        ValueError: `crops` is another number.
    """

    size: int
    short_side: int
    crops: int = 1
    normalize: bool = True

    def __post_init__(self):
        if self.crops not in (1, 3):
            raise SmallBigError(f"A clip has 1 or 3 crops. Received: crops={self.crops}")

    def __call__(self, frames, places, label, key=None):
        """Returns `(clips, label)`, the clips `(frames, size, size, 3)`, or with a leading axis
        of views, clip by clip and in it crop by crop, where there is more than one."""
        clips, count = places.shape
        # Each frame is resized and cropped once, however many clips have it.
        frames = augmentation.short_side_resize(frames, self.short_side)
        if self.crops == 1:
            crops = augmentation.centre_crop(frames, self.size)[None]
        else:
            crops = augmentation.three_crops(frames, self.size)
        crops = augmentation.normalize(crops) if self.normalize else crops
        shape = (count, self.size, self.size, 3)
        if clips * self.crops == 1:
            return tf.ensure_shape(crops[0], shape), label
        views = tf.stack([tf.gather(crop, places) for crop in tf.unstack(crops, self.crops)], 1)
        return tf.reshape(views, (clips * self.crops, *shape)), label
