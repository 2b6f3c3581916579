"""Names that other codes give to the variables of our networks: a module a family."""

import re

from smallbig_keras.weights.layouts import resnet, vov3d

# VoV3D is written with PySlowFast and has names that begin as those do.
LAYOUTS = (*vov3d.LAYOUTS, *resnet.LAYOUTS)


def find_layout(state):
    """Returns the Layout of a state dict, or `None` if it is of none of the known codes."""
    signs = {layout: re.compile(layout.sign) for layout in LAYOUTS}
    return next((code for code, sign in signs.items() if any(map(sign.match, state))), None)
