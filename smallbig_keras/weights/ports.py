"""State dicts of other codes in our models; `layouts.py` holds their names."""

import collections
import dataclasses
import itertools
import re

import numpy as np

from smallbig_keras.errors import SmallBigError
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.layouts import LAYOUTS, find_layout
from smallbig_keras.weights.layouts.resnet import AUTHORS, shifted_blocks
from smallbig_keras.weights.report import assign

_BLOCK = re.compile(r"layer(\d)\.(\d+)\.")


def port_state_dict(model, state, source="a state dict"):
    """Loads a state dict of another code.

    Its names tell the code: that of SmallBigNet's authors, TSM, CoST, OpenMMLab, PySlowFast,
    PyTorchVideo or VoV3D, or for S3D that of torchvision, of its port from TensorFlow, or of
    MIL-NCE. Such a state dict must hold all variables of the model and no other; a file of TSM
    must shift the blocks that the model shifts.

    A state dict without any part of SmallBigNet is a trunk, and starts a SmallBig network: the
    normalisations of the big view and the extra units stay new, at scale 0, and the network
    computes what the trunk does; a convolution of its own for the big view is that of the small
    view.

    Torchvision's ResNet has the authors' names and 2-D convolutions. It starts every ResNet of
    this package: 2-D kernels are taken as they are, kernels over several frames are the 2-D
    kernel repeated over time and divided by their number, a convolution of its own for the big
    view is that of the small view; normalisations of the big view, extra units, non-local
    blocks and the coefficients of CoST stay new. Blocks that the model does not have are left
    out, which gives the 23 layers of the paper's ablations the first blocks of each stage.

    In all, a classifier for another number of classes is left out.

    Args:
        model: `keras.Model` of this package's trunk.
        state: dict of names to arrays in PyTorch's layout. Counters of batches are ignored.
        source: str. What errors and the report call it. Defaults to `"a state dict"`.

    Returns:
        LoadReport.

    Raises:
        WeightsError: if names are missing or unexpected or shapes differ, which are listed; no
            weight is changed.
        ValueError: if the model has variables that the code cannot have.
    """
    state = {k: np.asarray(v) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    layout = find_layout(state)
    axes = {array.ndim for array in state.values() if array.ndim > 2}
    if layout is None or not axes or (layout is AUTHORS and len(axes) > 1):
        names = ", ".join(list(state)[:3]) or "no name"
        raise WeightsError(
            "A state dict must have the convolutions of a network, by the names of one of "
            f"{', '.join(known.code for known in LAYOUTS)}; the authors' have five axes, "
            f"torchvision's four.{_nearest(model, state)} "
            f"Received: {source} with {names} and {sorted(axes) or 'no'} axes"
        )
    shifted = shifted_blocks(state)
    converted = {name: to_keras_layout(array) for name, array in layout.simplify(state).items()}
    if layout is AUTHORS and is_2d(state):
        return port_resnet(model, converted, source)
    names = {layer.name for layer in model.layers if layer.name.endswith("_shift")}
    if names != {"res{}_block{}_shift".format(*place) for place in shifted}:
        raise WeightsError(
            f"These weights shift the channels of other blocks than {model.name}: {len(shifted)} "
            f"blocks, the model {len(names)}. Received: {source}"
        )
    try:
        return _port(model, converted, source, layout)
    except WeightsError as error:
        raise WeightsError(f"{error}\nnearest:{_nearest(model, state)}") from None


def _nearest(model, state):
    """Says which code's names for the model a state dict shares most, behind any prefix."""
    best = (0, "", "")
    for layout in LAYOUTS:
        known = {layout.name(variable.path) for variable in model.weights}
        prefixes = collections.Counter(
            name[:start]
            for name in layout.simplify(state)
            for start in _starts(name)
            if name[start:] in known
        )
        for prefix, count in prefixes.most_common(1):
            best = max(best, (count, layout.code, prefix))
    count, code, prefix = best
    if not count:
        return f" No name is one that these codes have for {model.name}."
    behind = f" behind {prefix!r}" if prefix else ""
    return f" {count} of {len(state)} names are those of {code} for {model.name}{behind}."


def _starts(name):
    """The places in a dotted name at which a part begins."""
    return (0, *(match.end() for match in re.finditer(r"\.", name)))


def is_2d(state):
    """Tells whether all convolutions of a state dict are 2-D, as torchvision's."""
    return all(np.ndim(array) != 5 for array in state.values())


# The parts of a SmallBig network that its trunk does not have.
_ADDED = re.compile(r"_extra/|/big_(norm|conv)/")


def _port(model, state, source, layout):
    arrays, skipped, new = {}, {}, []
    classes = _classes(model)
    added = [variable.path for variable in model.weights if _ADDED.search(variable.path)]
    if any(layout.name(path) in state for path in added):
        added = []
    variables = _named(layout, (v for v in model.weights if v.path not in added))
    head = f"{layout.classifier}."
    for path in added:
        name = layout.name(path.replace("big_conv", "conv")) if "/big_conv/" in path else None
        if name is None:
            new.append(path)
        else:
            arrays[path] = name, state.get(name)
    for name, variable in variables.items():
        if _other_classes(name, state, classes, head):
            new.append(variable.path)
        else:
            arrays[variable.path] = name, fitted(state.get(name), variable)
    for name in state:
        if name not in variables or _other_classes(name, state, classes, head):
            is_head = name.startswith(head)
            skipped[name] = _why_not(name, state, (), classes, head) if is_head else ""
            if re.match(layout.others, name):
                skipped[name] = "no part of the network"
    report = assign(model, arrays, source, new, skipped)
    single = any(getattr(layer, "normalization", None) == "single" for layer in model.layers)
    if single and layout is not AUTHORS:
        other = "It normalises both views at once, and does not compute what their network does"
        report = dataclasses.replace(report, other=other)
    return report


def fitted(array, variable):
    """Gives an array as many axes of length 1 before the others as its variable has.

    A convolution of one frame may be over space and time here, a dense layer a convolution of
    single pixels, and a classifier that is a convolution in other codes is a dense layer here.
    """
    shape = tuple(variable.shape)
    if array is not None and _without_leading_ones(array.shape) == _without_leading_ones(shape):
        return array.reshape(shape)
    return array


def _without_leading_ones(shape):
    return tuple(itertools.dropwhile(lambda length: length == 1, shape))


def port_resnet(model, state, source):
    """Loads a 2-D ResNet, torchvision's names with arrays in Keras' layout; see above."""
    arrays, new, taken = {}, [], set()
    classes = _classes(model)
    for variable in model.weights:
        name = AUTHORS.name(variable.path.replace("big_conv", "conv"))
        is_new = name is None or ".big" in name or name.endswith(_NOT_2D)
        if is_new or _other_classes(name, state, classes):
            new.append(variable.path)
            continue
        taken.add(name)
        arrays[variable.path] = name, _inflate(state.get(name), variable)
    skipped = {name: _why_not(name, state, taken, classes) for name in state if name not in taken}
    return assign(model, arrays, source, new, skipped)


# The coefficients of CoST.
_NOT_2D = (".alpha", ".fc1.weight", ".fc2.weight")


def _inflate(array, variable):
    shape = tuple(variable.shape)
    if array is None:
        return None
    if len(shape) == 5 and array.shape == shape[1:]:
        return np.repeat(array[None] / shape[0], shape[0], axis=0)
    over_time = len(shape) == 4 and shape[0] > 1 and shape[1] == 1
    if over_time and array.shape == (1, *shape[1:]):
        return np.repeat(array / shape[0], shape[0], axis=0)
    return array


def _classes(model):
    names = {layer.name for layer in model.layers}
    return model.get_layer("classifier").units if "classifier" in names else None


def _other_classes(name, state, classes, head="fc."):
    return name.startswith(head) and name in state and state[name].shape[-1] != classes


def _why_not(name, state, taken, classes, head="fc."):
    """Why a name in the file is left out; empty if there is no good reason."""
    if name.startswith(head):
        if classes is None:
            return "the model has no classifier"
        return f"{state[name].shape[-1]} classes, the model has {classes}"
    block = _BLOCK.match(name)
    others = [other for other in map(_BLOCK.match, taken) if other and block]
    last = max((int(o[2]) for o in others if o[1] == block[1]), default=-1)
    if block and int(block[2]) > last:
        return "the model has fewer blocks"
    return ""


def reference_variables(model, layout=None):
    """Maps the state-dict names of another code to the variables of a model.

    Args:
        model: `keras.Model` of this package's trunk.
        layout: Layout. The code, one of `smallbig_keras.weights.layouts`. Defaults to `None`
            for that of SmallBigNet's authors, whose names of a 2-D network are torchvision's.

    Returns:
        dict of names as in `layer2.0.big1.1.weight` to Keras variables.

    Raises:
        ValueError: if a variable has no counterpart in the code.
    """
    return _named(layout or AUTHORS, model.weights)


def _named(layout, weights):
    variables = {}
    for variable in weights:
        name = layout.name(variable.path)
        if name is None:
            raise SmallBigError(
                f"The code of {layout.code} has no counterpart of a variable. "
                f"Received: {variable.path!r}"
            )
        variables[name] = variable
    return variables


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
