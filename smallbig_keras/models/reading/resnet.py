"""A ResNet of the trunk, read from the layers of a model or from a checkpoint of another code."""

import itertools

from smallbig_keras.models.specs.video_resnet import STAGES, UNITS, VideoResNetSpec, mask_options
from smallbig_keras.weights.layouts.resnet import AUTHORS, shifted_blocks

_EXTRAS = {"SmallBigExtraUnit": "smallbig", "SqueezeExciteUnit": "squeeze_excite"}
_TEMPORAL = {
    "shift": "TemporalShift",
    "3x1x1": "TemporalConv",
    "3x3x3": "SpaceTimeConv",
    "cost": "CoSTConv",
}


def read_options(layers):
    """Reads the options of a network from the layers of its model.

    Args:
        layers: dict of names to `(kind, arguments)`, in the order of the model.

    Returns:
        dict of the fields of `VideoResNetSpec` that the layers show, `classes` among them if
        there is a head, or `None` for a network of another family.
    """
    kinds = {name: kind for name, (kind, _) in layers.items()}
    arguments = {name: values for name, (_, values) in layers.items()}
    order = {name: position for position, name in enumerate(kinds)}
    blocks = [
        sum(name.startswith(f"res{s}_") and name.endswith("_add") for name in kinds) for s in STAGES
    ]
    if not all(blocks) or not {"res2_block1_unit1", "res2_block1_unit1_conv"} & set(kinds):
        return None
    options = {"blocks": tuple(blocks), **_read_stem(arguments)}
    options |= _read_temporal(kinds, arguments, blocks) | _read_nonlocal(arguments, blocks)
    units = {
        n: [name for name in kinds if name.endswith(f"_unit{n}") and kinds[name] == "SmallBigUnit"]
        for n in UNITS
    }
    extras = [name for name in kinds if kinds[name] in _EXTRAS]
    inside = [name for names in units.values() for name in names]
    stages = tuple(s for s in STAGES if any(n.startswith(f"res{s}_") for n in (*inside, *extras)))
    options["smallbig_stages"] = stages
    if stages:
        options["units"] = tuple(n for n in UNITS if units[n])
        options["extra"] = _EXTRAS[kinds[extras[0]]] if extras else None
    if extras:
        block = extras[0].removesuffix("_extra")
        before = order[extras[0]] < order[f"{block}_add"]
        options["extra_position"] = "input" if before else "output"
        options["extra_ratio"] = arguments[extras[0]].get("ratio")
    for name in ("pool", "share_weights", "normalization"):
        for layer in (*inside, *extras)[:1]:
            if name in arguments[layer]:
                options[name] = arguments[layer][name]
    options["pool_sizes"] = tuple(
        arguments[units[n][0]].get("pool_size") if units[n] else default
        for n, default in zip(UNITS, VideoResNetSpec.pool_sizes, strict=True)
    )
    options["dropout"] = arguments.get("dropout", {}).get("rate", 0.0)
    if "classifier" in kinds:
        options["classes"] = arguments["classifier"].get("units")
    return options


def _read_stem(arguments):
    """Returns the options of stem and poolings over time."""
    conv = arguments["stem_conv"]
    options = {"width": conv.get("filters")}
    if len(_tuple(conv.get("kernel_size"))) == 3:
        options["stem_frames"] = conv["kernel_size"][0]
        options["stem_stride"] = next(iter(_tuple(conv.get("strides"))), None)
    for layer, name in (("stem_time_pool", "stem_pool"), ("time_pool", "time_pool")):
        if layer in arguments:
            options[name] = arguments[layer].get("pool_size")
    return options


def _tuple(value):
    return tuple(value) if isinstance(value, list | tuple) else ()


def _read_temporal(kinds, arguments, blocks):
    """Returns the options of the blocks that look through time."""
    found = {}
    for stage, block in _places(blocks):
        name = f"res{stage}_block{block}"
        for layer, kind in (
            (f"{name}_shift", "shift"),
            (f"{name}_unit1_conv", "3x1x1"),
            (f"{name}_unit2_conv", "3x3x3"),
            (f"{name}_unit2_conv", "cost"),
        ):
            if kinds.get(layer) == _TEMPORAL[kind]:
                fusion = f"_{arguments[layer].get('fusion')}" if kind == "cost" else ""
                found[stage, block] = kind + fusion
    options = mask_options("temporal", found, blocks)
    return {**options, "temporal": next(iter(found.values()))} if found else options


def _read_nonlocal(arguments, blocks):
    """Returns the options of the non-local blocks."""
    places = _places(blocks)
    found = {place: "res{}_block{}_nonlocal".format(*place) for place in places}
    found = {place: name for place, name in found.items() if name in arguments}
    options = mask_options("nonlocal", found, blocks)
    for name in list(found.values())[:1]:
        keys = {"mode": "mode", "scale": "scale", "pool": "pool", "bias": "use_bias"}
        options |= {f"nonlocal_{key}": arguments[name].get(value) for key, value in keys.items()}
    return options


def _places(blocks):
    return [
        (stage, block)
        for stage, number in zip(STAGES, blocks, strict=True)
        for block in range(1, number + 1)
    ]


def read_network(layout, state):
    """Reads what names and shapes of a checkpoint tell of its network.

    Args:
        layout: Layout of its code.
        state: dict of names to arrays in PyTorch's layout.

    Returns:
        dict of fields of `VideoResNetSpec`, or `None` where the names are those of torchvision
        or not enough.
    """
    if layout is AUTHORS and all(array.ndim != 5 for array in state.values()):
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
