"""A network as a function from clips to probabilities and features."""

import keras

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.inspection import feature_extractor

# Outputs beside those of layers: the scores of the classes, and the input of the classifier.
PROBABILITIES, FEATURES = "probabilities", "features"
_CLASSIFIER = "classifier"


def output_function(model, names):
    """Makes the function of a Keras model for prediction and evaluation.

    Args:
        model: functional `keras.Model` with a head, with or without an activation.
        names: sequence of str: `"probabilities"`, `"features"` for the input of the layer
            `classifier`, and layers or stages as `feature_extractor` takes them.

    Returns:
        `(function, channels)`: the function of normalised clips, float32 array
        `(batch, frames, height, width, 3)`, to a dict of float32 arrays `(batch, channels)`,
        means over frames, height and width; and a dict of the channels.

    Raises:
        SmallBigError: the model has no such layer.
    """
    if not names:
        raise SmallBigError("Name one output at least. Received: none")
    tensors = {name: _tensor(model, name) for name in names}
    part = keras.Model(model.input, tensors)

    def compute(clips):
        values = part(clips, training=False)
        if PROBABILITIES in values:
            values = {**values, PROBABILITIES: _to_probabilities(model, values[PROBABILITIES])}
        return {name: _mean_of_positions(value) for name, value in values.items()}

    return _compiled(model, compute), {name: tensors[name].shape[-1] for name in names}


def _tensor(model, name):
    if name == PROBABILITIES:
        return model.output
    if name != FEATURES:
        return feature_extractor(model, name).output[name]
    classifiers = [layer for layer in model.layers if layer.name == _CLASSIFIER]
    if not classifiers:
        raise SmallBigError(
            f"The features are the input of a layer named {_CLASSIFIER!r}. This network has none: "
            f"name the layers that you want. Received: {model.name}"
        )
    return classifiers[0].input


def _to_probabilities(model, scores):
    scores = keras.ops.cast(scores, "float32")
    gives_logits = getattr(model.layers[-1], "activation", None) is keras.activations.linear
    return keras.ops.softmax(scores) if gives_logits else scores


def _mean_of_positions(values):
    # In float32: a sum over many positions is beyond half precision.
    values = keras.ops.cast(values, "float32")
    positions = tuple(range(1, len(values.shape) - 1))
    return keras.ops.mean(values, axis=positions) if positions else values


def _compiled(model, function):
    """Makes a function of arrays from one of tensors."""
    backend = keras.backend.backend()
    if backend == "jax":
        function = _compiled_by_jax(model, function)
    elif backend == "torch":
        import torch

        # Not `inference_mode`, whose tensors no later training may use.
        function = torch.no_grad()(function)
    elif backend == "tensorflow":
        import tensorflow as tf

        # One trace for batches of any number: the last one rounds like the others.
        clips = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        # The trace itself: TensorFlow takes the functions of several models for one that is
        # traced again and again, and warns.
        function = tf.function(function).get_concrete_function(clips)

    def compute(clips):
        outputs = function(keras.ops.convert_to_tensor(clips))
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return compute


def _compiled_by_jax(model, function):
    import jax

    variables = model.variables

    @jax.jit
    def compute(values, clips):
        # Weights are arguments: as constants they would be compiled in, and stay what they are now.
        with keras.StatelessScope(zip(variables, values, strict=True)):
            return function(clips)

    return lambda clips: compute([variable.value for variable in variables], clips)
