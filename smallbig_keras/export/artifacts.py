"""What all exported artifacts share: the model in two-output form, metadata, atomic writing."""

import contextlib
import os
import pathlib
import shutil
import tempfile

import keras

from smallbig_keras.errors import AlreadyThereError, SmallBigError
from smallbig_keras.labels.preprocessing import MEAN, STD


def scoring_model(model, include_preprocessing=True):
    """Gives a classifier the input and the two outputs that artifacts have.

    Args:
        model: functional `keras.Model` of this package with a head, from clips to scores.
        include_preprocessing: bool. Whether the input is RGB values from 0 to 255, and what
            `smallbig_keras.preprocess_input` does is part of the model. Defaults to `True`.

    Returns:
        `keras.Model` from float32 `clips` `(batch, frames, height, width, 3)` to a dict of
        `"probabilities"` and `"logits"`, each float32 `(batch, classes)`, sharing all weights.
        Scores that `model` gives without an activation become probabilities by softmax.

    Raises:
        ValueError: if the model has no head, or a size of its clips is not fixed.
    """
    check_exportable(model)
    predictions = model.get_layer("predictions")
    probabilities = predictions.output
    if predictions.activation is keras.activations.linear:
        probabilities = keras.layers.Softmax(dtype="float32", name="softmax")(probabilities)
    else:
        probabilities = keras.ops.cast(probabilities, "float32")
    logits = keras.ops.cast(model.get_layer("classifier").output, "float32")
    scores = keras.Model(model.input, {"probabilities": probabilities, "logits": logits})
    if not include_preprocessing:
        return scores
    clips = keras.Input(model.input_shape[1:], name="clips", dtype="float32")
    normalise = keras.layers.Rescaling(
        [1 / (255 * s) for s in STD],
        [-m / s for m, s in zip(MEAN, STD, strict=True)],
        dtype="float32",
        name="preprocessing",
    )
    return keras.Model(clips, scores(normalise(clips)), name=model.name)


def check_exportable(model):
    """Checks that a model can be exported.

    Args:
        model: `keras.Model`.

    Raises:
        ValueError: if it has no head, a size of its clips is not fixed, its clips are not RGB, or
            Keras does not run on TensorFlow.
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


def metadata(model, class_names=None, short_side=None, include_preprocessing=True):
    """Describes what a user of an artifact has to know: its input and its labels.

    Args:
        model: `keras.Model` with a head.
        class_names: sequence of str in label order. Defaults to `None` for `"class 0"`, ….
        short_side: int. Pixels of a video's short side before the centre crop. Defaults to
            `None` for 256 at a crop of 224, in proportion for others.
        include_preprocessing: bool. Whether mean and standard deviation are applied inside
            the artifact. Defaults to `True`.

    Returns:
        dict that JSON can hold.

    Raises:
        ValueError: if there is not one name a class, or the short side is below the crop.
    """
    _, frames, height, width, _ = model.input_shape
    classes = model.output_shape[-1]
    names = [f"class {i}" for i in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise SmallBigError(
            f"`class_names` must name the {classes} classes of the model. "
            f"Received: {len(names)} names"
        )
    crop = max(height, width)
    short_side = round(crop * 256 / 224) if short_side is None else short_side
    if short_side < crop:
        raise SmallBigError(
            f"`short_side` must be at least the crop of {crop} pixels. Received: {short_side=}"
        )
    return {
        "model": model.name,
        "input": {
            "frames": frames,
            "height": height,
            "width": width,
            "layout": "batch, frames, height, width, RGB",
            "range": [0, 255],
            "mean": [round(255 * m, 3) for m in MEAN],
            "std": [round(255 * s, 3) for s in STD],
            "normalized_inside": include_preprocessing,
            "frames_from": "the middle of equal segments of the video",
            "interpolation": "bilinear, the long side rounded down",
            "short_side": short_side,
            "crop": "centre",
        },
        "labels": names,
    }


@contextlib.contextmanager
def new_artifact(path, overwrite=False):
    """Gives a temporary path to write a file or folder at, and renames it when all went well.

    Args:
        path: str or pathlib.Path. Where the artifact is to be.
        overwrite: bool. Whether what is there may be replaced. Defaults to `False`.

    Yields:
        pathlib.Path of the same name in a hidden folder beside `path`.

    Raises:
        FileExistsError: if there is something at `path` and `overwrite` is not set.
    """
    path = pathlib.Path(os.path.abspath(path))
    check_new(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".writing-{path.name}-", dir=path.parent))
    try:
        temporary = folder / path.name
        yield temporary
        if path.exists():
            os.replace(path, folder / "replaced")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder)


def check_suffix(path, suffix):
    """Checks the name of an artifact, which tells its readers the format.

    Args:
        path: str or pathlib.Path. The file.
        suffix: str. What it must end in.

    Raises:
        ValueError: if it does not.
    """
    if not str(path).endswith(suffix):
        raise SmallBigError(f"The name of this artifact must end in {suffix}. Received: {path}")


def check_new(path, overwrite=False):
    """Checks that an artifact may be written.

    Args:
        path: str or pathlib.Path. Where the artifact is to be.
        overwrite: bool. Whether what is there may be replaced. Defaults to `False`.

    Raises:
        FileExistsError: if there is something at `path` and `overwrite` is not set.
    """
    if pathlib.Path(path).exists() and not overwrite:
        raise AlreadyThereError(
            f"An export does not replace what is there without --overwrite. Received: {path}"
        )


@contextlib.contextmanager
def quiet_tensorflow():
    """Keeps back TensorFlow's notes on saving and converting, none of which a user can act on."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
