"""Names that the code of VoV3D gives to the variables of our VoV3D."""

import re

from smallbig_keras.weights.layouts.layout import Layout

_BLOCK = re.compile(r"res(?P<stage>[2-5])_block(?P<block>\d+)_(layer(?P<layer>\d+)_)?(?P<part>.+)")
_OUTSIDE = {
    "stem_space_conv": "s1.pathway0_stem.conv_xy",
    "stem_time_conv": "s1.pathway0_stem.conv",
    "stem_norm": "s1.pathway0_stem.bn",
    "last_conv": "head.conv_5",
    "last_norm": "head.conv_5_bn",
    "head_features": "head.lin_5",
}
_IN_BLOCK = {
    "shortcut_conv": "branch1",
    "shortcut_norm": "branch1_bn",
    "join_conv": "branch2.c",
    "join_norm": "branch2.c_bn",
}
_IN_LAYER = {
    "expand_conv": "a.0",
    "expand_norm": "a.1",
    "space_conv": "b1",
    "time_conv": "b2",
    "time_norm": "b_bn",
    "gate_reduce": "se.fc1",
    "gate_expand": "se.fc2",
    "reduce_conv": "c.0",
    "reduce_norm": "c.1",
}


def _translate(layer):
    if layer in _OUTSIDE:
        return _OUTSIDE[layer]
    match = _BLOCK.fullmatch(layer)
    if match is None:
        return None
    block = f"s{match['stage']}.pathway0_res{int(match['block']) - 1}"
    if match["layer"] is None:
        module = _IN_BLOCK.get(match["part"])
        return module and f"{block}.{module}"
    module = _IN_LAYER.get(match["part"])
    return module and f"{block}.branch2.layers.{int(match['layer']) - 1}.{module}"


VOV3D = Layout(
    "VoV3D",
    r"s[2-5]\.pathway0_res\d+\.branch2\.layers\.",
    _translate,
    "head.projection",
)
LAYOUTS = (VOV3D,)
