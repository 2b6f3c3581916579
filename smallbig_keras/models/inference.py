"""A network as a function from clips to probabilities."""

import keras


def scoring_function(model):
    """Makes the function of a Keras model for prediction and evaluation.

    Args:
        model: `keras.Model` with a head, with or without an activation.

    Returns:
        Function of normalised clips, float32 array `(batch, frames, height, width, 3)`, to
        probabilities, float32 array `(batch, classes)`.
    """
    gives_logits = getattr(model.layers[-1], "activation", None) is keras.activations.linear

    def score(clips):
        scores = keras.ops.cast(model(clips, training=False), "float32")
        return keras.ops.softmax(scores) if gives_logits else scores

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # One trace for batches of any number: the last one rounds like the others.
        clips = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        # The trace itself: TensorFlow takes the functions of several models for one that is
        # traced again and again, and warns.
        score = tf.function(score).get_concrete_function(clips)
    return lambda clips: keras.ops.convert_to_numpy(score(keras.ops.convert_to_tensor(clips)))
