"""A network as data: the frozen description from which the trunk builds it."""

import dataclasses
import math

from smallbig_keras.errors import SmallBigError
from smallbig_keras.layers.pool_sizes import check_pool_size
from smallbig_keras.models.specs.checks import (
    are_counts,
    check,
    check_counts,
    check_rate,
    freeze_tuples,
    is_pattern,
    is_subset,
)
from smallbig_keras.models.specs.spec import Spec

STAGES = (2, 3, 4, 5)
UNITS = (1, 2, 3)
# Which of a block's three convolutions each kind of `temporal` takes the place of.
TEMPORAL = {"3x1x1": 1, "3x3x3": 2, "cost_a": 2, "cost_b": 2, "shift": None}
EVERY = ((1,),) * 4
_NAMES = {"cost_a": "CoST(a)", "cost_b": "CoST(b)"}


@dataclasses.dataclass(frozen=True)
class VideoResNetSpec(Spec):
    """The description of one network of the family.

    Stages are named as in the paper's Table 1: res2 to res5 are `2` to `5`. Of the blocks of a
    stage, a pattern of zeros and ones takes some: it is repeated along them, so that `(1, 0)` takes
    the first, the third, and so on.

    Args:
        blocks: tuple of four ints. Blocks of res2 to res5. Defaults to `(3, 4, 6, 3)`.
        width: int. Channels of the stem; res2 to res5 have 1, 2, 4 and 8 times as many
            inside a block and 4, 8, 16 and 32 times at its end. Defaults to `64`.
        classes: int. Classes of the head. Defaults to `400`.
        stem_frames: int, odd. Frames that the stem's convolution sees. Defaults to `1`.
        stem_stride: int. Step of the stem's convolution over the frames. Defaults to `1`.
        stem_pool: int. Frames of which the stem's pooling makes one. Defaults to `1`.
        time_pool: int. Frames of which a maximum after res2 makes one. Defaults to `1`.
        temporal_stages: tuple of stages whose blocks look through time. Defaults to `()`.
        temporal_blocks: four patterns. The blocks of `temporal_stages` that do. Defaults to
            `((1,), (1,), (1,), (1,))`.
        temporal: how they do: `"3x1x1"` for the first convolution (paper, Fig. 2 b), `"3x3x3"`,
            `"cost_a"` or `"cost_b"` for the second, or `"shift"` for channels of the neighbouring
            frames before the first (TSM). Defaults to `"3x1x1"`.
        nonlocal_stages: tuple of stages with non-local blocks. Defaults to `()`.
        nonlocal_blocks: four patterns. The blocks of `nonlocal_stages` that a non-local block
            follows. Defaults to `((1,), (1,), (1,), (1,))`.
        nonlocal_mode: `"embedded_gaussian"` or `"dot_product"`. Defaults to
            `"embedded_gaussian"`.
        nonlocal_scale: bool. Whether the embedded Gaussian scales its products. Defaults to
            `True`.
        nonlocal_pool: `"before"`, `"after"` or `None`, as in `NonLocalBlock`. Defaults to
            `"before"`.
        nonlocal_bias: bool. Whether its last convolution has a bias. Defaults to `True`.
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
    stem_frames: int = 1
    stem_stride: int = 1
    stem_pool: int = 1
    time_pool: int = 1
    temporal_stages: tuple = ()
    temporal_blocks: tuple = EVERY
    temporal: str = "3x1x1"
    nonlocal_stages: tuple = ()
    nonlocal_blocks: tuple = EVERY
    nonlocal_mode: str = "embedded_gaussian"
    nonlocal_scale: bool = True
    nonlocal_pool: str | None = "before"
    nonlocal_bias: bool = True
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

    stages = ("stem", "res2", "res3", "res4", "res5")

    def __post_init__(self):
        freeze_tuples(self)
        check(self, "blocks", are_counts(self.blocks, 4), "four ints of at least 1")
        check_counts(
            self, "width", "classes", "extra_ratio", "stem_stride", "stem_pool", "time_pool"
        )
        odd = are_counts((self.stem_frames,), 1) and self.stem_frames % 2
        check(self, "stem_frames", odd, "an odd int of at least 1")
        for name in ("temporal_stages", "nonlocal_stages", "smallbig_stages"):
            check(self, name, is_subset(getattr(self, name), STAGES), f"stages among {STAGES}")
        for name in ("temporal_blocks", "nonlocal_blocks"):
            patterns = getattr(self, name)
            rule = "four tuples of zeros and ones, a pattern for the blocks of each stage"
            check(self, name, len(patterns) == 4 and all(map(is_pattern, patterns)), rule)
            object.__setattr__(self, name, tuple(map(tuple, patterns)))
        check(self, "units", is_subset(self.units, UNITS), f"convolutions among {UNITS}")
        check(self, "pool_sizes", len(self.pool_sizes) == 3, "three sizes, one a convolution")
        object.__setattr__(self, "pool_sizes", tuple(map(check_pool_size, self.pool_sizes)))
        for name, allowed in (
            ("temporal", tuple(TEMPORAL)),
            ("nonlocal_mode", ("embedded_gaussian", "dot_product")),
            ("nonlocal_scale", (True, False)),
            ("nonlocal_pool", ("before", "after", None)),
            ("nonlocal_bias", (True, False)),
            ("pool", ("max", "avg")),
            ("share_weights", (True, False)),
            ("normalization", ("individual", "single")),
            ("extra", (None, "smallbig", "squeeze_excite")),
            ("extra_position", ("input", "output")),
        ):
            check(self, name, getattr(self, name) in allowed, f"one of {allowed}")
        check_rate(self, "dropout")

        for kind in ("temporal", "nonlocal"):
            if getattr(self, f"{kind}_stages") and not any(map(any, self.mask(kind))):
                raise SmallBigError(
                    f"`{kind}_blocks` takes none of the blocks of `{kind}_stages`. Received: "
                    f"{kind}_blocks={getattr(self, f'{kind}_blocks')}, "
                    f"{kind}_stages={getattr(self, f'{kind}_stages')}, blocks={self.blocks}"
                )
        both = set(self.temporal_stages) & set(self.smallbig_stages)
        unit = TEMPORAL[self.temporal]
        if both and unit in self.units:
            raise SmallBigError(
                f"A block's convolution {unit} is either {self.temporal} or has a big view: "
                f"`units` must leave out {unit} where `temporal_stages` and `smallbig_stages` "
                f"meet. Received: units={self.units}, temporal_stages={self.temporal_stages}, "
                f"smallbig_stages={self.smallbig_stages}"
            )

    def mask(self, kind):
        """Tells of every block if it is one of a kind.

        Args:
            kind: str. `"temporal"` or `"nonlocal"`.

        Returns:
            tuple of a tuple of bools for each of res2 to res5.
        """
        stages, patterns = getattr(self, f"{kind}_stages"), getattr(self, f"{kind}_blocks")
        return tuple(
            tuple(stage in stages and bool(pattern[n % len(pattern)]) for n in range(blocks))
            for stage, pattern, blocks in zip(STAGES, patterns, self.blocks, strict=True)
        )

    def idle(self):
        """Returns the options that change nothing here, a dict of names to what they need."""
        needs = {}
        if not self.temporal_stages:
            needs |= dict.fromkeys(("temporal_blocks", "temporal"), "temporal_stages")
        if not self.nonlocal_stages:
            names = ("blocks", "mode", "scale", "pool", "bias")
            needs |= {f"nonlocal_{name}": "nonlocal_stages" for name in names}
        elif self.nonlocal_mode == "dot_product":
            needs["nonlocal_scale"] = "nonlocal_mode='embedded_gaussian'"
        if not self.smallbig_stages:
            names = ("units", "pool_sizes", "pool", "share_weights", "normalization")
            names += ("extra", "extra_position", "extra_ratio")
            return needs | dict.fromkeys(names, "smallbig_stages")
        if self.extra is None:
            needs |= dict.fromkeys(("extra_position", "extra_ratio"), "extra")
        if not self.units:
            needs |= dict.fromkeys(("pool_sizes", "normalization"), "units")
            if self.extra != "smallbig":
                needs["share_weights"] = "units"
            if self.extra is None:
                needs["pool"] = "units"
        return needs

    def canonical(self):
        """Returns the spec that all specs of one network share.

        A pattern that takes all blocks of its stage, or none, is `(1,)`, any other as long as the
        stage, and what changes nothing has its default.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = {name: defaults[name] for name in self.idle()}
        for kind in ("temporal", "nonlocal"):
            if getattr(self, f"{kind}_stages"):
                mask = self.mask(kind)
                patterns = (row if any(row) and not all(row) else (1,) for row in mask)
                stages = (s for s, blocks in zip(STAGES, mask, strict=True) if any(blocks))
                values[f"{kind}_blocks"] = tuple(tuple(map(int, row)) for row in patterns)
                values[f"{kind}_stages"] = tuple(stages)
        values["smallbig_stages"] = tuple(sorted(self.smallbig_stages))
        if self.smallbig_stages:
            values["units"] = units = tuple(sorted(self.units))
            sizes = zip(UNITS, self.pool_sizes, defaults["pool_sizes"], strict=True)
            values["pool_sizes"] = tuple(size if u in units else other for u, size, other in sizes)
        return dataclasses.replace(self, **values)

    def check_input(self, shape):
        """Raises `SmallBigError` for a clip whose frames the poolings over time do not divide.

        Args:
            shape: tuple `(frames, height, width, channels)`; `None` where a size is open.
        """
        frames = shape[0]
        factor = math.prod((self.stem_stride, self.stem_pool, self.time_pool))
        if frames is not None and frames % factor:
            raise SmallBigError(
                f"This network makes one frame of every {factor} on its way, so the frames of a "
                f"clip must be a multiple of {factor}. Received: {frames} frames"
            )

    def min_parameters(self):
        """Returns a number that the parameters reach at least, without building the network."""
        # Two convolutions 1x1 and one 3x3 in every block, and the classifier.
        widths = [self.width * 2**i for i in range(4)]
        blocks = sum(n * 17 * width**2 for n, width in zip(self.blocks, widths, strict=True))
        return blocks + 32 * self.width * self.classes

    def differences(self, row):
        """Returns the options that make this network of a row of a table; both name what they take.

        Args:
            row: VideoResNetSpec.

        Returns:
            dict of options, `classes` not among them.
        """
        network = self.canonical()
        size = {name: getattr(network, name) for name in ("blocks", "width", "classes")}
        kinds = ("temporal", "nonlocal")
        own = ()
        try:
            same_size = dataclasses.replace(row, **size)
        except SmallBigError:
            # The row's patterns take no block of so few: the network's own must be given.
            own = tuple(f"{kind}_stages" for kind in kinds)
            same_size = dataclasses.replace(row, **size, **dict.fromkeys(own, ()))
        same_size = same_size.canonical()
        values = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
        options = {
            name: value
            for name, value in values.items()
            if (value != getattr(same_size, name) or name in own) and name not in network.idle()
        }
        options |= {name: n for name, n in size.items() if n != getattr(row, name)}
        if dataclasses.replace(row, **options).canonical() != network:
            # Of stages that the row leaves out, its patterns may be others.
            options |= {f"{kind}_blocks": values[f"{kind}_blocks"] for kind in kinds}
        options.pop("classes", None)
        return options

    def title(self):
        """Returns the network in a few words, a str."""
        return f"a ResNet of {'-'.join(map(str, self.blocks))} blocks"

    def parts(self):
        """Returns what the network has beside a 2-D ResNet, a list of str."""
        step = self.stem_stride * self.stem_pool
        stages = ", ".join(f"res{stage}" for stage in self.smallbig_stages)
        extra = "squeeze-and-excite" if self.extra == "squeeze_excite" else "extra unit"
        found = (
            f"stem {self.stem_frames}x7x7",
            f"1/{step} of the frames after the stem" if step > 1 else "",
            _where(self, "temporal", _NAMES.get(self.temporal, self.temporal)),
            f"1/{self.time_pool} of the frames after res2" if self.time_pool > 1 else "",
            _where(self, "nonlocal", f"non-local ({_attention(self)})"),
            f"SmallBig units in {stages}" if stages and self.units else "",
            f"{extra} ({self.extra_position}, 1/{self.extra_ratio}) in {stages}"
            if stages and self.extra
            else "",
        )
        return [part for part in found if part]


def mask_options(kind, places, blocks):
    """Returns the options whose mask takes the blocks at `places`, pairs of stage and block."""
    rows = [
        tuple(int((stage, block) in places) for block in range(1, number + 1))
        for stage, number in zip(STAGES, blocks, strict=True)
    ]
    stages = tuple(stage for stage, row in zip(STAGES, rows, strict=True) if any(row))
    return {f"{kind}_stages": stages, f"{kind}_blocks": tuple(rows)}


def _attention(spec):
    mode = spec.nonlocal_mode.replace("_", " ")
    scale = "" if spec.nonlocal_scale else " without scale"
    pool = f"pool {spec.nonlocal_pool} phi and g" if spec.nonlocal_pool else "no pool"
    return f"{mode}{scale}, {pool}"


def _where(spec, kind, name):
    """Says which blocks are of a kind: `CoST(b) in res2 010, res3 1010`; nothing if none is."""
    mask = zip(STAGES, spec.mask(kind), strict=True)
    blocks = (
        f"res{stage} {'all' if all(row) else ''.join(map(str, map(int, row)))}"
        for stage, row in mask
        if any(row)
    )
    places = ", ".join(blocks)
    return f"{name} in {places}" if places else ""
