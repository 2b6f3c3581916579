"""Inception-v1 on clips as data: S3D, S3D-G and I3D."""

import dataclasses

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.specs.checks import (
    check,
    check_counts,
    check_rate,
    freeze_tuples,
    is_int,
)
from smallbig_keras.models.specs.spec import Spec

# Channels of a mixed block at width 64: the first branch, two convolutions of the second and of
# the third, and the branch of the pooling (Szegedy et al., CVPR 2015, Table 1).
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
CONV2C = 192
_AXES = ("frames", "height", "width")
_STEMS = {
    "separable": "stem 1x7x7 and {frames}x1x1",
    "full": "stem {frames}x7x7",
    "space_to_depth": "stem 2x4x4 of 2x2x2 blocks",
}
_TEMPORAL = {
    "separable": "1x3x3 and 3x1x1",
    "separable_bias": "1x3x3 and 3x1x1 without normalisation",
    "full": "3x3x3",
}
_PADDINGS = {
    "symmetric": "",
    "tensorflow": "padding of TensorFlow",
    "zeros": "poolings padded with zeros",
}


@dataclasses.dataclass(frozen=True)
class S3DSpec(Spec):
    """The description of one network of the family: Inception-v1 with convolutions over time.

    Args:
        width: int. Channels of the stem, at 64 those of the publications; all other numbers of
            channels are in proportion. Defaults to `64`.
        classes: int. Classes of the head. Defaults to `400`.
        stem: the first convolution, which halves frames, height and width: `"separable"` for
            1x7x7 and then over time, `"full"` for both at once, or `"space_to_depth"` for 2x4x4
            on blocks of 2x2x2 (MIL-NCE). Defaults to `"separable"`.
        stem_frames: int, odd. Frames that the first two stems see. Defaults to `7`.
        temporal: the other convolutions over space and time: `"separable"` for 1x3x3 and 3x1x1,
            each with a normalisation; `"separable_bias"`, in which 3x1x1 has a bias in its place
            and starts as the identity (TF-slim); or `"full"` for 3x3x3 (I3D). Defaults to
            `"separable"`.
        gates: bool. Whether a gate follows the convolution before the third pooling and each
            branch of a mixed block (S3D-G). Defaults to `False`.
        gate_bias: bool. Whether the gates have a bias. Defaults to `False`.
        padding: of convolutions with strides and of poolings: `"symmetric"` as in PyTorch,
            `"tensorflow"` as there, or `"zeros"` for symmetric convolutions and poolings padded
            with zeros at their ends (MIL-NCE). Defaults to `"symmetric"`.
        norm_scale: bool. Whether normalisations have a scale. Defaults to `True`.
        norm_epsilon: float. Added to the variance. Defaults to `0.001`.
        norm_momentum: float. Share of the old value in a moving statistic. Defaults to `0.999`.
        head_window: tuple `(frames, height, width)`. The classifier's scores are those of such
            windows, averaged; `None` stands for a whole axis. Defaults to `(2, 7, 7)`.
        dropout: float. Share of features dropped before the classifier. Defaults to `0.2`.

    Raises:
        ValueError: if a field is outside the values above.
    """

    width: int = 64
    classes: int = 400
    stem: str = "separable"
    stem_frames: int = 7
    temporal: str = "separable"
    gates: bool = False
    gate_bias: bool = False
    padding: str = "symmetric"
    norm_scale: bool = True
    norm_epsilon: float = 1e-3
    norm_momentum: float = 0.999
    head_window: tuple = (2, 7, 7)
    dropout: float = 0.2

    stages = ("stem", "conv2", "mixed3", "mixed4", "mixed5")

    def __post_init__(self):
        freeze_tuples(self)
        check_counts(self, "width", "classes", "stem_frames")
        check(self, "stem_frames", self.stem_frames % 2, "an odd int of at least 1")
        for name, allowed in (
            ("stem", tuple(_STEMS)),
            ("temporal", tuple(_TEMPORAL)),
            ("padding", tuple(_PADDINGS)),
            ("gates", (True, False)),
            ("gate_bias", (True, False)),
            ("norm_scale", (True, False)),
        ):
            check(self, name, getattr(self, name) in allowed, f"one of {allowed}")
        is_number = isinstance(self.norm_epsilon, int | float) and self.norm_epsilon > 0
        check(self, "norm_epsilon", is_number, "a number above 0")
        check_rate(self, "norm_momentum")
        check_rate(self, "dropout")
        window = self.head_window
        valid = len(window) == 3 and all(n is None or (is_int(n) and n > 0) for n in window)
        check(self, "head_window", valid, "three ints of at least 1, with None for a whole axis")
        if self.stem == "separable" and self.padding == "tensorflow":
            raise SmallBigError(
                "A separable stem has symmetric padding: `padding='tensorflow'` needs another "
                f"`stem`. Received: stem={self.stem!r}, padding={self.padding!r}"
            )
        if self.stem == "full" and self.padding == "tensorflow" and self.stem_frames < 2:
            raise SmallBigError(
                "A stem that halves the frames with `padding='tensorflow'` sees at least 3. "
                f"Received: stem_frames={self.stem_frames}"
            )

    def channels(self, count):
        """Returns a number of channels that is `count` at width 64."""
        return max(1, count * self.width // 64)

    def idle(self):
        """Returns the options that change nothing here, a dict of names to what they need."""
        needs = {} if self.gates else {"gate_bias": "gates"}
        if self.stem == "space_to_depth":
            needs["stem_frames"] = "stem='full'"
        return needs

    def check_input(self, shape):
        """Raises `SmallBigError` for a clip of which the strides leave nothing.

        Args:
            shape: tuple `(frames, height, width, channels)`; `None` where a size is open.
        """
        sizes = {axis: n for axis, n in zip(_AXES, shape, strict=False) if n is not None}
        # The last pooling takes whole pairs: two positions of 4 frames and of 16 pixels.
        least = {"frames": 5, "height": 17, "width": 17} if self.padding == "symmetric" else {}
        short = [axis for axis, n in sizes.items() if n < least.get(axis, 1)]
        if short:
            raise SmallBigError(
                f"This network needs at least {least['frames']} frames of {least['height']} x "
                f"{least['width']} pixels. Received: {_few(sizes, short)}"
            )
        odd = [axis for axis, n in sizes.items() if n % 2]
        if odd and self.stem == "space_to_depth":
            raise SmallBigError(
                "This network makes blocks of two frames, rows and columns, so each of these "
                f"numbers must be even. Received: {_few(sizes, odd)}"
            )

    def min_parameters(self):
        """Returns a number that the parameters reach at least, without building the network."""
        # The convolutions of mixed blocks over one frame, and the classifier.
        total, inputs = 0, self.channels(CONV2C)
        for widths in MIXED.values():
            first, reduce1, out1, reduce2, out2, pooled = map(self.channels, widths)
            total += inputs * (first + reduce1 + reduce2 + pooled)
            total += 9 * (reduce1 * out1 + reduce2 * out2)
            inputs = first + out1 + out2 + pooled
        return total + inputs * self.classes

    def title(self):
        """Returns the network in a few words, a str."""
        return f"an Inception-v1 of width {self.width}"

    def parts(self):
        """Returns what the network has beside a 2-D Inception-v1, a list of str."""
        gates = ("gates with bias" if self.gate_bias else "gates") if self.gates else ""
        found = (
            _STEMS[self.stem].format(frames=self.stem_frames),
            _TEMPORAL[self.temporal],
            gates,
            _PADDINGS[self.padding],
            "" if self.norm_scale else "normalisations without scale",
        )
        return [part for part in found if part]


def _few(sizes, axes):
    """Says some sizes of a clip: `4 frames, height 16`."""
    return ", ".join(f"{sizes[a]} frames" if a == "frames" else f"{a} {sizes[a]}" for a in axes)
