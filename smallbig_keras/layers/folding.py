"""Reshapes between a 5-D clip and the 4-D tensors that 2-D operations take."""

from keras import ops

from smallbig_keras.layers.padding import borders


def axis_sizes(tensor, *axes):
    """Returns the sizes of axes: an int each, or a tensor for one that is open.

    Sizes that are known put nothing in a graph. `ops.shape` of a batch of any number would.
    """
    sizes = [tensor.shape[axis] for axis in axes]
    if None in sizes:
        shape = ops.shape(tensor)
        sizes = [shape[axis] for axis in axes]
    return sizes


def fold_frames(clips):
    """From `(batch, frames, height, width, channels)` to `(batch * frames, ...)`, for space."""
    return ops.reshape(clips, (-1, *axis_sizes(clips, 2, 3, 4)))


def unfold_frames(images, frames):
    """Undoes `fold_frames` of clips of `frames` frames."""
    return ops.reshape(images, (-1, frames, *axis_sizes(images, 1, 2, 3)))


def fold_space(clips):
    """From `(batch, frames, height, width, channels)` to `(..., height * width, channels)`."""
    frames, height, width, channels = axis_sizes(clips, 1, 2, 3, 4)
    return ops.reshape(clips, (-1, frames, height * width, channels))


def unfold_space(sequences, height, width):
    """Undoes `fold_space` of frames of `height` x `width` pixels."""
    frames, channels = axis_sizes(sequences, 1, 3)
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
    (frames,) = axis_sizes(clips, 1)
    before, _ = borders(frames, size, step, "tensorflow")
    # Borders hang on the number of frames, which may be open: the same for all, and a start in it.
    most = (size - 1) // 2
    padded = ops.pad(clips, ((0, 0), (most, size - 1), (0, 0), (0, 0), (0, 0)))
    start, reach = most - before, (frames - 1) // step * step + 1
    return [padded[:, start + tap : start + tap + reach : step] for tap in range(size)]
