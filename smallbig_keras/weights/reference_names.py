"""The authors' PyTorch names of our variables, and weights in their layout."""

import re

import numpy as np

_VARIABLE = re.compile(
    r"(?:stem|res(?P<stage>[2-5])_block(?P<block>\d+)_(?P<part>unit[123]|shortcut|extra))"
    r"_(?P<layer>conv|norm|big_norm|reduce|expand)"
    r"_(?P<kind>kernel|gamma|beta|moving_mean|moving_variance)"
)
_KINDS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_CLASSIFIER = {"classifier_kernel": "fc.weight", "classifier_bias": "fc.bias"}


def reference_variables(model):
    """Maps the authors' state-dict names to the variables of a model.

    Args:
        model: `keras.Model` of this package's trunk.

    Returns:
        dict of names as in `layer2.0.big1.1.weight` to Keras variables. The names of a 2-D
        network are those of torchvision's ResNet.

    Raises:
        ValueError: if a variable has no counterpart in the authors' code.
    """
    return {_reference_name(variable.path): variable for variable in model.weights}


def _reference_name(path):
    # A layer inside a SmallBig unit and one of a plain unit differ in the separator only.
    path = path.replace("/", "_")
    if path in _CLASSIFIER:
        return _CLASSIFIER[path]
    match = _VARIABLE.fullmatch(path)
    if match is None:
        raise ValueError(f"The authors' code has no counterpart of a variable. Received: {path!r}")
    part, layer = match["part"], match["layer"]
    if part is None:
        module = {"conv": "conv1", "norm": "bn1"}[layer]
    elif part == "shortcut":
        module = {"conv": "downsample.0", "norm": "downsample.1"}[layer]
    elif part == "extra":
        module = {"reduce": "big4_1", "expand": "big4_2.0", "norm": "big4_2.1"}[layer]
    else:
        unit = part[-1]
        module = {"conv": f"conv{unit}", "norm": f"bn{unit}", "big_norm": f"big{unit}.1"}[layer]
    if part is not None:
        module = f"layer{int(match['stage']) - 1}.{int(match['block']) - 1}.{module}"
    return f"{module}.{_KINDS[match['kind']]}"


def from_reference_layout(array, shape):
    """Turns an array of PyTorch's layout into that of a Keras variable.

    Args:
        array: array. A convolution `(out, in, [frames,] height, width)`, a matrix
            `(out, in)` or a vector.
        shape: tuple of ints. Shape of the variable.

    Returns:
        array of `shape`, or `None` if the array does not have that shape in any layout.
    """
    array = np.asarray(array)
    if array.ndim > 1:
        array = np.moveaxis(array, (1, 0), (-2, -1))
    if array.ndim == 5 and 1 in (array.shape[0], array.shape[1] * array.shape[2]):
        # A kernel is over frames or over pixels; the other axes are 1.
        temporal = array.shape[0] > 1
        array = array[:, 0] if temporal else array[0]
    return array if array.shape == tuple(shape) else None


def load_reference_state(model, state):
    """Sets all weights of a model from a state dict with the authors' names.

    Args:
        model: `keras.Model` of this package's trunk.
        state: dict of names to arrays in PyTorch's layout. Counters of batches are ignored.

    Raises:
        ValueError: if names are missing or unexpected or shapes differ; all are listed, and
            no weight is changed.
    """
    variables = reference_variables(model)
    state = {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}
    both = [name for name in variables if name in state]
    arrays = {name: from_reference_layout(state[name], variables[name].shape) for name in both}
    problems = {
        "missing": sorted(set(variables) - set(state)),
        "unexpected": sorted(set(state) - set(variables)),
        "of another shape": [
            f"{name} {np.shape(state[name])} for {tuple(variables[name].shape)}"
            for name in both
            if arrays[name] is None
        ],
    }
    if any(problems.values()):
        lines = [f"  {what}: {', '.join(names)}" for what, names in problems.items() if names]
        raise ValueError(
            f"A state dict must have the weights of {model.name}, all and no other. Received:\n"
            + "\n".join(lines)
        )
    for name, array in arrays.items():
        variables[name].assign(array)
