"""Names that other codes give to the variables of S3D and S3D-G: a table a code."""

from smallbig_keras.weights.layouts.layout import Layout

STAGES = ("stem", "conv2b", "conv2c")
BLOCKS = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
# The convolutions of a block: those of single pixels, and those over space and time.
_SINGLE = ("branch0", "branch1_reduce", "branch2_reduce", "branch3")
_PAIRS = ("branch1", "branch2")


def _table(places, branches, single, pair):
    """Returns the dict from names of layers to modules.

    Args:
        places: dict of stages and blocks to modules.
        branches: dict of convolutions of a block to modules in it.
        single: dict of `"conv"` and `"norm"` to modules in those of a convolution of single
            pixels.
        pair: dict of the same for height and width, and with `"temporal_"` before them for frames.
    """
    found = [(stage, places[stage], single if stage == "conv2b" else pair) for stage in STAGES]
    for block in BLOCKS:
        for names, modules in ((_SINGLE, single), (_PAIRS, pair)):
            found += [
                (f"mixed{block}_{name}", f"{places[block]}.{branches[name]}", modules)
                for name in names
            ]
    return {
        f"{name}_{layer}": f"{place}.{module}"
        for name, place, modules in found
        for layer, module in modules.items()
    }


def _sequence(top):
    """The places in a sequence of layers, of which the poolings are some."""
    places = (0, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15)
    return {stage: f"{top}.{place}" for stage, place in zip(STAGES + BLOCKS, places, strict=True)}


_BRANCHES = {
    "branch0": "branch0.0",
    "branch1_reduce": "branch1.0",
    "branch1": "branch1.1",
    "branch2_reduce": "branch2.0",
    "branch2": "branch2.1",
    "branch3": "branch3.1",
}
_MILNCE_BRANCHES = {
    "branch0": "conv_b0",
    "branch1_reduce": "conv_b1_a",
    "branch1": "conv_b1_b",
    "branch2_reduce": "conv_b2_a",
    "branch2": "conv_b2_b",
    "branch3": "conv_b3_b",
}
_GATES = {"conv2c_gate_expand": "gating.fc"}
_GATES |= {
    f"mixed{block}_branch{n}_gate_expand": f"mixed_{block}.gating_b{n}.fc"
    for block in BLOCKS
    for n in range(4)
}

TORCHVISION = Layout(
    "torchvision's S3D",
    r"features\.\d+\.branch[0-3]\.",
    _table(
        _sequence("features"),
        {**_BRANCHES, "branch0": "branch0"},
        {"conv": "0", "norm": "1"},
        {"conv": "0.0", "norm": "0.1", "temporal_conv": "1.0", "temporal_norm": "1.1"},
    ).get,
    "classifier.1",
)
PORT = Layout(
    "the PyTorch port of S3D",
    r"base\.\d+\.branch[0-3]\.",
    _table(
        _sequence("base"),
        _BRANCHES,
        {"conv": "conv", "norm": "bn"},
        {"conv": "conv_s", "norm": "bn_s", "temporal_conv": "conv_t", "temporal_norm": "bn_t"},
    ).get,
    "fc.0",
)
MILNCE = Layout(
    "MIL-NCE's S3D-G",
    r"mixed_[345][b-f]\.",
    {
        **_table(
            {
                "stem": "conv1",
                **{stage: f"conv_{stage[4:]}" for stage in STAGES[1:]},
                **{block: f"mixed_{block}" for block in BLOCKS},
            },
            _MILNCE_BRANCHES,
            {"conv": "conv1", "norm": "bn1"},
            {"conv": "conv1", "norm": "bn1", "temporal_conv": "conv2", "temporal_norm": "bn2"},
        ),
        **_GATES,
    }.get,
    "fc",
    others=r"text_module\.",
)
