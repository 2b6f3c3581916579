"""Memory of a training step, estimated before the training, and the batch that fits into it.

The estimate is for a processor, without XLA; on a GPU TensorFlow itself reports a lack of memory.
Its constants are fitted to the peaks that `benchmarks/memory.py` measures.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from smallbig_keras.errors import SmallBigError
from smallbig_keras.machine import available_memory, num_processors
from smallbig_keras.training import compiling
from smallbig_keras.training.rematerialization import rematerialized, split

# Operations by the tensors that their gradients read. Of any other operation all are counted.
_KEEPS_INPUTS = {
    *("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "Einsum"),
    # `IdentityN` ends a function with a gradient of its own.
    *("FusedBatchNormV3", "IdentityN", "Mul", "RealDiv", "Square", "SquaredDifference"),
}
_KEEPS_OUTPUTS = {"Exp", "Relu", "Rsqrt", "Sigmoid", "Softmax", "Sqrt", "Tanh"}
_KEEPS_NOTHING = {
    *("AddN", "AddV2", "AvgPool", "BiasAdd", "BroadcastTo", "Cast", "ConcatV2", "Mean", "Pack"),
    *("Pad", "PadV2", "Slice", "SpaceToDepth", "Split", "SplitV", "StridedSlice", "Sub", "Sum"),
    *("Tile", "Transpose", "Unpack"),
}
# Operations whose output is the memory of their first input.
_VIEWS = {"ExpandDims", "Identity", "IdentityN", "ReadVariableOp", "Reshape", "Squeeze"}

# Passing tensors and gaps, as a share of the tensors that the backward pass reads.
_ACTIVATIONS = 1.4
# Copies of the trained weights: momentum, gradients, and the parts of an update. Accumulation adds
# the sum of the gradients and its successor.
_UPDATE, _ACCUMULATION = 1.5, 2
# Bytes of an operation in the graph of a step, in each of its forms, and of the rest.
_OPERATION, _REST = 60_000, 150_000_000
# Bytes of a value of the loader: in batches that wait, and of a video that is decoded and cut.
_WAITING, _DECODING = 16, 32


class StepMemory(NamedTuple):
    """Bytes that a training adds to the process before it: `fixed`, and `per_clip` of a step."""

    fixed: int
    per_clip: int

    def of(self, clips):
        """Returns the bytes for steps of so many clips."""
        return self.fixed + clips * self.per_clip


def choose_batch(config, replicas=1):
    """Chooses the batch of a training by the memory of the machine.

    Args:
        config: dict. Options of the training and its `class_names`.
        replicas: int. Devices that share a batch. Defaults to `1`.

    Returns:
        dict of `batch_size` and `gradient_accumulation_steps`, which is not `None` any more.

    Raises:
        SmallBigError: if the batch was given and does not fit, or not even one clip a device does.
    """
    batch, steps = config["batch_size"], config["gradient_accumulation_steps"]
    available = available_memory()
    on_gpu = tf.config.list_logical_devices("GPU")
    if config["check_memory"] == "off" or on_gpu or available is None:
        return {"batch_size": batch, "gradient_accumulation_steps": steps or 1}
    model = compiling.make_network(config)
    compiling.freeze(model, compiling.find_frozen(model, config["freeze"], set()))
    averages = config.get("ema") is not None
    memory = step_memory(model, steps != 1, replicas, averages, bool(config.get("remat")))
    if memory.of(batch) <= available:
        return {"batch_size": batch, "gradient_accumulation_steps": steps or 1}
    sizes = [n for n in range(replicas, batch, replicas) if batch % n == 0]
    fitting = [n for n in sizes if memory.of(n) <= available]
    need = (
        f"{batch} clips a step need about {memory.of(batch) / 1e9:.1f} GB of memory, "
        f"{available / 1e9:.1f} GB are available"
    )
    if fitting and steps is None:
        size = max(fitting)
        print(f"memory: {need}: {size} clips a step, {batch // size} steps an update")
        return {"batch_size": size, "gradient_accumulation_steps": batch // size}
    if fitting:
        size = max(fitting)
        advice = f"--batch-size {size} --gradient-accumulation-steps {(steps or 1) * batch // size}"
    else:
        advice = "a smaller --size or --frames, or --dtype mixed_bfloat16"
    raise SmallBigError(
        f"A step must fit into memory: take {advice}; --check-memory off tries it. "
        f"Received: batch_size={batch}, {need}"
    )


def step_memory(model, accumulates=False, replicas=1, averages=False, remat=False):
    """Estimates the memory of training a model on a processor, before the training.

    Args:
        model: functional `keras.Model` on clips of a known size, with its frozen layers.
        accumulates: bool. Whether several steps make one update. Defaults to `False`.
        replicas: int. Devices of the processor, each with the weights. Defaults to `1`.
        averages: bool. Whether averages of the weights are kept, a copy of them. Defaults to
            `False`.
        remat: bool. Whether the backward pass computes parts again. Defaults to `False`.

    Returns:
        `StepMemory`.
    """
    function = _trace(model, rematerialized(model) if remat else None)
    weights, activations = _kept_bytes(function, model)
    if remat:
        # The part that is computed again has all its tensors, besides those between the parts.
        activations += max(_kept_bytes(_trace(part), part)[1] for part in split(model))
    copies = _UPDATE + _ACCUMULATION * accumulates + averages
    weights += _bytes(model.trainable_variables) * copies
    values = math.prod(model.input_shape[1:])
    operations = len(function.graph.get_operations()) * _OPERATION
    fixed = replicas * (weights + operations) + num_processors() * values * _DECODING + _REST
    return StepMemory(round(fixed), round(activations * _ACTIVATIONS + values * _WAITING))


def _trace(model, forward=None):
    """Traces the forward pass of one clip, which takes a fraction of the time of a whole step."""
    shape = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    forward = tf.function(forward or (lambda clips: model(clips, training=True)), autograph=False)
    return forward.get_concrete_function(shape)


def _kept_bytes(function, model):
    """Returns the bytes that the backward pass reads: copies of weights, and tensors of a clip."""
    operations = function.graph.get_operations()
    trained = {id(variable.value.handle) for variable in model.trainable_variables}
    of_weights = {inner.name for outer, inner in function.graph.captures if id(outer) in trained}
    of_clip = {tensor.name for tensor in function.inputs if tensor.dtype != tf.resource}
    buffers = {}
    for operation in operations:
        inputs = [tensor.name for tensor in operation.inputs]
        outputs = [tensor.name for tensor in operation.outputs]
        for names in (of_weights, of_clip):
            if not names.isdisjoint(inputs):
                names.update(outputs)
        if operation.type in _VIEWS:
            buffers[outputs[0]] = buffers.get(inputs[0], operation.inputs[0])

    kept = {}
    reached = {tensor.name for tensor in function.outputs}
    for operation in reversed(operations):
        if (reached & of_weights).isdisjoint(tensor.name for tensor in operation.outputs):
            continue
        inputs = list(operation.inputs)
        if operation.type == "IdentityN":
            # The results of the function come first, then its arguments, which nothing takes.
            results = [bool(tensor.consumers()) for tensor in operation.outputs]
            inputs = [x for x, result in zip(inputs, results, strict=True) if not result]
        reached.update(tensor.name for tensor in inputs)
        for tensor in _read_by_gradient(operation, inputs):
            buffer = buffers.get(tensor.name, tensor)
            kept[buffer.name] = 0 if buffer.dtype == tf.resource else _bytes([buffer])
    clip = sum(size for name, size in kept.items() if name in of_clip)
    return sum(kept.values()) - clip, clip


def _read_by_gradient(operation, inputs):
    kind = operation.type
    if kind in _KEEPS_INPUTS:
        return inputs
    if kind in _KEEPS_NOTHING | _VIEWS:
        return []
    return operation.outputs if kind in _KEEPS_OUTPUTS else [*inputs, *operation.outputs]


def _bytes(tensors):
    return sum(math.prod(t.shape) * tf.as_dtype(t.dtype).size for t in tensors)
