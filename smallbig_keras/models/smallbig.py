"""SmallBigNet (Li et al., "SmallBigNet", CVPR 2020): the table of its networks.

`reference` is the authors' released code, `paper` what gives the parameters and operations
of the paper's tables. They differ in the stages that get SmallBig units and in place and
width of the extra unit; the paper prints no width, 8 to 1 is inferred from its Table 6.
"""

import dataclasses

from smallbig_keras.data.clips import KINETICS, SOMETHING_SOMETHING
from smallbig_keras.models.factory import define_model
from smallbig_keras.models.spec import VideoResNetSpec

_R50 = VideoResNetSpec(smallbig_stages=(3, 4, 5))
_R23 = dataclasses.replace(_R50, blocks=(1, 2, 3, 1))
_R101 = dataclasses.replace(_R50, blocks=(3, 4, 23, 3))
_SLOWONLY = VideoResNetSpec(temporal_stages=(4, 5), units=(), extra="smallbig", classes=174)
_PAPER_EXTRA = {"extra": "smallbig", "extra_position": "output", "extra_ratio": 8}

SmallBigR23 = define_model(
    __name__,
    "SmallBigR23",
    "SmallBigNet on a ResNet of 23 layers, the network of the paper's ablations.",
    KINETICS,
    reference=_R23,
    paper=dataclasses.replace(_R23, smallbig_stages=(2, 3, 4, 5), **_PAPER_EXTRA),
)
SmallBigR50 = define_model(
    __name__,
    "SmallBigR50",
    "SmallBigNet on ResNet-50, the paper's network for Kinetics-400.",
    KINETICS,
    reference=dataclasses.replace(_R50, extra="smallbig"),
    paper=dataclasses.replace(_R50, **_PAPER_EXTRA),
)
SmallBigR101 = define_model(
    __name__,
    "SmallBigR101",
    "SmallBigNet on ResNet-101, which the paper runs on 32 frames.",
    KINETICS,
    reference=_R101,
    paper=_R101,
)
SmallBigSlowOnlyR50 = define_model(
    __name__,
    "SmallBigSlowOnlyR50",
    "SlowOnly-R50 with extra SmallBig units, the paper's network for Something-Something.",
    SOMETHING_SOMETHING,
    reference=dataclasses.replace(_SLOWONLY, smallbig_stages=(4, 5)),
    paper=dataclasses.replace(_SLOWONLY, smallbig_stages=(3, 4, 5)),
)
