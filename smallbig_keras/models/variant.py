"""A row of a table of networks, and how it reads."""

import dataclasses

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.models.spec import STAGES, VideoResNetSpec

_NAMES = {"shift": "shift", "cost_a": "CoST(a)", "cost_b": "CoST(b)"}


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of a table: a network, what it is, and its size.

    Args:
        spec: VideoResNetSpec.
        clips: ClipConfig. The clips that it takes where weights say nothing else.
        parameters: int. Its trained parameters; a test counts them.
        gmac: float. Billions of multiply-adds of one of its clips; a test counts them.
        note: str. What tells it from its neighbours. Defaults to `""`.
    """

    spec: VideoResNetSpec
    clips: ClipConfig
    parameters: int
    gmac: float
    note: str = ""

    def __str__(self):
        shape = " x ".join(map(str, self.clips.shape[:3]))
        size = f"{self.parameters:,} parameters, {self.gmac:.2f} GMAC at {shape}"
        return "; ".join(filter(None, (self.note, *parts(self.spec), size)))


def parts(spec):
    """Returns what a network has beside a 2-D ResNet, a list of str."""
    step = spec.stem_stride * spec.stem_pool
    stages = ", ".join(f"res{stage}" for stage in spec.smallbig_stages)
    extra = "squeeze-and-excite" if spec.extra == "squeeze_excite" else "extra unit"
    found = (
        f"stem {spec.stem_frames}x7x7",
        f"1/{step} of the frames after the stem" if step > 1 else "",
        _where(spec, "temporal", _NAMES.get(spec.temporal, spec.temporal)),
        f"1/{spec.time_pool} of the frames after res2" if spec.time_pool > 1 else "",
        _where(spec, "nonlocal", f"non-local ({_attention(spec)})"),
        f"SmallBig units in {stages}" if stages and spec.units else "",
        f"{extra} ({spec.extra_position}, 1/{spec.extra_ratio}) in {stages}"
        if stages and spec.extra
        else "",
    )
    return [part for part in found if part]


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
