"""Reshapes between a 5-D clip and the 4-D tensors that 2-D operations take."""

from keras import ops

from smallbig_keras.layers.padding import borders


def fold_frames(clips):
    """From `(batch, frames, height, width, channels)` to `(batch * frames, ...)`, for space."""
    _, _, height, width, channels = ops.shape(clips)
    return ops.reshape(clips, (-1, height, width, channels))


def unfold_frames(images, frames):
    """Undoes `fold_frames` of clips of `frames` frames."""
    _, height, width, channels = ops.shape(images)
    return ops.reshape(images, (-1, frames, height, width, channels))


def fold_space(clips):
    """From `(batch, frames, height, width, channels)` to `(..., height * width, channels)`."""
    _, frames, height, width, channels = ops.shape(clips)
    return ops.reshape(clips, (-1, frames, height * width, channels))


def unfold_space(sequences, height, width):
    """Undoes `fold_space` of frames of `height` x `width` pixels."""
    _, frames, _, channels = ops.shape(sequences)
    return ops.reshape(sequences, (-1, frames, height, width, channels))


def stack_frames(clips, size, step=1, padding="symmetric"):
    """Puts `size` neighbouring frames on the channels of the middle one; zeros beyond the ends.

    Returns `(batch, ceil(frames / step), height, width, size * channels)`. The frames that are
    neighbours are those of `borders` in `smallbig_keras.layers.padding`.
    """
    if size == 1:
        return clips[:, ::step]
    if padding == "tensorflow":
        taps = _taps_of_same(clips, size, step)
    else:
        half = size // 2
        padded = ops.pad(clips, ((0, 0), (half, half), (0, 0), (0, 0), (0, 0)))
        # As many frames are left out at both ends together as the padding adds.
        taps = [padded[:, tap : tap - size + 1 or None : step] for tap in range(size)]
    return ops.concatenate(taps, axis=-1)


def _taps_of_same(clips, size, step):
    frames = ops.shape(clips)[1]
    before, _ = borders(frames, size, step, "tensorflow")
    # Borders hang on the number of frames, which may be open: the same for all, and a start in it.
    most = (size - 1) // 2
    padded = ops.pad(clips, ((0, 0), (most, size - 1), (0, 0), (0, 0), (0, 0)))
    start, reach = most - before, (frames - 1) // step * step + 1
    return [padded[:, start + tap : start + tap + reach : step] for tap in range(size)]
