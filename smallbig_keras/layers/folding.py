"""Reshapes between a 5-D clip and the 4-D tensors that 2-D operations take."""

from keras import ops


def fold_frames(clips):
    """Moves the frames into the batch, for operations over space.

    Args:
        clips: tensor `(batch, frames, height, width, channels)`.

    Returns:
        tensor `(batch * frames, height, width, channels)`.
    """
    _, _, height, width, channels = ops.shape(clips)
    return ops.reshape(clips, (-1, height, width, channels))


def unfold_frames(images, frames):
    """Undoes `fold_frames`.

    Args:
        images: tensor `(batch * frames, height, width, channels)`.
        frames: int or scalar tensor. Frames in each clip.

    Returns:
        tensor `(batch, frames, height, width, channels)`.
    """
    _, height, width, channels = ops.shape(images)
    return ops.reshape(images, (-1, frames, height, width, channels))


def fold_space(clips):
    """Joins height and width, for operations over time.

    Args:
        clips: tensor `(batch, frames, height, width, channels)`.

    Returns:
        tensor `(batch, frames, height * width, channels)`.
    """
    _, frames, height, width, channels = ops.shape(clips)
    return ops.reshape(clips, (-1, frames, height * width, channels))


def unfold_space(sequences, height, width):
    """Undoes `fold_space`.

    Args:
        sequences: tensor `(batch, frames, height * width, channels)`.
        height: int or scalar tensor. Height in pixels.
        width: int or scalar tensor. Width in pixels.

    Returns:
        tensor `(batch, frames, height, width, channels)`.
    """
    _, frames, _, channels = ops.shape(sequences)
    return ops.reshape(sequences, (-1, frames, height, width, channels))
