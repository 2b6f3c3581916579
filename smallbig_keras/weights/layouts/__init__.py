"""Names that other codes give to the variables of our networks: a module a family."""

import re

from smallbig_keras.weights.layouts import resnet, s3d, vov3d

# Names of the ResNets begin as some of the others do, and come last.
LAYOUTS = (*s3d.LAYOUTS, *vov3d.LAYOUTS, *resnet.LAYOUTS)


def find_layout(state):
    """Returns the Layout of a state dict, or `None` if it is of none of the known codes."""
    signs = {layout: re.compile(layout.sign) for layout in LAYOUTS}
    return next((code for code, sign in signs.items() if any(map(sign.match, state))), None)
