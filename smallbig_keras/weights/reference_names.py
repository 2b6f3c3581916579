"""The authors' PyTorch names of our variables, and weights in their layout."""

import re

import numpy as np

from smallbig_keras.errors import SmallBigError

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
_MODULES = {
    None: {"conv": "conv1", "norm": "bn1"},
    "unit": {"conv": "conv{unit}", "norm": "bn{unit}", "big_norm": "big{unit}.1"},
    "shortcut": {"conv": "downsample.0", "norm": "downsample.1"},
    "extra": {"reduce": "big4_1", "expand": "big4_2.0", "norm": "big4_2.1"},
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
    variables = {}
    for variable in model.weights:
        name = reference_name(variable.path)
        if name is None:
            raise SmallBigError(
                f"The authors' code has no counterpart of a variable. Received: {variable.path!r}"
            )
        variables[name] = variable
    return variables


def reference_name(path):
    """Returns the authors' state-dict name of one variable.

    Args:
        path: str. Path of the Keras variable.

    Returns:
        str, or `None` if the authors' code has no counterpart.
    """
    # A layer inside a SmallBig unit and one of a plain unit differ in the separator only.
    path = path.replace("/", "_")
    if path in _CLASSIFIER:
        return _CLASSIFIER[path]
    match = _VARIABLE.fullmatch(path)
    if match is None:
        return None
    part, layer = match["part"], match["layer"]
    modules = _MODULES["unit" if part and part.startswith("unit") else part]
    if layer not in modules:
        return None
    module = modules[layer].format(unit=part and part[-1])
    if part is not None:
        module = f"layer{int(match['stage']) - 1}.{int(match['block']) - 1}.{module}"
    return f"{module}.{_KINDS[match['kind']]}"


def to_keras_layout(array):
    """Turns an array of PyTorch's layout into that of a Keras variable.

    Args:
        array: array. A convolution `(out, in, [frames,] height, width)`, a matrix
            `(out, in)` or a vector.

    Returns:
        array. A convolution becomes `(height, width, in, out)`, or `(frames, 1, in, out)` where
        it is over frames; one over both keeps five axes, which no layer here has.
    """
    array = np.asarray(array)
    if array.ndim < 2:
        return array
    array = np.moveaxis(array, (1, 0), (-2, -1))
    if array.ndim == 5 and array.shape[0] == 1:
        return array[0]
    if array.ndim == 5 and array.shape[1:3] == (1, 1):
        return array[:, 0]
    return array
