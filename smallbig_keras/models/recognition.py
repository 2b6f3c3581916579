"""The network that a checkpoint of another code is of, told by names and shapes alone."""

import itertools

from smallbig_keras.models.specs.video_resnet import STAGES, VideoResNetSpec, mask_options
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.layouts import find_layout
from smallbig_keras.weights.layouts.resnet import AUTHORS, shifted_blocks
from smallbig_keras.weights.ports import is_2d
from smallbig_keras.weights.state_dicts import SUFFIXES, read_state_dict


def check_checkpoint(path, spec, name):
    """Refuses a checkpoint of another family before a network is built.

    Torchvision's ResNets start every network, and files of Keras and runs have a description.

    Args:
        path: pathlib.Path. File of weights.
        spec: VideoResNetSpec. The network to load it into.
        name: str. Model function.

    Raises:
        WeightsError: it looks through time in other blocks, or in another way.
    """
    if path.suffix not in SUFFIXES:
        return
    found = read_network(read_state_dict(path))
    if found is None:
        return
    canonical = spec.canonical()
    wanted = {field: getattr(canonical, field) for field in found}
    if wanted.get("nonlocal_pool", "") is None:
        # A pooling has no weights.
        found["nonlocal_pool"] = None
    if wanted != found:
        raise WeightsError(
            f"These weights are of {_describe(found)}; {name} with its options is "
            f"{_describe(wanted)}. Received: {path}"
        )


def _describe(fields):
    blocks = "-".join(map(str, fields["blocks"]))
    return ", ".join((f"a ResNet of {blocks} blocks", *VideoResNetSpec(**fields).parts()))


def read_network(state):
    """Reads what names and shapes tell of a network.

    Args:
        state: dict of names to arrays in PyTorch's layout.

    Returns:
        dict of fields of `VideoResNetSpec`, or `None` for a state dict of torchvision or of no
        known code.
    """
    layout = find_layout(state)
    if layout is None or (layout is AUTHORS and is_2d(state)):
        return None
    temporal = dict.fromkeys(shifted_blocks(state), "shift")
    state = layout.simplify(state)

    def array(path):
        return state.get(layout.name(path))

    def frames(path):
        kernel = array(f"{path}_conv/kernel")
        return kernel.shape[2] if kernel is not None and kernel.ndim == 5 else 1

    blocks, nonlocals = [], set()
    for stage in STAGES:
        for block in itertools.count(1):
            name = f"res{stage}_block{block}"
            if array(f"{name}_unit1_conv/kernel") is None:
                break
            for kind, is_there in (
                ("3x1x1", frames(f"{name}_unit1") > 1),
                ("3x3x3", frames(f"{name}_unit2") > 1),
                ("cost_a", array(f"{name}_unit2_conv/alpha") is not None),
                ("cost_b", array(f"{name}_unit2_conv/channel_kernel") is not None),
            ):
                if is_there:
                    temporal[stage, block] = kind
            if array(f"{name}_nonlocal/theta/kernel") is not None:
                nonlocals.add((stage, block))
        blocks.append(block - 1)
    if not all(blocks) or frames("stem") % 2 == 0:
        return None
    spec = VideoResNetSpec(
        blocks=blocks,
        stem_frames=frames("stem"),
        temporal=next(iter(temporal.values()), "3x1x1"),
        **mask_options("temporal", temporal, blocks),
        **mask_options("nonlocal", nonlocals, blocks),
    ).canonical()
    fields = ("blocks", "stem_frames", "temporal", "temporal_stages", "temporal_blocks")
    fields += ("nonlocal_stages", "nonlocal_blocks")
    attention = layout.attention if nonlocals else {}
    return {**{field: getattr(spec, field) for field in fields}, **attention}
