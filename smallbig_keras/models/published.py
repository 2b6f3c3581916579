"""Sizes and accuracies that others published for networks of the tables; none is measured here."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """A row that somebody printed.

    Args:
        model: str. Model function.
        variant: str. Its variant.
        source: str. Where it is printed.
        frames: int. Frames of a clip. Defaults to `8`.
        size: int. Height and width that the multiply-adds are of. Defaults to `224`.
        parameters: str. Millions, as printed, or `None`. Defaults to `None`.
        gmac: str. Billions of multiply-adds, as printed, or `None`. Defaults to `None`.
        dataset: str. Where the accuracy is measured, or `None`. Defaults to `None`.
        top1, top5: float. In percent, or `None`. Default to `None`.
        views: str. Clips x crops of a video, and the size of a crop. Defaults to `"10x3 of 256"`.
        options: dict. Options beside those of the variant. Defaults to none.
        note: str. How the figure came about, where ours is another. Defaults to `""`.
    """

    model: str
    variant: str
    source: str
    frames: int = 8
    size: int = 224
    parameters: str | None = None
    gmac: str | None = None
    dataset: str | None = None
    top1: float | None = None
    top5: float | None = None
    views: str = "10x3 of 256"
    options: dict = dataclasses.field(default_factory=dict)
    note: str = ""


_K400 = {"dataset": "k400"}
_PAPER = "SmallBigNet, Table {}"
_ONE = {"views": "1x1 of 224"}
_SIX = {"views": "2x3 of 256"}
_NL = "video-nonlocal-net, README"
_COST = "CoST, paper"
_COST_CODE = "CoST, the authors' refactored code"
_SLOWFAST = "PySlowFast, model zoo"
_MMLAB = "OpenMMLab, model zoo"
_TSM = "TSM, README"
# Poolings over time of inputs of 32 frames and more.
_LONG = {"stem_stride": 2, "stem_pool": 2}

PUBLISHED = (
    Published("C2DR23", "reference", _PAPER.format(7), 8, 224, "11.3", "17", "k400", 64.1, 85.4),
    Published("C2DR50", "reference", _PAPER.format(8), **_K400, top1=70.4, top5=89.1),
    Published("C2DR50", "pooled", _NL, **_K400, top1=71.9, top5=90.0),
    Published("C2DR50", "pooled", _COST, **_K400, top1=71.5, top5=89.8),
    Published("C2DR50", "pooled", _COST_CODE, **_K400, top1=72.28, top5=89.99),
    Published("I3DR23", "paper", _PAPER.format(2), **_K400, top1=68.3, top5=88.2),
    Published("I3DR50", "reference", _SLOWFAST, 8, 224, "28.0", None, "k400", 73.5, 90.8),
    Published("I3DR50", "reference", _NL, **_K400, top1=73.4, top5=90.9),
    Published(
        *("I3DR50", "reference", _MMLAB, 32, 256),
        gmac="43.5",
        options=_LONG,
        note="43.5 with normalisations",
    ),
    Published("I3DR50", "cost", _COST, **_K400, top1=73.3, top5=90.4),
    Published("I3DR50", "cost", _COST_CODE, **_K400, top1=73.40, top5=90.91),
    Published("SlowOnlyR50", "reference", _MMLAB, 8, 224, "32.45", None, "k400", 76.45, 92.55),
    Published("SlowOnlyR50", "reference", _SLOWFAST, **_K400, top1=74.8, top5=91.6),
    Published(
        *("SlowOnlyR50", "reference", _PAPER.format(10), 8, 224, None, "41.9", "k400", 74.9, 91.5),
        note="41.92 with normalisations, activations and poolings",
    ),
    Published("SlowOnlyR50", "reference", "PyTorchVideo, model zoo", 8, 256, None, "54.52"),
    Published("SlowOnlyR101", "reference", _MMLAB, 8, 256, "60.36", "112", "k400", 76.59, 92.80),
    Published(
        *("NonLocalR23", "paper", _PAPER.format(7), 8, 224, "18.7", "34", "k400", 70.2, 89.1),
        note="33.42 of convolutions, 33.54 with normalisations: the products do not count there",
    ),
    Published("NonLocalR50", "reference", _SLOWFAST, 8, 224, None, None, "k400", 74.0, 91.1),
    Published("NonLocalR50", "reference", _NL, **_K400, top1=74.7, top5=91.6),
    Published(
        *("NonLocalR50", "reference", _PAPER.format(10), 128, 256, None, "282", "k400", 76.5, 92.6),
        options=_LONG,
    ),
    Published("NonLocalR50", "c2d", _NL, **_K400, top1=74.4, top5=91.4),
    Published("TSMR50", "reference", _PAPER.format(10), 8, 224, None, "33", "k400", 74.1, 91.2),
    Published("TSMR50", "reference", _PAPER.format(10), 16, 224, None, "65", "k400", 74.7),
    Published(
        *("TSMR50", "reference", _PAPER.format(11), 8, 224, None, "33", "sthv1", 45.6, 74.2), **_ONE
    ),
    Published(
        *("TSMR50", "reference", _PAPER.format(11), 8, 224, None, None, "sthv2", 59.1, 85.6), **_SIX
    ),
    Published(
        *("TSMR50", "reference", _MMLAB, 8, 224, "23.87", None),
        options={"classes": 174},
        note="23.864 here; the publisher rounds up",
    ),
    Published("TSMR50", "nl", _TSM, 8, 224, None, None, "k400", 75.6),
    Published("TSMR50", "nl", _MMLAB, 8, 224, "31.68", note="31.686: the publisher cuts digits"),
    Published("TSMR101", "reference", _MMLAB, 8, 224, None, None, "sthv2", 63.70, 88.28),
    Published("CoSTR50", "a", _COST, **_K400, top1=73.6, top5=90.8),
    Published("CoSTR50", "a", _COST_CODE, **_K400, top1=72.89, top5=90.46),
    Published("CoSTR50", "reference", _COST, **_K400, top1=74.1, top5=91.2),
    Published("CoSTR50", "reference", _COST_CODE, **_K400, top1=73.85, top5=90.98),
    Published("CoSTR101", "reference", _PAPER.format(10), **_K400, top1=75.5, top5=92.0),
    Published("CoSTR101", "b_32f", "CoST, abstract", 32, 224, None, None, "k400", 77.5),
    Published(
        *("SmallBigR23", "paper", _PAPER.format(7), 8, 224, "13.4", "31", "k400", 72.6, 90.3),
        note="30.66 with normalisations",
    ),
    Published(
        *("SmallBigR23", "paper", _PAPER.format(6), 8, 224, "22.1", "31", "k400", 71.6, 89.6),
        options={"share_weights": False},
        note="30.66 with normalisations",
    ),
    Published(
        *("SmallBigR23", "paper", _PAPER.format(6), 8, 224, "13.3", "17", "k400", 64.6, 85.8),
        options={"normalization": "single"},
        note="no count gives 17, which the 2-D convolutions alone come to, without extra units",
    ),
    Published("SmallBigR50", "paper", _PAPER.format(10), 8, 224, None, "57", "k400", 76.3, 92.5),
    Published(
        *("SmallBigR101", "paper", _PAPER.format(10), 32, 224, None, "418", "k400", 77.4, 93.3),
        views="4x3 of 256",
        note="417.65 with normalisations",
    ),
    *(
        Published("SmallBigSlowOnlyR50", "paper", _PAPER.format(11), frames, 224, None, *figures)
        for frames, *figures in (
            (8, "52", "sthv1", 47.0, 77.1, "1x1 of 224"),
            (8, "52", "sthv2", 59.7, 86.7, "1x1 of 224"),
            (16, "105", "sthv1", 49.3, 79.5, "1x1 of 224"),
            (16, "105", "sthv2", 62.3, 88.5, "1x1 of 224"),
            (8, None, "sthv2", 61.6, 87.7, "2x3 of 256"),
            (16, None, "sthv2", 63.8, 88.9, "2x3 of 256"),
        )
    ),
)
