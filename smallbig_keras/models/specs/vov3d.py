"""A VoV3D network as data: the frozen description from which it is built."""

import dataclasses

from smallbig_keras.models.specs.checks import (
    are_counts,
    check,
    check_counts,
    check_rate,
    freeze_tuples,
    is_pattern,
)
from smallbig_keras.models.specs.spec import Spec

STAGES = (2, 3, 4, 5)


@dataclasses.dataclass(frozen=True)
class VoV3DSpec(Spec):
    """The description of one VoV3D network.

    Lee et al., "Diverse Temporal Aggregation and Depthwise Spatiotemporal Factorization for
    Efficient Video Classification", 2020. Stages are named res2 to res5, `2` to `5`.

    A block chains layers and joins the outputs of all of them. A layer is a depthwise convolution
    over space and one over time between two of 1x1x1.

    Args:
        blocks: tuple of four ints. Blocks of res2 to res5. Defaults to `(1, 2, 3, 2)`.
        width: int, even. Channels inside a layer of res2; res3 to res5 have 2, 4 and 8 times as
            many. Layers and blocks end in half of that, and the stem in half of res2's.
            Defaults to `40`.
        classes: int. Classes of the head. Defaults to `400`.
        layers: int. Layers of a block. Defaults to `5`.
        excite_layers: tuple of zeros and ones, repeated along the layers of a block: those with
            squeeze-and-excitation. Defaults to `(1, 0)` for the first, the third, and so on.
        excite_ratio: int. Channels outside squeeze-and-excitation for one inside, of which there
            are a multiple of 8. Defaults to `16`.
        head_width: int. Features that the classifier sees. Defaults to `2048`.
        head_window: int. Height and width, on the last feature map, of the window that the head
            classifies; of a larger map it takes the mean over all positions. Defaults to `7`
            for crops of 224 pixels.
        dropout: float. Share of features dropped before the classifier. Defaults to `0.5`.

    Raises:
        ValueError: if a field is outside the values above.
    """

    blocks: tuple = (1, 2, 3, 2)
    width: int = 40
    classes: int = 400
    layers: int = 5
    excite_layers: tuple = (1, 0)
    excite_ratio: int = 16
    head_width: int = 2048
    head_window: int = 7
    dropout: float = 0.5

    stages = ("stem", "res2", "res3", "res4", "res5", "last")

    def __post_init__(self):
        freeze_tuples(self)
        check(self, "blocks", are_counts(self.blocks, 4), "four ints of at least 1")
        even = are_counts((self.width,), 1) and self.width % 2 == 0
        check(self, "width", even, "an even int of at least 2")
        check_counts(self, "classes", "layers", "excite_ratio", "head_width", "head_window")
        pattern = is_pattern(self.excite_layers)
        check(self, "excite_layers", pattern, "zeros and ones, a pattern for a block's layers")
        check_rate(self, "dropout")

    def inner(self, stage):
        """Returns the channels inside a layer of a stage."""
        return self.width * 2 ** STAGES.index(stage)

    def excited(self):
        """Tells of every layer of a block if it has squeeze-and-excitation, a tuple of bools."""
        pattern = self.excite_layers
        return tuple(bool(pattern[n % len(pattern)]) for n in range(self.layers))

    def excite_filters(self, stage):
        """Returns the channels inside squeeze-and-excitation of a stage."""
        return _excite_filters(self.inner(stage), self.excite_ratio)

    def idle(self):
        """Returns the options that change nothing here, a dict of names to what they need."""
        return {} if any(self.excited()) else {"excite_ratio": "excite_layers"}

    def canonical(self):
        """Returns the spec that all specs of one network share.

        A pattern that takes all layers of a block, or none, is one number, any other as long as a
        block. Of the ratios that round to the same channels, the default comes first.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = {name: defaults[name] for name in self.idle()}
        excited = tuple(map(int, self.excited()))
        values["excite_layers"] = excited if len(set(excited)) > 1 else excited[:1]
        if any(excited):
            filters = {stage: self.excite_filters(stage) for stage in STAGES}
            values["excite_ratio"] = find_excite_ratio(self.width, filters)
        return dataclasses.replace(self, **values)

    def check_input(self, shape):
        """Takes clips of any size: every axis is padded, so that nothing shrinks to nothing."""

    def differences(self, row):
        """Returns the options that make this network of a row of a table; see `Spec`."""
        # Patterns are compared along blocks of one length.
        found = super().differences(dataclasses.replace(row, layers=self.layers))
        return found | ({"layers": self.layers} if self.layers != row.layers else {})

    def min_parameters(self):
        """Returns a number that the parameters reach at least, without building the network."""
        # The convolutions 1x1x1 of the layers but the first of a block, and the head.
        blocks = sum(
            n * (self.layers - 1) * self.inner(stage) ** 2
            for n, stage in zip(self.blocks, STAGES, strict=True)
        )
        return blocks + self.head_width * (self.inner(5) + self.classes)

    def title(self):
        """Returns the network in a few words, a str."""
        return f"a VoV3D of {'-'.join(map(str, self.blocks))} blocks of width {self.width}"

    def parts(self):
        """Returns the parts of the network that tell it from others, a list of str."""
        excited = "".join(map(str, map(int, self.excited())))
        layers = "all layers" if all(self.excited()) else f"layers {excited}"
        return [
            f"{self.layers} layers a block",
            *([f"squeeze-and-excite (1/{self.excite_ratio}) in {layers}"] * any(self.excited())),
            f"a window of {self.head_window}x{self.head_window} in the head",
        ]


def find_excite_ratio(width, filters):
    """Returns the ratio of squeeze-and-excitation, the default where it fits.

    Args:
        width: int. That of the network.
        filters: dict of stages to channels inside squeeze-and-excitation.

    Returns:
        int, or `None` if no ratio gives these channels.
    """
    default = VoV3DSpec.excite_ratio
    inner = {stage: width * 2 ** STAGES.index(stage) for stage in filters}
    for ratio in (default, *range(1, max(inner.values()) + 1)):
        if all(_excite_filters(inner[stage], ratio) == n for stage, n in filters.items()):
            return ratio
    return None


def _excite_filters(channels, ratio):
    """A share of channels as a multiple of 8, at least 8 and at least nine tenths of the share."""
    share = channels / ratio
    rounded = max(8, int(share + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * share else rounded
