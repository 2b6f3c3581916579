"""The one place that says how a clip is taken from a video: frames, size, normalisation.

Training, validation, evaluation, prediction, exports and the client read a `ClipConfig`; none of
them states a frame rule, a size or a mean of its own.
"""

import dataclasses

from smallbig_keras.data.sampling import Sampler, uses_stride
from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.labels.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    check_channel_order,
    check_channels,
    preprocess_input,
)

INTERPOLATIONS = ("bilinear",)
# Crops of a clip in evaluation: the centre; three that cover the frame (paper, section 6,
# "Testing"); the centre, the corners and the mirror images of these five.
CROPS = (1, 3, 10)
# Nothing in a file of others may ask for more.
_LARGEST = {"frames": 4096, "stride": 1 << 20, "size": 4096, "short_side": 8192}
# Short sides for a crop of 224 pixels: of evaluation, and the range of training (paper, section 6).
_CROP, _SHORT_SIDE, _TRAINING_SHORT_SIDES = 224, 256, (256, 320)


def check_crops(crops):
    """Refuses numbers of crops other than `CROPS`."""
    if crops not in CROPS:
        raise SmallBigError(f"`crops` of a clip are 1, 3 or 10. Received: crops={crops}")


def _check_count(name, value):
    most = _LARGEST[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise SmallBigError(f"`{name}` must be an int from 1 to {most}. Received: {name}={value!r}")


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """The clip that a model takes, and how it is taken from a video.

    Args:
        frames: int. Frames in a clip. Defaults to `8`.
        sampling: str. `"segment"` takes a frame from each of `frames` parts of the video,
            `"dense"` frames `stride` apart. Defaults to `"segment"`.
        stride: int. From one frame to the next in dense sampling. Defaults to `8`.
        short_side: int. Short side in pixels before the crop. Defaults to `None` for the paper's
            ratio, 256 for a `size` of 224.
        size: int. Height and width of the crop in pixels. Defaults to `224`.
        mean: three floats. Mean of RGB values from 0 to 1, ImageNet's if not given. Defaults to
            `(0.485, 0.456, 0.406)`.
        std: three floats above 0. Standard deviation of them. Defaults to
            `(0.229, 0.224, 0.225)`.
        interpolation: str. How a frame is resized: `"bilinear"`, which averages where it shrinks,
            as Pillow and torchvision do. Defaults to `"bilinear"`.
        channel_order: str. Order of the channels that the model takes, `"rgb"` or `"bgr"`; mean
            and std are of red, green and blue in any case. Defaults to `"rgb"`.
        keep_aspect: bool. Whether a resized frame keeps the ratio of its sides; else both become
            `short_side`. Defaults to `True`.

    Raises:
        SmallBigError: a value is outside those above, or the crop does not fit the short side.

    Example:

    >>> ClipConfig(frames=4, sampling="dense", size=112).short_side
    128
    """

    frames: int = 8
    sampling: str = "segment"
    stride: int = Sampler.stride
    short_side: int | None = None
    size: int = _CROP
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    interpolation: str = "bilinear"
    channel_order: str = "rgb"
    keep_aspect: bool = True

    def __post_init__(self):
        for name in ("frames", "stride", "size"):
            _check_count(name, getattr(self, name))
        if self.short_side is None:
            object.__setattr__(self, "short_side", round(self.size * _SHORT_SIDE / _CROP))
        _check_count("short_side", self.short_side)
        if self.short_side < self.size:
            raise SmallBigError(
                "`short_side` must be at least `size`, the crop. "
                f"Received: short_side={self.short_side}, size={self.size}"
            )
        for name in ("mean", "std"):
            object.__setattr__(self, name, check_channels(name, getattr(self, name)))
        if self.interpolation not in INTERPOLATIONS:
            raise SmallBigError(
                f"`interpolation` must be one of {', '.join(INTERPOLATIONS)}. "
                f"Received: {self.interpolation!r}"
            )
        check_channel_order(self.channel_order)
        if not isinstance(self.keep_aspect, bool):
            raise SmallBigError(f"`keep_aspect` must be a bool. Received: {self.keep_aspect!r}")
        self.sampler()

    @classmethod
    def from_dict(cls, values):
        """Makes the config of a dict that `to_dict` gave."""
        fields = [field.name for field in dataclasses.fields(cls)]
        # Older versions did not write these.
        needed = set(fields) - {"channel_order", "keep_aspect"}
        if not isinstance(values, dict) or not needed <= set(values) <= set(fields):
            found = sorted(values) if isinstance(values, dict) else values
            raise SmallBigError(
                f"The description of a clip must have {', '.join(fields)}. Received: {found}"
            )
        return cls(**values)

    def to_dict(self):
        """Returns a dict that JSON can hold."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}

    def replace(self, **changes):
        """Returns a config with other values; `None` keeps a value.

        Another `size` takes the short side along, unless `short_side` is given, so that the crop
        keeps its share of the frame.
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            hint = did_you_mean(unknown[0], vars(self))
            raise SmallBigError(
                f"A clip has the fields {', '.join(vars(self))}.{hint} "
                f"Received: {', '.join(unknown)}"
            )
        if "size" in changes and "short_side" not in changes:
            _check_count("size", changes["size"])
            changes["short_side"] = round(changes["size"] * self.short_side / self.size)
        return dataclasses.replace(self, **changes)

    def for_crops(self, crops):
        """Returns the config for that many crops: three are as high as the frame."""
        return self.replace(short_side=self.size) if crops == 3 else self

    def training_short_sides(self):
        """Returns the range `(low, high)` of the short side in training, in the paper's ratio."""
        low, high = (round(self.size * side / _CROP) for side in _TRAINING_SHORT_SIDES)
        return low, high

    def normalize(self, clips):
        """Returns the numbers that the model takes; see `smallbig_keras.preprocess_input`."""
        return preprocess_input(clips, self.mean, self.std, self.channel_order)

    def sampler(self, clips=1, training=False, seed=0):
        """Returns the `Sampler` that chooses the frames: the middle ones, or random in training."""
        return Sampler(self.sampling, self.frames, self.stride, clips, training, seed)

    @property
    def shape(self):
        """tuple. Shape of a clip, `(frames, size, size, 3)`."""
        return (self.frames, self.size, self.size, 3)

    def __str__(self):
        """str. The rule in words, as exports state it."""
        if uses_stride(self.sampling):
            return f"{self.frames} frames, {self.stride} apart, from the middle of the video"
        return f"{self.frames} frames, the middle of equal segments of the video"


# Ranges of values in other codes: torchvision's of videos, PySlowFast's, -1 to 1, and 0 to 1.
TORCHVISION = {"mean": (0.43216, 0.394666, 0.37645), "std": (0.22803, 0.22145, 0.216989)}
PYSLOWFAST = {"mean": (0.45,) * 3, "std": (0.225,) * 3}
SIGNED = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
UNIT = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
# The clips of the paper's two kinds of datasets (section 6).
KINETICS = ClipConfig(sampling="dense")
SOMETHING_SOMETHING = ClipConfig(sampling="segment")
