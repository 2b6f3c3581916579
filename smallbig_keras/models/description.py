"""From the configuration of a Keras model, which is data, to the description of our network.

A model does not say which function made it, and may be a clone or come from a file. Its layers
tell: each option of a network shows in their names, kinds and arguments.
"""

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.families import FAMILIES

# Arguments of layers that change what a network computes, beside its weights.
_ARGUMENTS = (
    *("filters", "kernel_size", "strides", "pool_size", "pool", "mode", "share_weights"),
    *("normalization", "activation", "ratio", "units", "rate", "axis", "epsilon", "data_format"),
    *("divisor", "fusion", "scale", "use_bias", "padding", "window", "momentum", "groups"),
)


def read_spec(config):
    """Reads the spec of a network from the configuration of its model.

    Args:
        config: dict, `model.get_config()` or the same from JSON.

    Returns:
        `(spec, classes)`: the spec, of one of the families, and the classes of the head, 0 without
        one.

    Raises:
        SmallBigError: it is no network of this package.
    """
    layers = {name: (kind, values) for name, kind, values, _ in _layers(config)}
    for family in FAMILIES:
        options = family.reading.read_options(layers)
        if options is not None:
            return family.spec(**options), options.get("classes", 0)
    raise SmallBigError(
        "A network of this package has the layers of one of its families. "
        f"Received: a model of the layers {', '.join(list(layers)[:5])}, ..."
    )


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
