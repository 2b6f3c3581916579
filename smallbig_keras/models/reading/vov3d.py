"""A `VoV3DSpec` read from the layers of a model, and from names and shapes of a checkpoint."""

import itertools

from smallbig_keras.models.specs.vov3d import STAGES, VoV3DSpec, find_excite_ratio


def read_options(layers):
    """Reads the options of a VoV3D from its layers.

    Args:
        layers: dict of names of layers to their class names and configurations, in the order
            of the model.

    Returns:
        dict of the fields of `VoV3DSpec` that the layers show; those of the head are among them
        if there is one. `None` for a network of another family.
    """
    if "stem_space_conv" not in layers:
        return None
    configs = {name: config for name, (_, config) in layers.items()}

    def value(layer, argument):
        return configs.get(layer, {}).get(argument)

    options = _read_blocks(
        2 * value("stem_space_conv", "filters"),
        lambda block: f"{block}_join_conv" in configs,
        lambda layer: f"{layer}_time_conv" in configs,
        lambda layer: value(f"{layer}_gate", "filters"),
    )
    if "classifier" in configs:
        options["classes"] = value("classifier", "units")
        options["head_width"] = value("head_features", "units")
        options["head_window"] = value("head_pool", "window")
        options["dropout"] = value("dropout", "rate") or 0.0
    return options


def read_network(layout, state):
    """Reads what names and shapes tell of a VoV3D.

    Args:
        layout: Layout. The code that the state dict is of.
        state: dict of names to arrays in PyTorch's layout.

    Returns:
        dict of fields of `VoV3DSpec` as its canonical form has them, or `None` where stem or
        blocks are missing.
    """
    state = layout.simplify(state)

    def filters(path):
        kernel = state.get(layout.name(f"{path}/kernel"))
        return None if kernel is None else kernel.shape[0]

    stem = filters("stem_space_conv")
    if stem is None:
        return None
    found = _read_blocks(
        2 * stem,
        lambda block: filters(f"{block}_join_conv") is not None,
        lambda layer: filters(f"{layer}_time_conv") is not None,
        lambda layer: filters(f"{layer}_gate/reduce"),
    )
    if not all(found["blocks"]) or not found["layers"]:
        return None
    if filters("head_features") is not None:
        found["head_width"] = filters("head_features")
    spec = VoV3DSpec(**found).canonical()
    return {field: getattr(spec, field) for field in found}


def _read_blocks(width, has_block, has_layer, excite_filters):
    """Returns the options that the blocks show, by functions of their names and their layers'."""
    blocks = tuple(
        _count(lambda n, stage=stage: has_block(f"res{stage}_block{n}")) for stage in STAGES
    )
    layers = _count(lambda n: has_layer(f"res2_block1_layer{n}"))
    numbers = range(1, layers + 1)
    excited = [n for n in numbers if excite_filters(f"res2_block1_layer{n}") is not None]
    options = {
        "blocks": blocks,
        "width": width,
        "layers": layers,
        "excite_layers": tuple(int(n in excited) for n in numbers),
    }
    if excited:
        filters = {s: excite_filters(f"res{s}_block1_layer{excited[0]}") for s in STAGES}
        options["excite_ratio"] = find_excite_ratio(width, filters)
    return options


def _count(is_there):
    """Counts from 1 as long as something is there."""
    return next(n for n in itertools.count(1) if not is_there(n)) - 1
