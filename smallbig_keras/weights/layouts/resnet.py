"""Names that other codes give to the variables of a ResNet of the trunk: a table a code."""

import re

from smallbig_keras.weights.layouts.layout import Layout

_LAYER = re.compile(
    r"(?:stem|res(?P<stage>[2-5])_block(?P<block>\d+)"
    r"_(?P<part>unit[123]|shortcut|extra|nonlocal))"
    r"_(?P<layer>conv|norm|big_norm|reduce|expand|theta|phi|g|out)"
)
_SHIFTED = re.compile(r"layer(?P<layer>[1-4])\.(?P<index>\d+)\..*\.net\.")


def _translation(modules):
    """Returns the function from the name of a layer to that of a module.

    Args:
        modules: dict of parts of our networks to modules of theirs. In these, `stage` counts
            from 2 and `block` from 1 as ours do, `layer` is the stage counted from 1, `index` the
            block counted from 0, `unit` the convolution of a block.
    """

    def translate(layer):
        match = _LAYER.fullmatch(layer)
        if match is None:
            return None
        part = match["part"] or "stem"
        module = modules.get(f"{part} {match['layer']}")
        if part.startswith("unit") and module is None:
            module = modules.get(f"unit {match['layer']}")
        if module is None or not match["stage"]:
            return module
        stage, block = int(match["stage"]), int(match["block"])
        return module.format(
            stage=stage, block=block, layer=stage - 1, index=block - 1, unit=part[-1]
        )

    return translate


def _in_block(block, modules):
    return {part: f"{block}.{module}" for part, module in modules.items()}


# A wrapper of the convolution behind a shift, of a block before its non-local block, and of a
# convolution before its pooling.
_WRAPPERS = ((r"\.net\.", "."), (r"\.block\.", "."))

AUTHORS = Layout(
    "the authors and torchvision",
    r"(conv1|bn1|layer[1-4]|fc)\.",
    _translation(
        {
            "stem conv": "conv1",
            "stem norm": "bn1",
            **_in_block(
                "layer{layer}.{index}",
                {
                    "unit conv": "conv{unit}",
                    "unit norm": "bn{unit}",
                    "unit big_norm": "big{unit}.1",
                    "shortcut conv": "downsample.0",
                    "shortcut norm": "downsample.1",
                    "extra reduce": "big4_1",
                    "extra expand": "big4_2.0",
                    "extra norm": "big4_2.1",
                },
            ),
        }
    ),
    "fc",
)
TSM = Layout(
    "TSM",
    r"(base_model|new_fc)\.",
    _translation(
        {
            "stem conv": "base_model.conv1",
            "stem norm": "base_model.bn1",
            **_in_block(
                "base_model.layer{layer}.{index}",
                {
                    "unit conv": "conv{unit}",
                    "unit norm": "bn{unit}",
                    "shortcut conv": "downsample.0",
                    "shortcut norm": "downsample.1",
                    "nonlocal theta": "nl.theta",
                    "nonlocal phi": "nl.phi",
                    "nonlocal g": "nl.g",
                    "nonlocal out": "nl.W.0",
                    "nonlocal norm": "nl.W.1",
                },
            ),
        }
    ),
    "new_fc",
    (*_WRAPPERS, (r"\.nl\.(phi|g)\.0\.", r".nl.\1.")),
    {"nonlocal_pool": "after", "nonlocal_scale": False},
)
# CoST is written with it.
OPENMMLAB = Layout(
    "OpenMMLab and CoST",
    r"(backbone|cls_head)\.",
    _translation(
        {
            "stem conv": "backbone.conv1.conv",
            "stem norm": "backbone.conv1.bn",
            **_in_block(
                "backbone.layer{layer}.{index}",
                {
                    "unit conv": "conv{unit}.conv",
                    "unit norm": "conv{unit}.bn",
                    "shortcut conv": "downsample.conv",
                    "shortcut norm": "downsample.bn",
                    "nonlocal theta": "non_local_block.theta.conv",
                    "nonlocal phi": "non_local_block.phi.conv",
                    "nonlocal g": "non_local_block.g.conv",
                    "nonlocal out": "non_local_block.conv_out.conv",
                    "nonlocal norm": "non_local_block.conv_out.bn",
                },
            ),
        }
    ),
    "cls_head.fc_cls",
    (*_WRAPPERS, (r"\.(phi|g)\.0\.conv\.", r".\1.conv.")),
    {"nonlocal_pool": "after"},
    others=r"data_preprocessor\.",
)


def _lettered(conv, norm):
    """The modules of a block whose three convolutions are a, b and c."""
    return {
        f"unit{n} {layer}": f"branch2.{module.format(letter)}"
        for n, letter in enumerate("abc", 1)
        for layer, module in (("conv", conv), ("norm", norm))
    }


PYSLOWFAST = Layout(
    "PySlowFast",
    r"(s[1-5]\.pathway0_|head\.projection\.)",
    _translation(
        {
            "stem conv": "s1.pathway0_stem.conv",
            "stem norm": "s1.pathway0_stem.bn",
            **_in_block(
                "s{stage}.pathway0_res{index}",
                {
                    **_lettered("{}", "{}_bn"),
                    "shortcut conv": "branch1",
                    "shortcut norm": "branch1_bn",
                },
            ),
            **_in_block(
                "s{stage}.pathway0_nonlocal{index}",
                {
                    "nonlocal theta": "conv_theta",
                    "nonlocal phi": "conv_phi",
                    "nonlocal g": "conv_g",
                    "nonlocal out": "conv_out",
                    "nonlocal norm": "bn",
                },
            ),
        }
    ),
    "head.projection",
    attention={"nonlocal_pool": "before", "nonlocal_scale": True},
)
PYTORCHVIDEO = Layout(
    "PyTorchVideo",
    r"blocks\.\d+\.(conv|norm|res_blocks|proj)\.",
    _translation(
        {
            "stem conv": "blocks.0.conv",
            "stem norm": "blocks.0.norm",
            **_in_block(
                "blocks.{layer}.res_blocks.{index}",
                {
                    **_lettered("conv_{}", "norm_{}"),
                    "shortcut conv": "branch1_conv",
                    "shortcut norm": "branch1_norm",
                },
            ),
        }
    ),
    "blocks.5.proj",
)
LAYOUTS = (AUTHORS, TSM, OPENMMLAB, PYSLOWFAST, PYTORCHVIDEO)


def shifted_blocks(state):
    """Returns the blocks of a state dict that TSM shifts, a set of `(stage, block)`."""
    matches = filter(None, map(_SHIFTED.search, state))
    return {(int(match["layer"]) + 1, int(match["index"]) + 1) for match in matches}
