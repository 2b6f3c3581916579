"""Values of whole videos: the means over the views of each."""

import functools

import numpy as np

from smallbig_keras.data.dataset import load_clip
from smallbig_keras.data.video_file import BadVideoError
from smallbig_keras.machine import groups, map_parallel


def view_means(function, videos, rule, clips=1, crops=1, batch_size=8, unreadable=None):
    """Yields the means of a function over the views of each video.

    Args:
        function: callable. From uint8 clips `(batch, frames, size, size, 3)` to a dict of arrays
            `(batch, channels)`.
        videos: iterable of what `load_clip` takes. A few are read ahead.
        rule: ClipConfig.
        clips: int. Clips of a video. Defaults to `1`.
        crops: int. Crops of a clip, 1, 3 or 10. Defaults to `1`.
        batch_size: int. Clips in one call of the function. Defaults to `8`.
        unreadable: list. Takes the `BadVideoError` of each video that cannot be read. Defaults to
            `None`: the first one is raised.

    Yields:
        `(index, means)`, the index of a video that was read, and a dict of arrays `(channels,)`.
    """
    views = clips * crops
    cut = functools.partial(
        load_clip, clips=rule.for_crops(crops), views=(clips, crops), normalize=False
    )

    def read(numbered):
        index, video = numbered
        try:
            return index, cut(video)
        except BadVideoError as error:
            return index, error

    def readable():
        for index, clip in map_parallel(read, enumerate(videos)):
            if not isinstance(clip, BadVideoError):
                yield index, clip
            elif unreadable is None:
                raise clip
            else:
                unreadable.append(clip)

    # As many videos at a time as fill a batch: memory does not grow with their number.
    for group in groups(readable(), max(1, batch_size // views)):
        indices, read_clips = zip(*group, strict=True)
        pixels = np.concatenate(read_clips)
        parts = [function(pixels[i : i + batch_size]) for i in range(0, len(pixels), batch_size)]
        means = {
            name: np.concatenate([part[name] for part in parts])
            .reshape(len(group), views, -1)
            .mean(axis=1)
            for name in parts[0]
        }
        for row, index in enumerate(indices):
            yield index, {name: values[row] for name, values in means.items()}
