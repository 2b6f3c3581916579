"""Names that other codes give to the variables of our networks: a module a family."""

import re

from smallbig_keras.weights.layouts import resnet, s3d

# MIL-NCE's before the authors', whose names begin more of those of others.
LAYOUTS = (s3d.TORCHVISION, s3d.PORT, s3d.MILNCE)
LAYOUTS += (resnet.AUTHORS, resnet.TSM, resnet.OPENMMLAB, resnet.PYSLOWFAST)


def find_layout(state):
    """Returns the Layout of a state dict, or `None` if it is of none of the known codes."""
    signs = {layout: re.compile(layout.sign) for layout in LAYOUTS}
    return next((code for code, sign in signs.items() if any(map(sign.match, state))), None)
