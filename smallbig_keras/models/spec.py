"""A network as data: the frozen description from which the trunk builds it."""

import dataclasses

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.pool_sizes import check_pool_size

STAGES = (2, 3, 4, 5)
UNITS = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class VideoResNetSpec:
    """The description of one network of the family.

    Stages are named as in the paper's Table 1: res2 to res5 are `2` to `5`.

    Args:
        blocks: tuple of four ints. Blocks of res2 to res5. Defaults to `(3, 4, 6, 3)`.
        width: int. Channels of the stem; res2 to res5 have 1, 2, 4 and 8 times as many
            inside a block and 4, 8, 16 and 32 times at its end. Defaults to `64`.
        classes: int. Classes of the head. Defaults to `400`.
        temporal_stages: tuple of stages whose blocks begin with a 3x1x1 convolution (paper,
            Fig. 2 b). Defaults to `()`.
        smallbig_stages: tuple of stages that get `units` and `extra`. Defaults to `()`.
        units: tuple of those of a block's three convolutions that have a big view (paper,
            Fig. 2 c to e). Defaults to `(1, 2, 3)`.
        pool_sizes: tuple of three `(frames, height, width)`, the big view of each of the
            three convolutions; `None` stands for all frames. Defaults to
            `((3, 3, 3), (3, 3, 3), (None, 3, 3))`.
        pool: `"max"` or `"avg"` (paper, Table 6). Defaults to `"max"`.
        share_weights: bool. Whether both views share convolutions (paper, Table 6).
            Defaults to `True`.
        normalization: `"individual"` or `"single"` (paper, Table 6). Defaults to
            `"individual"`.
        extra: `None`, `"smallbig"` (paper, Fig. 2 f) or `"squeeze_excite"` (paper, Table 9).
            Defaults to `None`.
        extra_position: `"input"` or `"output"` of the block. Defaults to `"input"`.
        extra_ratio: int. Channels outside the extra unit for one inside. Defaults to `4`.
        dropout: float. Share of features dropped before the classifier. Defaults to `0.0`.

    Raises:
        ValueError: if a field is outside the values above.
    """

    blocks: tuple = (3, 4, 6, 3)
    width: int = 64
    classes: int = 400
    temporal_stages: tuple = ()
    smallbig_stages: tuple = ()
    units: tuple = UNITS
    pool_sizes: tuple = ((3, 3, 3), (3, 3, 3), (None, 3, 3))
    pool: str = "max"
    share_weights: bool = True
    normalization: str = "individual"
    extra: str | None = None
    extra_position: str = "input"
    extra_ratio: int = 4
    dropout: float = 0.0

    def __post_init__(self):
        for name in ("blocks", "temporal_stages", "smallbig_stages", "units", "pool_sizes"):
            value = getattr(self, name)
            if not isinstance(value, tuple | list):
                raise SmallBigError(f"`{name}` must be a tuple. Received: {name}={value!r}")
            object.__setattr__(self, name, tuple(value))

        _check(self, "blocks", _are_counts(self.blocks, 4), "four ints of at least 1")
        for name in ("width", "classes", "extra_ratio"):
            _check(self, name, _are_counts((getattr(self, name),), 1), "an int of at least 1")
        for name in ("temporal_stages", "smallbig_stages"):
            _check(self, name, _is_subset(getattr(self, name), STAGES), f"stages among {STAGES}")
        _check(self, "units", _is_subset(self.units, UNITS), f"convolutions among {UNITS}")
        _check(self, "pool_sizes", len(self.pool_sizes) == 3, "three sizes, one a convolution")
        object.__setattr__(self, "pool_sizes", tuple(map(check_pool_size, self.pool_sizes)))
        for name, allowed in (
            ("pool", ("max", "avg")),
            ("share_weights", (True, False)),
            ("normalization", ("individual", "single")),
            ("extra", (None, "smallbig", "squeeze_excite")),
            ("extra_position", ("input", "output")),
        ):
            _check(self, name, getattr(self, name) in allowed, f"one of {allowed}")
        rate = self.dropout
        is_rate = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate < 1
        _check(self, "dropout", is_rate, "a number of at least 0 and below 1")

        both = set(self.temporal_stages) & set(self.smallbig_stages)
        if both and 1 in self.units:
            raise SmallBigError(
                "A block's first convolution is either 3x1x1 or has a big view: `units` must "
                "leave out 1 where `temporal_stages` and `smallbig_stages` meet. Received: "
                f"units={self.units}, temporal_stages={self.temporal_stages}, "
                f"smallbig_stages={self.smallbig_stages}"
            )

    def min_parameters(self):
        """Returns a number that the parameters reach at least, without building the network."""
        # Two convolutions 1x1 and one 3x3 in every block, and the classifier.
        widths = [self.width * 2**i for i in range(4)]
        blocks = sum(n * 17 * width**2 for n, width in zip(self.blocks, widths, strict=True))
        return blocks + 32 * self.width * self.classes


def _check(spec, name, holds, rule):
    if not holds:
        raise SmallBigError(f"`{name}` must be {rule}. Received: {name}={getattr(spec, name)!r}")


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _are_counts(values, length):
    return len(values) == length and all(is_int(n) and n > 0 for n in values)


def _is_subset(values, allowed):
    return all(is_int(n) and n in allowed for n in values) and len(set(values)) == len(values)
