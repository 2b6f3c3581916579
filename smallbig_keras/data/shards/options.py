"""The options of shards."""

import dataclasses
import typing

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.options import option

CONTENTS = ("frames", "video")


@dataclasses.dataclass(frozen=True)
class ShardOptions:
    """Shards: their bytes depend on these options and on the videos.

    Args:
        dataset: str. Name of the dataset. Defaults to `None`.
        content: str. `"frames"`: all frames as JPEG files. `"video"`: files as they are. Defaults
            to `"frames"`.
        short_side: int. Pixels of the short side of frames; smaller ones stay as they are, and
            with 0 all do. Defaults to `256`.
        quality: int. Of the JPEG files, 1 to 100. Defaults to `90`.
        shard_mb: int. Approximate size of a shard in millions of bytes. Defaults to `256`.

    Raises:
        SmallBigError: an argument is outside the values above.
    """

    dataset: str | None = None
    content: typing.Literal["frames", "video"] = option(
        "frames", "all frames as JPEG files, or video files as they are"
    )
    short_side: int = option(
        ClipConfig().short_side, "of frames, where it is longer; 0 keeps the size", metavar="PIXELS"
    )
    quality: int = option(90, "of JPEG files, 1 to 100")
    shard_mb: int = option(256, "size of a shard in MB, about")

    def __post_init__(self):
        if self.content not in CONTENTS:
            raise SmallBigError(
                f"`content` must be one of {CONTENTS}.{did_you_mean(self.content, CONTENTS)} "
                f"Received: {self.content!r}"
            )
        if self.short_side < 0 or not 1 <= self.quality <= 100 or self.shard_mb < 1:
            raise SmallBigError(
                "`short_side` must be at least 0, `quality` from 1 to 100 and `shard_mb` at least "
                f"1. Received: short_side={self.short_side}, quality={self.quality}, "
                f"shard_mb={self.shard_mb}"
            )
