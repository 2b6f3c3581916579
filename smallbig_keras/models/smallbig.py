"""SmallBigNet (Li et al., "SmallBigNet", CVPR 2020): the table of its networks.

`reference` is the authors' released code, `paper` what gives the parameters and operations
of the paper's tables. They differ in the stages that get SmallBig units and in place and
width of the extra unit; the paper prints no width, 8 to 1 is inferred from its Table 6.
"""

import dataclasses

from smallbig_keras.data.clips import KINETICS, SOMETHING_SOMETHING
from smallbig_keras.models.factory import define_model
from smallbig_keras.models.specs.video_resnet import VideoResNetSpec
from smallbig_keras.models.variant import Variant

_R50 = VideoResNetSpec(smallbig_stages=(3, 4, 5))
_R23 = dataclasses.replace(_R50, blocks=(1, 2, 3, 1))
_R101 = dataclasses.replace(_R50, blocks=(3, 4, 23, 3))
_SLOWONLY = VideoResNetSpec(temporal_stages=(4, 5), units=(), extra="smallbig", classes=174)
_PAPER_EXTRA = {"extra": "smallbig", "extra_position": "output", "extra_ratio": 8}

_PAPER = (
    "Li et al., SmallBigNet: Integrating Core and Contextual Views for Video Classification, "
    "CVPR 2020."
)

SmallBigR23 = define_model(
    __name__,
    "SmallBigR23",
    "SmallBigNet on a ResNet of 23 layers, the network of the paper's ablations.",
    _PAPER,
    reference=Variant(_R23, KINETICS, 11_368_400, 26.53),
    paper=Variant(
        dataclasses.replace(_R23, smallbig_stages=(2, 3, 4, 5), **_PAPER_EXTRA),
        KINETICS,
        13_364_432,
        30.49,
    ),
)
SmallBigR50 = define_model(
    __name__,
    "SmallBigR50",
    "SmallBigNet on ResNet-50, the paper's network for Kinetics-400.",
    _PAPER,
    reference=Variant(dataclasses.replace(_R50, extra="smallbig"), KINETICS, 32_292_816, 62.66),
    paper=Variant(dataclasses.replace(_R50, **_PAPER_EXTRA), KINETICS, 29_380_048, 57.31),
)
SmallBigR101 = define_model(
    __name__,
    "SmallBigR101",
    "SmallBigNet on ResNet-101, which the paper runs on 32 frames.",
    _PAPER,
    reference=Variant(_R101, KINETICS, 43_414_992, 105.25),
    paper=Variant(_R101, KINETICS, 43_414_992, 105.25),
)
SmallBigSlowOnlyR50 = define_model(
    __name__,
    "SmallBigSlowOnlyR50",
    "SlowOnly-R50 with extra SmallBig units, the paper's network for Something-Something.",
    _PAPER,
    reference=Variant(
        dataclasses.replace(_SLOWONLY, smallbig_stages=(4, 5)),
        SOMETHING_SOMETHING,
        39_483_630,
        49.14,
    ),
    paper=Variant(
        dataclasses.replace(_SLOWONLY, smallbig_stages=(3, 4, 5)),
        SOMETHING_SOMETHING,
        39_913_198,
        52.43,
    ),
)
