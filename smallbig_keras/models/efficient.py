"""Networks that SmallBigNet is compared with and that have trunks of their own: the table of them.

S3D, S3D-G and I3D are Inception-v1 on clips; VoV3D joins the outputs of depthwise layers.
"""

import dataclasses

from smallbig_keras.data.clips import (
    KINETICS,
    PYSLOWFAST,
    SIGNED,
    SOMETHING_SOMETHING,
    TORCHVISION,
    UNIT,
)
from smallbig_keras.models.factory import define_model
from smallbig_keras.models.specs.s3d import S3DSpec
from smallbig_keras.models.specs.vov3d import VoV3DSpec
from smallbig_keras.models.variant import Variant

# Frames that follow each other, and 15 a second of a video of 30.
_FRAMES_64 = KINETICS.replace(frames=64, stride=1)
_TORCHVISION_CLIPS = KINETICS.replace(frames=64, stride=2, keep_aspect=False, **TORCHVISION)
_MILNCE_CLIPS = KINETICS.replace(frames=32, stride=3, **UNIT)

_SLIM = {
    "stem": "full",
    "stem_frames": 3,
    "temporal": "separable_bias",
    "padding": "tensorflow",
    "norm_scale": False,
}
_MILNCE = {
    "gates": True,
    "gate_bias": True,
    "padding": "zeros",
    "norm_epsilon": 1e-5,
    "norm_momentum": 0.9,
    "head_window": (None,) * 3,
    "dropout": 0.0,
}
_I3D = {"stem": "full", "temporal": "full", "padding": "tensorflow"}


def _s3d(clips, parameters, gmac, note="", **fields):
    return Variant(S3DSpec(**fields), clips, parameters, gmac, note)


_S3D_PAPER = (
    "Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video "
    "Classification, ECCV 2018."
)
S3D = define_model(
    __name__,
    "S3D",
    "Inception-v1 with convolutions over space and then over time.",
    _S3D_PAPER,
    reference=_s3d(_TORCHVISION_CLIPS, 8_320_048, 71.91, "torchvision"),
    port=_s3d(
        _FRAMES_64.replace(**SIGNED),
        8_320_048,
        71.91,
        "PyTorch port of TensorFlow's weights",
        head_window=(2, None, None),
        dropout=0.0,
    ),
    slim=_s3d(_FRAMES_64.replace(**UNIT), 8_299_520, 64.18, "TF-slim", **_SLIM),
)
S3DG = define_model(
    __name__,
    "S3DG",
    "S3D whose channels are gated by the mean of the clip.",
    _S3D_PAPER,
    reference=_s3d(
        _FRAMES_64.replace(**SIGNED), 9_539_376, 71.92, "torchvision's S3D with gates", gates=True
    ),
    slim=_s3d(_FRAMES_64.replace(**UNIT), 9_518_848, 64.18, "TF-slim", gates=True, **_SLIM),
    milnce=_s3d(_MILNCE_CLIPS, 9_556_000, 36.29, "MIL-NCE", stem="space_to_depth", **_MILNCE),
    milnce_plain=_s3d(
        _MILNCE_CLIPS, 9_535_072, 32.09, "MIL-NCE", stem="full", stem_frames=3, **_MILNCE
    ),
)
I3D = define_model(
    __name__,
    "I3D",
    "Inception-v1 with convolutions over space and time at once.",
    "Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017.",
    reference=_s3d(_FRAMES_64.replace(**SIGNED), 12_697_264, 111.15, **_I3D),
    slim=_s3d(
        _FRAMES_64.replace(**SIGNED), 12_689_984, 111.15, "TF-slim", norm_scale=False, **_I3D
    ),
)

_VOV3D_PAPER = (
    "Lee et al., Diverse Temporal Aggregation and Depthwise Spatiotemporal Factorization for "
    "Efficient Video Classification, 2020."
)
_VOV3D_KINETICS = KINETICS.replace(frames=16, stride=5, **PYSLOWFAST)
# Its configurations of Something-Something turn the channels round.
_VOV3D_SOMETHING = SOMETHING_SOMETHING.replace(frames=16, channel_order="bgr", **PYSLOWFAST)
_VOV3D_LONG = _VOV3D_SOMETHING.replace(frames=32)
_M = VoV3DSpec()
_L = VoV3DSpec(blocks=(1, 2, 5, 3), width=48)


def _something(spec, clips, parameters, gmac):
    spec = dataclasses.replace(spec, classes=174)
    return Variant(spec, clips, parameters, gmac, "Something-Something, BGR")


VoV3DM = define_model(
    __name__,
    "VoV3DM",
    "VoV3D-M: blocks that join the outputs of five depthwise layers.",
    _VOV3D_PAPER,
    reference=Variant(_M, _VOV3D_KINETICS, 3_667_360, 4.92, "Kinetics"),
    something=_something(_M, _VOV3D_SOMETHING, 3_204_286, 4.92),
    something_32f=_something(_M, _VOV3D_LONG, 3_204_286, 9.83),
)
VoV3DL = define_model(
    __name__,
    "VoV3DL",
    "VoV3D-L: wider and deeper than VoV3D-M.",
    _VOV3D_PAPER,
    reference=Variant(_L, _VOV3D_KINETICS, 6_297_168, 9.31, "Kinetics"),
    something=_something(_L, _VOV3D_SOMETHING, 5_834_094, 9.31),
    something_32f=_something(_L, _VOV3D_LONG, 5_834_094, 18.61),
)
