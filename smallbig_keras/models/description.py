"""From the configuration of a Keras model, which is data, to the description of our network.

A model does not say which function made it, and may be a clone or come from a file. Its layers
tell: each option of a network shows in their names, kinds and arguments.
"""

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.spec import STAGES, UNITS

_EXTRAS = {"SmallBigExtraUnit": "smallbig", "SqueezeExciteUnit": "squeeze_excite"}
# Arguments of layers that change what a network computes, beside its weights.
_ARGUMENTS = (
    *("filters", "kernel_size", "strides", "pool_size", "pool", "mode", "share_weights"),
    *("normalization", "activation", "ratio", "units", "rate", "axis", "epsilon", "data_format"),
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
    options = {"blocks": tuple(blocks), "width": arguments["stem_conv"].get("filters")}
    first = {stage: f"res{stage}_block1" for stage in STAGES}
    options["temporal_stages"] = tuple(
        stage for stage in STAGES if kinds.get(f"{first[stage]}_unit1_conv") == "TemporalConv"
    )
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
    options["pool_sizes"] = {
        n: tuple(arguments[names[0]]["pool_size"]) for n, names in units.items() if names
    }
    options["dropout"] = arguments.get("dropout", {}).get("rate", 0.0)
    if "classifier" in kinds:
        options["classes"] = arguments["classifier"].get("units")
    return options


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
