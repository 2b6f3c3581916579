"""The same classifier as every kind of source."""

import numpy as np
from safetensors.numpy import save_file

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.weights import reference_variables
from smallbig_keras.weights.description import FILE
from tests.classifier.conftest import CLIPS, NAMES, OPTIONS
from tests.weights.torch_writer import write_torch


def write_run(classifier, path):
    """The folder of a run, as training writes it."""
    config = {
        **{"model": "SmallBigR23", "variant": "paper", "options": {**OPTIONS, "dropout": 0.25}},
        **{"frames": 4, "sampling": "dense", "stride": 3, "size": 32, "test_short_side": 36},
        **{"mean": CLIPS.mean, "std": CLIPS.std, "class_names": NAMES},
        **{"channel_order": CLIPS.channel_order, "keep_aspect": CLIPS.keep_aspect},
        **{"dataset": "folder", "data_root": "nowhere"},
    }
    runs.write_config(path, config)
    smallbig_keras.weights.description.write_description(
        smallbig_keras.weights.description.of_training(config), path
    )
    runs.save_checkpoint(classifier.model, path / runs.BEST, include_optimizer=False)
    return path, {}


def write_old_run(classifier, path):
    """That of version 0.1.0, whose checkpoints are files of Keras and whose mean is ImageNet's."""
    write_run(classifier, path)
    (path / FILE).unlink()
    (path / runs.BEST).unlink()
    classifier.model.save(path / "best.keras")
    return path, {}


def state_dict(model):
    """The weights by the authors' names, in PyTorch's layout."""
    arrays = {}
    for name, variable in reference_variables(model).items():
        value = variable.numpy()
        value = np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim > 1 else value
        arrays[name] = np.ascontiguousarray(value[:, :, None] if value.ndim == 4 else value)
    return arrays


NETWORK = {"model": "SmallBigR23", "variant": "paper", **OPTIONS}


TOLD = {"clips": CLIPS, "class_names": NAMES}


def write_weights(classifier, path):
    path = path.with_suffix(".weights.h5")
    classifier.model.save_weights(path)
    return path, {**NETWORK, **TOLD}


def write_keras(classifier, path):
    path = path.with_suffix(".keras")
    classifier.model.save(path)
    return path, TOLD


def write_pth(classifier, path):
    path = path.with_suffix(".pth")
    write_torch(path, {"state_dict": state_dict(classifier.model)})
    return path, {**NETWORK, **TOLD}


def write_safetensors(classifier, path):
    path = path.with_suffix(".safetensors")
    save_file(state_dict(classifier.model), path)
    return path, {**NETWORK, **TOLD}


def writer(suffix, **options):
    return lambda classifier, path: (classifier.export(path.with_suffix(suffix), **options), {})


SOURCES = {
    "saved": lambda classifier, path: (classifier.save(path), {}),
    "run": write_run,
    "run of 0.1.0": write_old_run,
    ".weights.h5": write_weights,
    ".keras": write_keras,
    ".pth": write_pth,
    ".safetensors": write_safetensors,
    ".tflite": writer(".tflite"),
    ".onnx": writer(".onnx"),
    "SavedModel": writer(""),
    "SavedModel of floats": writer("", format="saved_model", input_dtype="float32"),
    ".tflite, normalised outside": writer(".tflite", include_preprocessing=False),
}
