"""Augmentation by Keras' preprocessing layers, the same for all frames of a clip.

Keras' layers draw from a state of their own; here every draw is made from a key, so that the
same key gives the same clips.
"""

import keras
import tensorflow as tf

from smallbig_keras.errors import MissingPackageError, SmallBigError, did_you_mean

_MIXES = {"mixup": "MixUp", "cutmix": "CutMix"}
_OPERATIONS = (
    *("random_shear", "random_translation", "random_rotation", "random_brightness"),
    *("random_color_degeneration", "random_contrast", "random_sharpness"),
    *("random_posterization", "solarization", "auto_contrast", "equalization"),
)
# These measure the picture: its mean, its extremes, its histogram.
_MEASURING = ("random_contrast", "auto_contrast", "equalization")


class RandAugment:
    """The operations of `keras.layers.RandAugment`, each with one draw for a whole clip.

    Contrast, auto-contrast and equalization take mean, extremes and histogram of the whole clip.
    """

    # Only the operations that were drawn are computed; Keras' layer computes all eleven for each
    # draw, which takes ten times as long.

    def __init__(self, num_ops, factor):
        if not (isinstance(num_ops, int) and num_ops >= 1 and 0 < factor <= 1):
            raise SmallBigError(
                "`randaugment` must be (num_ops, factor), an int of at least 1 and a float above 0 "
                f"and up to 1. Received: num_ops={num_ops!r}, factor={factor!r}"
            )
        self.num_ops = num_ops
        self._layer = _keras_layer("RandAugment", num_ops=num_ops, factor=factor)

    def __call__(self, clip, key):
        """Returns a changed clip, float32 `(frames, size, size, 3)` from 0 to 255."""
        drawn = tf.random.stateless_uniform(
            (self.num_ops,), tf.random.fold_in(key, 0), 0, len(_OPERATIONS), tf.int32
        )
        for i in range(self.num_ops):
            own = tf.random.fold_in(key, i + 1)
            branches = [lambda n=n, c=clip, k=own: self._apply(n, c, k) for n in _OPERATIONS]
            clip = tf.switch_case(drawn[i], branches)
        return clip

    def _apply(self, name, clip, key):
        layer = getattr(self._layer, name)
        # Drawn for one picture, and so one for all frames.
        drawn = layer.get_random_transformation(clip[0], training=True, seed=_Seeds(key))
        # As one tall picture the frames are measured together, and so changed alike.
        tall = (1, -1, *clip.shape[2:])
        pictures = tf.reshape(clip, tall) if name in _MEASURING else clip
        changed = layer.transform_images(pictures, drawn, training=True)
        changed = tf.reshape(changed, tf.shape(clip))
        return tf.ensure_shape(tf.clip_by_value(changed, 0, 255), clip.shape)


class Mix:
    """Mixes the clips of a batch and their labels: `keras.layers.MixUp` or `CutMix`."""

    # Every clip gets one weight, or one rectangle, for all its frames.

    def __init__(self, kind, classes):
        if kind not in _MIXES:
            raise SmallBigError(
                f"`mix` must be None or one of {tuple(_MIXES)}.{did_you_mean(kind, _MIXES)} "
                f"Received: mix={kind!r}"
            )
        if classes < 1:
            raise SmallBigError(f"`mix` needs at least one class. Received: classes={classes}")
        self.classes = classes
        self._layer = _keras_layer(_MIXES[kind])

    def __call__(self, clips, labels, key):
        """Returns mixed clips, and labels as shares of classes `(batch, classes)`, of sum 1."""
        # Keras' layers take pictures: the frames become channels.
        batch, frames, height, width, _ = clips.shape
        shape = tf.shape(clips)
        pictures = tf.transpose(clips, (0, 2, 3, 1, 4))
        pictures = tf.reshape(pictures, (shape[0], height, width, frames * 3))
        shares = tf.one_hot(labels, self.classes)
        drawn = self._layer.get_random_transformation(pictures, training=True, seed=_Seeds(key))
        pictures = self._layer.transform_images(pictures, drawn, training=True)
        pictures = tf.reshape(pictures, (shape[0], height, width, frames, 3))
        clips = tf.ensure_shape(tf.transpose(pictures, (0, 3, 1, 2, 4)), clips.shape)
        shares = self._layer.transform_labels(shares, drawn, training=True)
        return clips, tf.ensure_shape(shares, (batch, self.classes))


class _Seeds(keras.random.SeedGenerator):
    """Seeds for Keras' random functions that depend only on a key, not on earlier draws."""

    def __init__(self, key):
        self._key = key
        self._draws = 0

    def next(self, ordered=True):
        self._draws += 1
        return tf.random.fold_in(self._key, self._draws)


def _keras_layer(name, **options):
    if keras.backend.backend() != "tensorflow":
        raise SmallBigError(
            f"keras.layers.{name} is used here with the TensorFlow backend only. "
            f"Received: {keras.backend.backend()}"
        )
    if not hasattr(keras.layers, name):
        raise MissingPackageError(
            f"keras.layers.{name} needs a later Keras: pip install -U keras. "
            f"Received: Keras {keras.__version__}"
        )
    # Not the global policies: clips are float32 and have their channels last.
    return getattr(keras.layers, name)(
        data_format="channels_last", dtype="float32", seed=0, **options
    )
