"""The fields of an `S3DSpec` that the layers of a model, or the names of a checkpoint, show."""

from smallbig_keras.weights.layouts import s3d

# Fields that the code of a checkpoint does not leave open, and its names and shapes do not tell.
_CODES = {
    s3d.TORCHVISION: {"padding": "symmetric", "norm_epsilon": 1e-3},
    s3d.PORT: {"padding": "symmetric", "norm_epsilon": 1e-3},
    s3d.MILNCE: {"padding": "zeros", "norm_epsilon": 1e-5},
}


def read_options(layers):
    """Reads the options of a network from its layers.

    Args:
        layers: dict of the names of the layers to `(class_name, config)`, as `model.get_config()`
            has them.

    Returns:
        dict of the fields of `S3DSpec` that the layers show: those of the head if there is one.
        `None` for a network of another family.
    """
    if "mixed3b_concat" not in layers:
        return None
    arguments = {name: config for name, (_, config) in layers.items()}
    conv, norm, pool = (arguments[name] for name in ("stem_conv", "stem_norm", "pool2"))
    options = {
        "width": conv["filters"],
        "stem": "full",
        "temporal": "full",
        "gates": "conv2c_gate" in arguments,
        "padding": pool.get("padding", "symmetric"),
        "norm_scale": norm["scale"],
        "norm_epsilon": norm["epsilon"],
        "norm_momentum": norm["momentum"],
    }
    if "stem_temporal_conv" in arguments:
        options["stem"] = "separable"
        options["stem_frames"] = arguments["stem_temporal_conv"]["kernel_size"][0]
    elif "stem_space_to_depth" in arguments:
        options["stem"] = "space_to_depth"
    else:
        options["stem_frames"] = conv["kernel_size"][0]
    if "conv2c_temporal_conv" in arguments:
        is_normalised = "conv2c_temporal_norm" in arguments
        options["temporal"] = "separable" if is_normalised else "separable_bias"
    if options["gates"]:
        options["gate_bias"] = arguments["conv2c_gate"]["use_bias"]
    if "classifier" in arguments:
        window = arguments["avg_pool"].get("window", (None, None, None))
        options["classes"] = arguments["classifier"]["units"]
        options["head_window"] = tuple(window)
        options["dropout"] = arguments.get("dropout", {}).get("rate", 0.0)
    return options


def read_network(layout, state):
    """Reads what the names and shapes of a checkpoint tell of its network, and its code.

    Args:
        layout: Layout. The code.
        state: dict of its names to arrays in PyTorch's layout.

    Returns:
        dict of fields of `S3DSpec`, or `None` for a checkpoint without a stem.
    """
    state = layout.simplify(state)

    def array(path):
        return state.get(layout.name(path))

    stem, over_time = array("stem_conv/kernel"), array("stem_temporal_conv/kernel")
    if stem is None or stem.ndim != 5:
        return None
    fields = {"width": stem.shape[0], "stem": "full", **_CODES[layout]}
    if over_time is not None:
        fields["stem"] = "separable"
        fields["stem_frames"] = over_time.shape[2]
    elif stem.shape[2:] == (2, 4, 4):
        fields["stem"] = "space_to_depth"
    else:
        fields["stem_frames"] = stem.shape[2]
    is_separable = array("conv2c_temporal_conv/kernel") is not None
    fields["temporal"] = "separable" if is_separable else "full"
    fields["gates"] = array("conv2c_gate/expand/kernel") is not None
    if fields["gates"]:
        fields["gate_bias"] = array("conv2c_gate/expand/bias") is not None
    return fields
