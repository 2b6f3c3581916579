"""The common part of all exports: the model in two-output form, metadata, atomic writing."""

import contextlib
import os
import pathlib
import shutil

import keras

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.data.sampling import uses_stride
from smallbig_keras.errors import (
    AlreadyThereError,
    ResourceError,
    SmallBigError,
    did_you_mean,
)
from smallbig_keras.files import disk_error, make_folder


def scoring_model(model, clips):
    """Returns a model that shares all weights and gives float32 probabilities and logits by name.

    Its input is normalised by mean and std of the ClipConfig, or with `None` for it as `model`
    takes it. Scores that `model` gives without an activation become probabilities by softmax.
    Both are the mean over positions where the head classifies each of them.
    """
    check_exportable(model)
    predictions = model.get_layer("predictions")
    probabilities = predictions.output
    if predictions.activation is keras.activations.linear:
        probabilities = keras.layers.Softmax(dtype="float32", name="softmax")(probabilities)
    else:
        probabilities = keras.ops.cast(probabilities, "float32")
    logits = keras.ops.cast(model.get_layer("classifier").output, "float32")
    scores = {"probabilities": probabilities, "logits": logits}
    scores = {name: mean_of_positions(values) for name, values in scores.items()}
    scores = keras.Model(model.input, scores)
    if clips is None:
        return scores
    pixels = keras.Input(model.input_shape[1:], name="clips", dtype="float32")
    normalise = keras.layers.Rescaling(
        [1 / (255 * s) for s in clips.std],
        [-m / s for m, s in zip(clips.mean, clips.std, strict=True)],
        dtype="float32",
        name="preprocessing",
    )
    values = normalise(pixels)
    if clips.channel_order == "bgr":
        values = keras.ops.flip(values, axis=-1)
    return keras.Model(pixels, scores(values), name=model.name)


def mean_of_positions(scores):
    """Returns one score a class, the mean where a head classifies each position of a clip."""
    return keras.ops.mean(scores, axis=(1, 2, 3)) if len(scores.shape) == 5 else scores


