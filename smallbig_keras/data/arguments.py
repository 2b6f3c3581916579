"""The arguments of `clip_dataset`: their rules, and the values that stand for None."""

from smallbig_keras.data.annotations.listing import drop_missing
from smallbig_keras.data.sources import VideoSource
from smallbig_keras.data.unreadable import UnreadableVideos
from smallbig_keras.errors import SmallBigError


def find_policy(unreadable, training, source):
    """Returns the `UnreadableVideos` of an argument, after a look for files that do not exist.

    They count as unreadable where the caller asks to replace or to skip, else they are an error.
    """
    policy = getattr(unreadable, "policy", unreadable)
    if isinstance(source, VideoSource) and policy in (None, "raise"):
        drop_missing(source.videos)
    if policy == "replace" and not training:
        raise SmallBigError(
            f"Evaluation must not replace videos. Received: unreadable={policy!r}, training=False"
        )
    if isinstance(unreadable, UnreadableVideos):
        return unreadable
    return UnreadableVideos(policy or ("replace" if training else "raise"), warns=True)


def pair(value):
    """Returns the two values of `views` or of `randaugment`."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise SmallBigError(
            "`views` must be (clips, crops) and `randaugment` (num_ops, factor). "
            f"Received: {value!r}"
        ) from None
    return first, second


def short_sides(clips, short_side, training):
    """Returns the config, and the range `(low, high)` of the short side in training."""
    if not training and not isinstance(short_side, tuple | list):
        return clips.replace(short_side=short_side), None
    if short_side is None:
        return clips, clips.training_short_sides()
    low, high = short_side if isinstance(short_side, tuple | list) else (short_side,) * 2
    if not training or not clips.size <= low <= high:
        raise SmallBigError(
            "`short_side` must be at least `size`: an int, or in training (low, high). "
            f"Received: short_side={short_side}, size={clips.size}, training={training}"
        )
    return clips, (low, high)


def check_begin(epochs, initial_epoch, initial_batch, per_epoch):
    """Checks where a stream of epochs of so many batches begins."""
    if not 0 <= initial_epoch <= (initial_epoch if epochs is None else epochs):
        raise SmallBigError(
            "`initial_epoch` must be from 0 to `epochs`. "
            f"Received: initial_epoch={initial_epoch}, epochs={epochs}"
        )
    if initial_batch and (epochs in (None, initial_epoch) or not 0 < initial_batch <= per_epoch):
        raise SmallBigError(
            f"`initial_batch` must be from 0 to the {per_epoch} batches of an epoch, and above 0 "
            f"be that of a stream of `epochs`. Received: initial_batch={initial_batch}, "
            f"initial_epoch={initial_epoch}, epochs={epochs}"
        )


def check_numbers(source, training, batch_size, drop_remainder, seed):
    """Checks that the videos of a source make batches, with these numbers."""
    count = len(source)
    if not count or batch_size < 1 or seed < 0:
        raise SmallBigError(
            "A dataset needs at least one video, one clip a batch, and a seed of at least 0. "
            f"Received: {count} videos, batch_size={batch_size}, seed={seed}"
        )
    if drop_remainder and count < batch_size:
        raise SmallBigError(
            "A full batch needs `batch_size` videos. "
            f"Received: batch_size={batch_size}, {count} videos"
        )
    if training and not source.has_labels:
        raise SmallBigError(
            "Training videos must have labels: give a list of (path, label) pairs. "
            "Received: a video with label None"
        )


def check_training_only(training, views, augmentation, flip, randaugment, mix, class_names):
    """Checks the augmentation of a training, and that an evaluation has none."""
    if flip not in (None, "none", "plain", "swap") or (flip not in (None, "none") and not training):
        raise SmallBigError(
            "`flip` must be 'none', or in training 'plain' or 'swap'. "
            f"Received: flip={flip!r}, training={training}"
        )
    if training and tuple(views) != (1, 1):
        raise SmallBigError(f"Training takes one clip of a video. Received: views={views}")
    if not training and (augmentation != "short_side" or randaugment or mix):
        raise SmallBigError(
            "`augmentation`, `randaugment` and `mix` are for training. Received: training=False, "
            f"augmentation={augmentation!r}, randaugment={randaugment}, mix={mix!r}"
        )
    if class_names is None and (flip == "swap" or mix):
        raise SmallBigError(
            "`flip='swap'` and `mix` need `class_names`. Received: class_names=None"
        )
