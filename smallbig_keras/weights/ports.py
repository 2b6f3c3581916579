"""State dicts of other codes in our models: the authors' networks and torchvision's ResNets."""

import re

import numpy as np

from smallbig_keras.errors import SmallBigError
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.report import assign

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
_BLOCK = re.compile(r"layer(\d)\.(\d+)\.")


def port_state_dict(model, state, source="a state dict"):
    """Loads a state dict of the authors' code or of torchvision's ResNet.

    Which of the two it is shows in its convolutions, which have five or four axes. The authors'
    must hold all variables of the model and no other. Torchvision's fits every ResNet of this
    package: 2-D kernels are taken as they are, 3x1x1 kernels are the 1x1 kernel repeated over
    time and divided by 3, a convolution of its own for the big view is that of the small view;
    normalisations of the big view and extra units stay new, so that the network starts as
    the 2-D one on every frame. Blocks that the model does not have are left out, which gives
    the 23 layers of the paper's ablations the first blocks of each stage. In both, a
    classifier for another number of classes is left out.

    Args:
        model: `keras.Model` of this package's trunk.
        state: dict of names to arrays in PyTorch's layout. Counters of batches are ignored.
        source: str. What errors and the report call it. Defaults to `"a state dict"`.

    Returns:
        LoadReport.

    Raises:
        WeightsError: if names are missing or unexpected or shapes differ, which are listed; no
            weight is changed.
        ValueError: if the model has variables that the authors' code cannot have.
    """
    state = {k: np.asarray(v) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    axes = {array.ndim for name, array in state.items() if array.ndim > 2}
    if axes not in ({4}, {5}):
        raise WeightsError(
            "A state dict must have the convolutions of a ResNet, all of four or of five axes. "
            f"Received: {source} with convolutions of {sorted(axes) or 'no'} axes"
        )
    state = {name: to_keras_layout(array) for name, array in state.items()}
    port = _port_reference if axes == {5} else port_resnet
    return port(model, state, source)


def _port_reference(model, state, source):
    arrays, skipped, new = {}, {}, []
    classes = _classes(model)
    variables = reference_variables(model)
    for name, variable in variables.items():
        if _other_classes(name, state, classes):
            new.append(variable.path)
        else:
            arrays[variable.path] = name, state.get(name)
    for name in state:
        if name not in variables or _other_classes(name, state, classes):
            skipped[name] = _why_not(name, state, (), classes) if name[:3] == "fc." else ""
    return assign(model, arrays, source, new, skipped)


def port_resnet(model, state, source):
    """Loads a 2-D ResNet, torchvision's names with arrays in Keras' layout; see above."""
    arrays, new, taken = {}, [], set()
    classes = _classes(model)
    for variable in model.weights:
        name = reference_name(variable.path.replace("big_conv", "conv"))
        if name is None or ".big" in name or _other_classes(name, state, classes):
            new.append(variable.path)
            continue
        taken.add(name)
        arrays[variable.path] = name, _inflate(state.get(name), variable)
    skipped = {name: _why_not(name, state, taken, classes) for name in state if name not in taken}
    return assign(model, arrays, source, new, skipped)


def _inflate(array, variable):
    shape = tuple(variable.shape)
    over_time = len(shape) == 4 and shape[0] > 1 and shape[1] == 1
    if array is not None and over_time and array.shape == (1, *shape[1:]):
        return np.repeat(array / shape[0], shape[0], axis=0)
    return array


def _classes(model):
    names = {layer.name for layer in model.layers}
    return model.get_layer("classifier").units if "classifier" in names else None


def _other_classes(name, state, classes):
    return name.startswith("fc.") and name in state and state[name].shape[-1] != classes


def _why_not(name, state, taken, classes):
    """Why a name in the file is left out; empty if there is no good reason."""
    if name.startswith("fc."):
        if classes is None:
            return "the model has no classifier"
        return f"{state[name].shape[-1]} classes, the model has {classes}"
    block = _BLOCK.match(name)
    others = [other for other in map(_BLOCK.match, taken) if other and block]
    last = max((int(o[2]) for o in others if o[1] == block[1]), default=-1)
    if block and int(block[2]) > last:
        return "the model has fewer blocks"
    return ""


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
    """Returns the authors' name of the variable at a path, or `None` if they have none."""
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
    """Moves the axes of a PyTorch array, `OIHW` or `OI`, to where Keras has them."""
    array = np.asarray(array)
    if array.ndim < 2:
        return array
    array = np.moveaxis(array, (1, 0), (-2, -1))
    # A convolution over frames only is `(frames, 1, in, out)` here; no layer is over both.
    if array.ndim == 5 and array.shape[0] == 1:
        return array[0]
    if array.ndim == 5 and array.shape[1:3] == (1, 1):
        return array[:, 0]
    return array