def in_float32(model):
    """Returns a model of the same weights that computes in float32, itself if it does."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model

    def copy(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    clone = keras.models.clone_model(model, clone_function=copy)
    clone.set_weights(model.get_weights())
    return clone


def check_exportable(model):
    """Checks that a model runs on TensorFlow, takes RGB clips of fixed sizes and has a head.

    Its layers must hold float weights as they are: converters read the variables.
    """
    if keras.backend.backend() != "tensorflow":
        raise SmallBigError(
            "Exports need the TensorFlow backend, KERAS_BACKEND=tensorflow. "
            f"Received: {keras.backend.backend()!r}"
        )
    if model.input_shape[-1] != 3:
        raise SmallBigError(
            f"An exported model takes RGB clips. Received: input_shape={model.input_shape[1:]}"
        )
    names = [layer.name for layer in model.layers]
    if not {"classifier", "predictions"} <= set(names):
        raise SmallBigError(
            "An exported model needs a head, layers 'classifier' and 'predictions', as "
            f"`include_top=True` makes it. Received: a model whose last layer is {names[-1]!r}"
        )
    if None in model.input_shape[1:]:
        raise SmallBigError(
            "An exported model needs fixed sizes: `input_shape` must give frames, height, width "
            f"and channels. Received: input_shape={model.input_shape[1:]}"
        )
    _check_weights(model)


def _check_weights(model):
    for layer in model._flatten_layers():
        if getattr(layer.dtype_policy, "quantization_mode", None):
            raise SmallBigError(
                "An exported model needs float weights. "
                f"Received: {_path(layer)!r}, which is quantized to {layer.dtype_policy.name}\n"
                "Export the model as it was before `quantize`. For small files use the `precision` "
                "of the TFLite export."
            )
        if getattr(layer, "lora_enabled", False):
            raise SmallBigError(
                "An exported model needs its weights merged. "
                f"Received: {_path(layer)!r}, which has LoRA weights\n"
                "Merge them: `model.save_weights('merged.weights.h5')`, then load this file into "
                "the same model without LoRA."
            )


def _path(layer):
    return layer.weights[0].path.rpartition("/")[0]


def clips_of(model, clips=None, short_side=None):
    """Returns the ClipConfig of a model with fixed sizes, checked against it if it is given."""
    _, frames, height, width, _ = model.input_shape
    size = max(height, width)
    if clips is None:
        clips = ClipConfig(frames=frames, size=size)
    elif (clips.frames, clips.size) != (frames, size):
        raise SmallBigError(
            f"`clips` must be of the model's {frames} frames of {height} x {width} pixels. "
            f"Received: {clips.frames} frames of {clips.size} x {clips.size}"
        )
    return clips.replace(short_side=short_side)


def metadata(model, clips, class_names=None, include_preprocessing=True):
    """Describes input and labels of an artifact for its users; JSON can hold the dict."""
    _, frames, height, width, _ = model.input_shape
    classes = model.output_shape[-1]
    names = [f"class {i}" for i in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise SmallBigError(
            f"`class_names` must name the {classes} classes of the model. "
            f"Received: {len(names)} names"
        )
    order = "rgb" if include_preprocessing else clips.channel_order
    channels = slice(None, None, 1 if order == "rgb" else -1)
    return {
        "model": model.name,
        # For this package; `input` is the same for people and other programs.
        "clips": clips.to_dict(),
        "input": {
            "frames": frames,
            "height": height,
            "width": width,
            "layout": f"batch, frames, height, width, {order.upper()}",
            "range": [0, 255],
            "mean": [round(255 * m, 3) for m in clips.mean[channels]],
            "std": [round(255 * s, 3) for s in clips.std[channels]],
            "normalized_inside": include_preprocessing,
            "sampling": clips.sampling,
            "stride": clips.stride if uses_stride(clips.sampling) else None,
            "frames_from": str(clips),
            "interpolation": clips.interpolation
            + (", the long side rounded down" if clips.keep_aspect else ", both sides"),
            "short_side": clips.short_side,
            "crop": "centre",
        },
        "labels": names,
    }


@contextlib.contextmanager
def new_artifact(path, overwrite=False):
    """Gives a temporary path to write a file or folder at, and renames it when all went well."""
    path = pathlib.Path(os.path.abspath(path))
    check_new(path, overwrite)
    made = [folder for folder in path.parents if not os.path.exists(folder)]
    # Fixed names: the next export clears what a killed one left.
    temporary = path.with_name(f".writing-{path.name}")
    replaced = path.with_name(f".replaced-{path.name}")
    try:
        make_folder(path.parent)
        _remove(temporary)
        _remove(replaced)
        yield temporary
        # Only a file can be renamed over a file.
        if path.exists() and (path.is_dir() or temporary.is_dir()):
            os.replace(path, replaced)
        try:
            os.replace(temporary, path)
        except OSError:
            if replaced.exists():
                os.replace(replaced, path)
            raise
    except BaseException as error:
        _remove(temporary)
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        reason = None if isinstance(error, SmallBigError) else disk_error(error)
        if reason is None:
            raise
        raise ResourceError(f"{path} could not be written: {reason}.") from error
    _remove(replaced)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def check_suffix(path, suffix):
    """Checks the name of an artifact, which tells its readers the format."""
    path = pathlib.Path(path)
    if path.suffix != suffix:
        stem = path.stem if path.suffix[1:].isalpha() else path.name
        raise SmallBigError(
            f"The name of this artifact must end in {suffix}. "
            f"Did you mean {str(path.parent / (stem + suffix))!r}? Received: {path}"
        )


def check_word(name, value, allowed):
    """Checks that an argument is one of some words, and offers the nearest of them."""
    if value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise SmallBigError(
            f"`{name}` must be one of {words}.{did_you_mean(value, allowed)} "
            f"Received: {name}={value!r}"
        )


def check_new(path, overwrite=False):
    """Checks that an artifact replaces nothing, unless it may."""
    if os.path.exists(path) and not overwrite:
        raise AlreadyThereError(
            "An export replaces nothing without overwrite=True (--overwrite). "
            f"Received: {path}, which is there"
        )


@contextlib.contextmanager
def quiet_conversion():
    """Keeps back TensorFlow's notes on saving and converting, none of which a user can act on."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
