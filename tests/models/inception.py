"""The networks of Inception-v1 on clips that tests build."""

from smallbig_keras.models.s3d import VideoInception
from smallbig_keras.models.specs.s3d import S3DSpec

_FULL = {"stem": "full", "stem_frames": 3}
_SLIM = {**_FULL, "temporal": "separable_bias", "padding": "same", "norm_scale": False}
_MILNCE = {
    **{"gates": True, "gate_bias": True, "padding": "zeros"},
    **{"norm_epsilon": 1e-5, "norm_momentum": 0.9},
    **{"head_window": (None, None, None), "dropout": 0.0},
}
_I3D = {"stem": "full", "temporal": "full", "padding": "same"}
ROWS = {
    "S3D reference": {},
    "S3D port": {"head_window": (2, None, None), "dropout": 0.0},
    "S3D slim": _SLIM,
    "S3DG reference": {"gates": True},
    "S3DG slim": {**_SLIM, "gates": True},
    "S3DG milnce_plain": {**_FULL, **_MILNCE},
    "S3DG milnce": {"stem": "space_to_depth", **_MILNCE},
    "I3D reference": _I3D,
    "I3D slim": {**_I3D, "norm_scale": False},
}


def build(row, input_shape, classifier_activation="softmax", name="S3D", **options):
    """The model of a row, with options of its own."""
    spec = S3DSpec(**{**ROWS[row], **options})
    return VideoInception(
        spec, input_shape=input_shape, classifier_activation=classifier_activation, name=name
    )
