"""Artifacts as functions: one way to call SavedModel, TFLite and ONNX files."""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import NotFoundError, SmallBigError, optional_import
from smallbig_keras.export.formats import newest_version
from smallbig_keras.machine import hidden_stderr, num_processors


@dataclasses.dataclass(frozen=True)
class Runner:
    """An opened artifact.

    Args:
        path: pathlib.Path. The file or folder.
        kind: str. `"SavedModel"`, `"TFLite"` or `"ONNX"`.
        precision: str. `"float32"`, `"float16"`, `"dynamic"` or `"int8"`.
        bytes: int. Size of the file, or of all files of a folder.
        metadata: dict. Name of the model, form of the input, labels.
        any_batch: bool. True if it takes more than one clip at once.
        predict: function of clips `(batch, frames, height, width, 3)`, uint8 RGB values, to a
            dict of `"probabilities"` and `"logits"`, each `(batch, classes)`.
    """

    path: pathlib.Path
    kind: str
    precision: str
    bytes: int
    metadata: dict
    any_batch: bool
    predict: Callable

    @property
    def name(self):
        """str. The name to print."""
        return f"{self.path.parent.name}/{self.path.name}" if self.path.is_dir() else self.path.name

    @property
    def clips(self):
        """ClipConfig. The clips that it was made for."""
        return clips_in(self.metadata)

    @property
    def class_names(self):
        """list of str. The class names in label order."""
        return self.metadata["labels"]

    @property
    def input_shape(self):
        """tuple. `(None, frames, height, width, 3)`, as of a Keras model."""
        form = self.metadata["input"]
        return (None, form["frames"], form["height"], form["width"], 3)

    @property
    def output_shape(self):
        """tuple. `(None, classes)`, as of a Keras model."""
        return (None, len(self.metadata["labels"]))


def clips_in(metadata):
    """Returns the ClipConfig that the metadata of an artifact states."""
    if "clips" in metadata:
        return ClipConfig.from_dict(metadata["clips"])
    # Version 0.1.0 had no other rule and no other mean.
    form = metadata["input"]
    size = max(form["height"], form["width"])
    return ClipConfig(form["frames"], short_side=form["short_side"], size=size)


def open_artifact(path, threads=None):
    """Opens an exported artifact in its own runtime: TensorFlow, LiteRT or ONNX Runtime.

    Args:
        path: str or pathlib.Path. A `.tflite` or `.onnx` file, or a SavedModel's folder, with
            or without the number of its version.
        threads: int. Threads of LiteRT and ONNX Runtime. Defaults to `None` for one a core.

    Returns:
        Runner.

    Raises:
        NotFoundError: there is nothing at `path`.
        SmallBigError: it is of no known format, or not written by this package.
        MissingPackageError: the runtime is not installed.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise NotFoundError(f"An artifact must be there. Received: {path}")
    path = newest_version(path) if path.is_dir() else path
    kinds = {".tflite": _open_tflite, ".onnx": _open_onnx}
    opener = _open_saved_model if (path / "saved_model.pb").is_file() else kinds.get(path.suffix)
    if opener is None:
        raise SmallBigError(
            "An artifact is a .tflite file, a .onnx file or a folder with saved_model.pb. "
            f"Received: {path}"
        )
    threads = num_processors() if threads is None else threads
    return opener(path, threads)


def _open_saved_model(path, _threads):
    import tensorflow as tf

    notes = path / "assets" / "metadata.json"
    if not notes.is_file():
        raise SmallBigError(
            f"A SavedModel of this package has assets/{notes.name}. Received: {path}"
        )
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    dtype = function.structured_input_signature[1]["clips"].dtype

    def predict(clips):
        # `loaded` is named here because a signature does not keep its variables alive.
        outputs = loaded.signatures["serving_default"](clips=tf.cast(clips, dtype))
        return {name: outputs[name].numpy() for name in ("probabilities", "logits")}

    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    info = json.loads(notes.read_text(encoding="utf-8"))
    return Runner(path, "SavedModel", "float32", size, info, True, predict)


def _open_tflite(path, threads):
    litert = optional_import("ai_edge_litert.interpreter", "export")
    from smallbig_keras.export.tflite import read_metadata

    info = read_metadata(path)
    try:
        with hidden_stderr():
            interpreter = litert.Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise SmallBigError(f"{path} must be a whole TFLite file. Received: {error}") from None
    dtype = runner.get_input_details()["clips"]["dtype"]

    def predict(clips):
        each = [runner(clips=_prepare(clip[None], info, dtype)) for clip in clips]
        return {
            name: np.concatenate([outputs[name] for outputs in each])
            for name in ("probabilities", "logits")
        }

    return Runner(path, "TFLite", info["precision"], path.stat().st_size, info, False, predict)


def _open_onnx(path, threads):
    onnxruntime = optional_import("onnxruntime", "export")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:
        # Its exceptions share no public base class.
        raise SmallBigError(f"{path} must be a whole ONNX file. Received: {error}") from None
    values = session.get_modelmeta().custom_metadata_map
    if not {"input", "labels"} <= set(values):
        raise SmallBigError(f"An ONNX file of this package has metadata. Received: {path}")
    info = {key: json.loads(value) for key, value in values.items()}
    names = ["probabilities", "logits"]

    def predict(clips):
        outputs = session.run(names, {"clips": _prepare(clips, info, np.float32)})
        return dict(zip(names, outputs, strict=True))

    return Runner(path, "ONNX", "float32", path.stat().st_size, info, True, predict)


def _prepare(clips, info, dtype):
    if info["input"]["normalized_inside"]:
        return clips.astype(dtype)
    return clips_in(info).normalize(clips).astype(dtype)
