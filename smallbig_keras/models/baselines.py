"""Networks that SmallBigNet is compared with and that share its trunk: the table of them."""

import dataclasses

from smallbig_keras.data.clips import KINETICS, SOMETHING_SOMETHING
from smallbig_keras.models.factory import define_model
from smallbig_keras.models.specs.video_resnet import STAGES, VideoResNetSpec
from smallbig_keras.models.variant import Variant

R23, R101 = (1, 2, 3, 1), (3, 4, 23, 3)
# Patterns of blocks: all, every second one from the first, every second one from the second.
_ALL, _ODD, _EVEN = (1,), (1, 0), (0, 1)
# 32 frames of the same 64 of a video.
_LONG = KINETICS.replace(frames=32, stride=2)

_C2D = VideoResNetSpec()
_C2D_POOLED = VideoResNetSpec(time_pool=2)
_I3D_ALL = VideoResNetSpec(temporal_stages=STAGES)
# As PySlowFast and the authors of the non-local block build it.
_I3D = dataclasses.replace(
    _I3D_ALL, stem_frames=5, time_pool=2, temporal_blocks=(_ALL, _ODD, _ODD, _EVEN), dropout=0.5
)
# The blocks that CoST changes in a ResNet-50, and its I3D baseline with it.
_COST_BLOCKS = {"temporal_blocks": (_EVEN, _ODD, _ODD, _ODD), "time_pool": 2, "dropout": 0.5}
_COST_BLOCKS_R101 = {**_COST_BLOCKS, "temporal_blocks": (_EVEN, _ODD, _ODD, _EVEN), "blocks": R101}
_COST_LONG = {"stem_frames": 5, "stem_stride": 2, "stem_pool": 2}
_SLOWONLY = VideoResNetSpec(temporal_stages=(4, 5))
_TSM = VideoResNetSpec(temporal_stages=STAGES, temporal="shift", dropout=0.5)
_EVERY_SECOND = {"temporal_blocks": (_ODD,) * 4}
# Five blocks of a ResNet-50, and all of res3 and res4 as in the paper of SmallBigNet.
_FIVE = {"nonlocal_stages": (3, 4), "nonlocal_blocks": (_EVEN,) * 4}
_NL_PAPER = {"nonlocal_stages": (3, 4), "nonlocal_scale": False, "nonlocal_pool": "after"}


def _row(spec, parameters, gmac, note="", clips=KINETICS, **changes):
    return Variant(dataclasses.replace(spec, **changes), clips, parameters, gmac, note)


_C2D_PAPER = "2-D ResNet, as in Wang et al., Non-local Neural Networks, CVPR 2018."
C2DR23 = define_model(
    __name__,
    "C2DR23",
    "The 2-D ResNet of 23 layers on every frame (paper, Table 1).",
    _C2D_PAPER,
    reference=_row(_C2D, 11_349_968, 16.98, blocks=R23),
    pooled=_row(_C2D_POOLED, 11_349_968, 9.89, blocks=R23),
)
C2DR50 = define_model(
    __name__,
    "C2DR50",
    "The 2-D ResNet-50 on every frame (paper, Table 1).",
    _C2D_PAPER,
    reference=_row(_C2D, 24_327_632, 32.7),
    pooled=_row(_C2D_POOLED, 24_327_632, 19.49, "PySlowFast, CoST"),
)
C2DR101 = define_model(
    __name__,
    "C2DR101",
    "The 2-D ResNet-101 on every frame.",
    _C2D_PAPER,
    reference=_row(_C2D, 43_319_760, 62.4, blocks=R101),
    pooled=_row(_C2D_POOLED, 43_319_760, 34.34, blocks=R101),
)

_I3D_PAPER = "Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017; as a ResNet " + (
    "in Wang et al., Non-local Neural Networks, CVPR 2018."
)
I3DR23 = define_model(
    __name__,
    "I3DR23",
    "ResNet of 23 layers with 3x1x1 convolutions, the 3-D network of the paper's Table 2.",
    _I3D_PAPER,
    reference=_row(_I3D, 12_247_760, 15.92, "PySlowFast", blocks=R23),
    paper=_row(_I3D_ALL, 13_914_064, 24.58, blocks=R23),
    cost=_row(_I3D_ALL, 13_250_512, 12.76, "baseline of CoST", **{**_COST_BLOCKS, "blocks": R23}),
)
I3DR50 = define_model(
    __name__,
    "I3DR50",
    "ResNet-50 with 3x1x1 convolutions.",
    _I3D_PAPER,
    reference=_row(_I3D, 28_043_472, 28.41, "PySlowFast"),
    paper=_row(_I3D_ALL, 32_986_576, 47.7, "every block, as the paper's 3-D network of 23 layers"),
    cost=_row(_I3D_ALL, 29_013_456, 24.43, "baseline of CoST", **_COST_BLOCKS),
)

