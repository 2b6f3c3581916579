"""Networks and blocks of the peers against the numbers of their original code."""

import keras
import pytest

import smallbig_keras
from smallbig_keras.layers import CoSTConv, NonLocalBlock, TemporalShift
from smallbig_keras.models import VideoResNetSpec, feature_extractor
from smallbig_keras.models.video_resnet import apply_block
from smallbig_keras.weights import port_state_dict
from smallbig_keras.weights.layouts.resnet import OPENMMLAB, PYSLOWFAST, TSM
from tests.models import test_s3d, test_vov3d
from tests.models.golden_blocks import check_block, stages, to_float64
from tests.peers_formula import CASES, clip, golden, state
from tests.reference_formula import relative_error

NETS = {
    "cost_a_r50": ("CoSTR50", "a"),
    "cost_b_r50": ("CoSTR50", "reference"),
    "cost_b_r101_32f": ("CoSTR101", "b_32f"),
    "cost_c2d_r50": ("C2DR50", "pooled"),
    "cost_i3d_r50": ("I3DR50", "cost"),
    "sf_c2d_r50": ("C2DR50", "pooled"),
    "sf_c2d_nopool_r50": ("C2DR50", "reference"),
    "sf_i3d_r50": ("I3DR50", "reference"),
    "sf_i3d_nln_r50": ("NonLocalR50", "reference"),
    "tsm_r50": ("TSMR50", "reference"),
    "tsm_r50_nl": ("TSMR50", "nl"),
}
# Modules of the codes, and our stages.
STAGES = {
    **{"backbone.conv1": "stem_relu", "backbone.maxpool": "stem", "base_model.maxpool": "stem"},
    "s1": "stem",
    **{
        f"{code}.layer{n}": f"res{n + 1}"
        for code in ("backbone", "base_model")
        for n in range(1, 5)
    },
    **{f"s{n}": f"res{n}" for n in range(2, 6)},
}


def network_errors(name):
    """Relative error of scores and stages of a network, by their names."""
    case, expected = CASES[name], golden(name)
    function, variant = NETS[name]
    model = getattr(smallbig_keras, function)(
        input_shape=clip(name).shape[1:], variant=variant, classifier_activation=None
    )
    port_state_dict(model, state(name), f"{name}.pth")
    features = feature_extractor(model, [*{STAGES[s] for s in case["stages"]}, "predictions"])
    outputs = {k: to_float64(v) for k, v in features(clip(name)).items()}
    logits = outputs["predictions"]
    if "logits" in expected:
        found = {"logits": (logits, expected["logits"])}
    else:
        found = {
            "logits": (logits, expected["logits_map"][:, 0, 0, 0]),
            "probabilities": (to_float64(keras.ops.softmax(logits)), expected["probs"]),
        }
    found |= stages(name, {stage: outputs[STAGES[stage]] for stage in case["stages"]})
    return {key: relative_error(*pair) for key, pair in found.items()}


@pytest.mark.parametrize("name", NETS)
def test_network(name):
    limit = 1e-3 if "nl" in name else 1e-4
    errors = network_errors(name)
    assert len(errors) > 5
    assert all(error < limit for error in errors.values()), errors


@pytest.mark.parametrize("name", NETS)
def test_macs_of_network(name):
    function, variant = NETS[name]
    macs = CASES[name]["macs"]
    _, channels, *sizes = macs["input"]
    model = getattr(smallbig_keras, function)(input_shape=(*sizes, channels), variant=variant)
    # TSM's classifier runs on every frame, ours on their mean.
    heads = sizes[0] - 1 if name.startswith("tsm") else 0
    assert smallbig_keras.complexity(model).macs == macs["total"] - heads * 2048 * 400


def block(**options):
    """A block of res3, by the arguments of the case."""

    def build(inputs, arguments):
        planes = arguments.get("planes", arguments.get("dim_inner"))
        strides = arguments.get("spatial_stride", arguments.get("stride"))
        spec = VideoResNetSpec(temporal_stages=(3,), **options)
        return apply_block(inputs, spec, 3, planes, strides, "res3_block1")

    return build


def cost(fusion):
    name = "res3_block1_unit2_conv"
    return lambda inputs, arguments: CoSTConv(
        arguments["out_channels"], strides=arguments["stride"][1], fusion=fusion, name=name
    )(inputs)


def nonlocal_block(**options):
    return lambda inputs, _: NonLocalBlock(**options, name="res3_block1_nonlocal")(inputs)


SLOWFAST_NL, TSM_NL = "s3.pathway0_nonlocal0.", "base_model.layer2.0.nl."
MMLAB, MMLAB_CONV = "backbone.layer2.0.", "backbone.layer2.0.conv2.conv."
MMLAB_NL = "backbone.layer2.0.non_local_block."
BLOCKS = {
    "cost_a": (cost("a"), OPENMMLAB, MMLAB_CONV),
    "cost_a_stride": (cost("a"), OPENMMLAB, MMLAB_CONV),
    "cost_b": (cost("b"), OPENMMLAB, MMLAB_CONV),
    "cost_b_stride": (cost("b"), OPENMMLAB, MMLAB_CONV),
    "cost_a_bottleneck": (block(temporal="cost_a"), OPENMMLAB, MMLAB),
    "cost_b_bottleneck": (block(temporal="cost_b"), OPENMMLAB, MMLAB),
    "i3d_311_bottleneck": (block(), OPENMMLAB, MMLAB),
    "i3d_333_bottleneck": (block(temporal="3x3x3"), OPENMMLAB, MMLAB),
    "i3d_sf_resblock": (block(), PYSLOWFAST, "s3.pathway0_res0."),
    "nl_scale": (nonlocal_block(), PYSLOWFAST, SLOWFAST_NL),
    "nl_scale_nopool": (nonlocal_block(pool=None), PYSLOWFAST, SLOWFAST_NL),
    "nl_dot": (nonlocal_block(mode="dot_product"), PYSLOWFAST, SLOWFAST_NL),
    "nl_noscale": (nonlocal_block(scale=False, pool="after"), TSM, TSM_NL),
    "nl_noscale_nopool": (nonlocal_block(scale=False, pool=None), TSM, TSM_NL),
    "nl_mm_scale": (nonlocal_block(pool="after", use_bias=False), OPENMMLAB, MMLAB_NL),
    "nl_mm_noscale": (
        nonlocal_block(scale=False, pool="after", use_bias=False),
        OPENMMLAB,
        MMLAB_NL,
    ),
    "tsm_shift": (lambda inputs, _: TemporalShift()(inputs), TSM, ""),
    "tsm_bottleneck": (block(temporal="shift"), TSM, "base_model.layer2.0."),
}


def test_every_case_is_here():
    others = {*test_s3d.NETS, *test_s3d.BLOCKS, *test_vov3d.NETS, *test_vov3d.BLOCKS}
    assert {*NETS, *BLOCKS, *others} == set(CASES)


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name):
    check_block(name, *BLOCKS[name])
