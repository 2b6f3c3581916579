"""From the configuration of a Keras model, which is data, to the description of our network.

A model does not say which function made it, and may be a clone or come from a file. Its layers
tell: each option of a network shows in their names, kinds and arguments.
"""

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.specs.video_resnet import STAGES, UNITS, VideoResNetSpec, mask_options

_EXTRAS = {"SmallBigExtraUnit": "smallbig", "SqueezeExciteUnit": "squeeze_excite"}
_TEMPORAL = {
    "shift": "TemporalShift",
    "3x1x1": "TemporalConv",
    "3x3x3": "SpaceTimeConv",
    "cost": "CoSTConv",
}
# Arguments of layers that change what a network computes, beside its weights.
_ARGUMENTS = (
    *("filters", "kernel_size", "strides", "pool_size", "pool", "mode", "share_weights"),
    *("normalization", "activation", "ratio", "units", "rate", "axis", "epsilon", "data_format"),
    *("divisor", "fusion", "scale", "use_bias"),
)


def read_options(config):
    """Reads the options of a network of the trunk from the configuration of its model.

    Args:
        config: dict, `model.get_config()` or the same from JSON.

    Returns:
        dict of the fields of `VideoResNetSpec` that the layers show, `classes` among them if
        there is a head.

    Raises:
        SmallBigError: it is no network of this package.
    """
    layers = _layers(config)
    kinds = {name: kind for name, kind, _, _ in layers}
    arguments = {name: values for name, _, values, _ in layers}
    order = {name: position for position, name in enumerate(kinds)}
    blocks = [
        sum(name.startswith(f"res{s}_") and name.endswith("_add") for name in kinds) for s in STAGES
    ]
    if "stem_conv" not in kinds or not all(blocks):
        raise SmallBigError(
            "A network of this package has a stem and the stages res2 to res5. "
            f"Received: a model of the layers {', '.join(list(kinds)[:5])}, ..."
        )
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


def read_activation(config):
    """Returns the name of the head's activation in the configuration of a model."""
    activations = [
        values.get("activation") for name, _, values, _ in _layers(config) if name == "predictions"
    ]
    return activations[0] if activations else "softmax"


def is_same(config, other):
    """Tells whether two configurations are of one network: kinds, arguments and links of layers."""
    return _comparable(config) == _comparable(other)


def _layers(config):
    """Returns name, kind, arguments and links of each layer."""
    try:
        return [
            (
                layer["config"]["name"],
                layer["class_name"],
                layer["config"],
                _links(layer.get("inbound_nodes", [])),
            )
            for layer in config["layers"]
        ]
    except (KeyError, TypeError):
        raise SmallBigError(
            "A network of this package is a functional Keras model. Received: another configuration"
        ) from None


def _links(nodes):
    """The names of the layers that a layer takes its inputs from."""
    if isinstance(nodes, dict):
        history = nodes.get("keras_history")
        return [history[0]] if history else [n for value in nodes.values() for n in _links(value)]
    if isinstance(nodes, list | tuple):
        return [name for value in nodes for name in _links(value)]
    return []


def _comparable(config):
    def plain(value):
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return sorted(
        (name, kind, str({k: plain(values[k]) for k in _ARGUMENTS if k in values}), links)
        for name, kind, values, links in _layers(config)
        if kind != "InputLayer"
    )
