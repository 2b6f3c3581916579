"""A forward pass that keeps few tensors; the backward pass computes the others again."""

import math

import keras
from keras import ops

from smallbig_keras.errors import MissingPackageError


def rematerialized(model):
    """Makes a training forward pass of a model that keeps the tensors between its parts alone.

    The backward pass computes the inside of a part again when it reaches it, which costs about
    as much time as another forward pass (Chen et al., Training Deep Nets with Sublinear Memory
    Cost, 2016). Outputs, gradients and moving statistics are those of the model.

    Args:
        model: functional `keras.Model` of one input and one output.

    Returns:
        A function from the inputs of the model to its outputs in training.

    Raises:
        MissingPackageError: if Keras is older than 3.9.
    """
    if not hasattr(keras, "remat"):
        raise MissingPackageError(
            "Recomputing in the backward pass needs Keras 3.9: pip install -U keras. "
            f"Received: Keras {keras.__version__}"
        )
    *parts, last = split(model)

    def forward(clips):
        for part in parts:
            clips = _compute(part, clips)
        # Its backward pass comes next: there is nothing to gain.
        return last(clips, training=True)

    return forward


def split(model):
    """Splits a model where one tensor alone goes on.

    Of all splits at such places with parts of a limited size, it takes the one whose ends and
    largest part are the least values together: so many are in memory at once.

    Returns:
        list of functional `keras.Model` that share the layers of the model, in order.
    """
    stretches = _stretches(model)
    limits = {sum(size for _, size in stretches[:n]) for n in range(1, len(stretches) + 1)}
    limits |= {size for _, size in stretches}
    splits = [_split(stretches, limit) for limit in sorted(limits)]
    ends = min(splits, key=_values_in_memory)
    tensors = [model.inputs[0], *(tensor for tensor, _ in ends)]
    return [keras.Model(*pair) for pair in zip(tensors, tensors[1:], strict=False)]


def _stretches(model):
    """Lists the tensors that alone go on, each with the values computed since the one before."""
    operations = model.operations
    last_use = {}
    for position, operation in enumerate(operations):
        for tensor in _inputs(operation):
            last_use[id(tensor)] = position
    last_use[id(operations[-1].output)] = len(operations)
    stretches, alive, values = [], set(), 0
    for position, operation in enumerate(operations):
        alive = {tensor for tensor in alive if last_use[tensor] > position}
        alive.add(id(operation.output))
        # A layer of layers has a tensor of each.
        layers = operation._flatten_layers() if isinstance(operation, keras.Layer) else [operation]
        values += len(list(layers)) * _size(operation.output)
        if len(alive) == 1 and position:
            stretches.append((operation.output, values))
            values = 0
    return stretches


def _inputs(operation):
    if isinstance(operation, keras.layers.InputLayer):
        return []
    return operation.input if isinstance(operation.input, list) else [operation.input]


def _size(tensor):
    return math.prod(tensor.shape[1:])


def _split(stretches, limit):
    """Joins stretches to parts of at most `limit` values, or of one stretch."""
    parts = []
    for tensor, values in stretches:
        if parts and parts[-1][1] + values <= limit:
            values += parts.pop()[1]
        parts.append((tensor, values))
    return parts


def _values_in_memory(parts):
    return sum(_size(tensor) for tensor, _ in parts) + max(values for _, values in parts)


def _compute(part, clips):
    trainable, others = part.trainable_variables, part.non_trainable_variables
    if not all(keras.backend.is_float_dtype(variable.dtype) for variable in others):
        # Random numbers would be others the second time.
        return part(clips, training=True)

    def compute(clips, trainable, others):
        # Variables as arguments: statistics move once, here, and not again with the gradients.
        outputs, moved = part.stateless_call(trainable, others, clips, training=True)
        return outputs, [ops.stop_gradient(value) for value in moved]

    # Their values: outside a graph, TensorFlow finds no gradient of a variable as an argument.
    values = [[ops.copy(variable) for variable in variables] for variables in (trainable, others)]
    outputs, moved = keras.remat(compute)(clips, *values)
    for variable, value in zip(others, moved, strict=True):
        variable.assign(value)
    return outputs