_SLOWONLY_PAPER = "Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019."
SlowOnlyR50 = define_model(
    __name__,
    "SlowOnlyR50",
    "ResNet-50 with 3x1x1 convolutions in res4 and res5.",
    _SLOWONLY_PAPER,
    reference=_row(_SLOWONLY, 32_454_096, 41.74),
)
SlowOnlyR101 = define_model(
    __name__,
    "SlowOnlyR101",
    "ResNet-101 with 3x1x1 convolutions in res4 and res5.",
    _SLOWONLY_PAPER,
    reference=_row(_SLOWONLY, 60_359_120, 85.41, blocks=R101),
)

_NONLOCAL_PAPER = "Wang et al., Non-local Neural Networks, CVPR 2018."
NonLocalR23 = define_model(
    __name__,
    "NonLocalR23",
    "ResNet of 23 layers with non-local blocks, which the paper compares with (section 6.1).",
    _NONLOCAL_PAPER,
    reference=_row(_I3D, 14_876_112, 19.39, "on I3D", blocks=R23, **_FIVE),
    c2d=_row(_C2D_POOLED, 13_978_320, 13.36, "on C2D", blocks=R23, dropout=0.5, **_FIVE),
    paper=_row(_C2D, 18_708_432, 45.38, "products without scale", blocks=R23, **_NL_PAPER),
)
NonLocalR50 = define_model(
    __name__,
    "NonLocalR50",
    "ResNet-50 with non-local blocks.",
    _NONLOCAL_PAPER,
    reference=_row(_I3D, 35_401_936, 36.54, "on I3D, PySlowFast", **_FIVE),
    c2d=_row(_C2D_POOLED, 31_686_096, 27.62, "on C2D", dropout=0.5, **_FIVE),
    paper=_row(_C2D, 39_044_560, 89.5, "placed as in the paper's R23", **_NL_PAPER),
)

# TSM takes a frame of each part of the video.
_SEGMENTS = {"clips": SOMETHING_SOMETHING}
_TSM_PAPER = "Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019."
_TSM_NONLOCAL = {**_NL_PAPER, "nonlocal_blocks": (_ODD,) * 4}
TSMR50 = define_model(
    __name__,
    "TSMR50",
    "ResNet-50 whose blocks take an eighth of the channels from each neighbouring frame.",
    _TSM_PAPER,
    reference=_row(_TSM, 24_327_632, 32.7, **_SEGMENTS),
    every_second=_row(_TSM, 24_327_632, 32.7, **_SEGMENTS, **_EVERY_SECOND),
    nl=_row(
        _TSM,
        31_686_096,
        61.1,
        "with five non-local blocks, without scale",
        **_SEGMENTS,
        **_TSM_NONLOCAL,
    ),
)
TSMR101 = define_model(
    __name__,
    "TSMR101",
    "ResNet-101 whose every second block takes channels from the neighbouring frames.",
    _TSM_PAPER,
    reference=_row(_TSM, 43_319_760, 62.4, blocks=R101, **_SEGMENTS, **_EVERY_SECOND),
    every_block=_row(_TSM, 43_319_760, 62.4, blocks=R101, **_SEGMENTS),
)

_COST_PAPER = (
    "Li et al., Collaborative Spatiotemporal Feature Learning for Video Action Recognition, "
    "CVPR 2019."
)
_COST_A = dataclasses.replace(_I3D_ALL, temporal="cost_a")
_COST_B = dataclasses.replace(_I3D_ALL, temporal="cost_b")
CoSTR50 = define_model(
    __name__,
    "CoSTR50",
    "ResNet-50 with one kernel for the three views of a clip.",
    _COST_PAPER,
    reference=_row(_COST_B, 25_085_464, 27.82, **_COST_BLOCKS),
    a=_row(_COST_A, 24_333_968, 27.82, **_COST_BLOCKS),
    b_32f=_row(_COST_B, 25_123_096, 36.32, clips=_LONG, **_COST_BLOCKS, **_COST_LONG),
    a_32f=_row(_COST_A, 24_371_600, 36.31, clips=_LONG, **_COST_BLOCKS, **_COST_LONG),
)
CoSTR101 = define_model(
    __name__,
    "CoSTR101",
    "ResNet-101 with one kernel for the three views of a clip.",
    _COST_PAPER,
    reference=_row(_COST_B, 44_405_344, 50.07, **_COST_BLOCKS_R101),
    a=_row(_COST_A, 43_331_472, 50.06, **_COST_BLOCKS_R101),
    b_32f=_row(_COST_B, 44_442_976, 58.56, clips=_LONG, **_COST_BLOCKS_R101, **_COST_LONG),
    a_32f=_row(_COST_A, 43_369_104, 58.56, clips=_LONG, **_COST_BLOCKS_R101, **_COST_LONG),
)
