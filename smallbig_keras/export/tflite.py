"""TFLite files: one file for LiteRT, on phones, small boards and ordinary processors."""

import json
import pathlib
import tempfile
import warnings
import zipfile

import keras
import numpy as np

from smallbig_keras.errors import NotFoundError, SmallBigError, optional_import
from smallbig_keras.export import artifacts
from smallbig_keras.export.inference_form import inference_form
from smallbig_keras.machine import hidden_stderr

PRECISIONS = ("float32", "float16", "dynamic", "int8")
MIN_REPRESENTATIVE = 16
METADATA = "metadata.json"
LABELS = "labels.txt"


def to_tflite(
    model,
    path,
    precision="float32",
    representative=None,
    input_dtype="float32",
    class_names=None,
    short_side=None,
    include_preprocessing=True,
    overwrite=False,
    clips=None,
):
    """Writes a model as one TFLite file of built-in operations, for one clip at a time.

    Its signature takes `clips` `(1, frames, height, width, 3)` and gives `probabilities` and
    `logits`, float32 `(1, classes)` in every precision:

    - `"float32"`: as the model;
    - `"float16"`: weights of half the size, computed in float32 or float16 as the device does;
    - `"dynamic"`: int8 weights with a scale a channel, activations quantised as they come;
    - `"int8"`: weights and activations int8; only the last softmax, from logits to
      probabilities, is float32, as 256 steps would make the lesser classes equal.

    A SmallBig unit's kernel, which serves two views with a normalisation each, is written once:
    a float32 file of SmallBigR50 has 0.999 times four bytes a parameter, where the converter's
    own folding of normalisations gives 1.63 times.

    `labels.txt` and `metadata.json` are in the file, in a zip archive after the model, the
    place of TFLite's associated files: `unzip -p model.tflite labels.txt` or `read_metadata`.

    Args:
        model: functional `keras.Model` of this package with a head and fixed sizes.
        path: str or pathlib.Path. The file to write.
        precision: str. `"float32"`, `"float16"`, `"dynamic"` or `"int8"`. Defaults to
            `"float32"`.
        representative: for `"int8"`, iterable of at least 16 clips `(frames, height, width, 3)`
            in the range of the file's input, whose activations give the ranges; take real
            ones, none of those that accuracy is measured on. Defaults to `None`.
        input_dtype: str. `"float32"`, or with `"int8"` also `"uint8"`, which takes RGB values
            as they are. Defaults to `"float32"`.
        class_names: sequence of str in label order. Defaults to `None` for `"class 0"`, ….
        short_side: int. Pixels of a video's short side before the crop. Defaults to `None` for
            that of `clips`.
        include_preprocessing: bool. If True, clips are RGB values from 0 to 255; else they are
            those of `smallbig_keras.preprocess_input`. Defaults to `True`.
        overwrite: bool. Replaces what is at `path`. Defaults to `False`.
        clips: ClipConfig. The clips of the model, as training or a `VideoClassifier` knows them;
            the artifact states them. Defaults to `None` for the middle frames of equal segments.

    Returns:
        pathlib.Path of the file.

    Raises:
        SmallBigError: the model has no head or no fixed sizes, or a value is not allowed.
        AlreadyThereError: there is something at `path` and `overwrite` is not set.
        MissingPackageError: `ai-edge-litert` is not installed.
        ResourceError: the disk is full or fails; nothing is left.
        RuntimeError: the converter gives what LiteRT cannot run by itself.
    """
    artifacts.check_word("precision", precision, PRECISIONS)
    artifacts.check_suffix(path, ".tflite")
    artifacts.check_exportable(model)
    _check_input_dtype(input_dtype, precision, include_preprocessing)
    representative = _check_representative(representative, model, precision, include_preprocessing)
    clips = artifacts.clips_of(model, clips, short_side)
    info = artifacts.metadata(model, clips, class_names, include_preprocessing)
    info["precision"] = precision
    info["input"]["dtype"] = input_dtype
    path = pathlib.Path(path)
    artifacts.check_new(path, overwrite)
    litert = optional_import("ai_edge_litert.interpreter", "export")

    with artifacts.new_artifact(path, overwrite) as temporary:
        normalised = clips if include_preprocessing else None
        scores = artifacts.scoring_model(inference_form(model), normalised)
        content = _convert(scores, precision, representative, input_dtype, include_preprocessing)
        check_builtin(content)
        if precision == "int8":
            content = _with_float_softmax(content)
        temporary.write_bytes(content)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(LABELS, "\n".join(info["labels"]) + "\n")
            archive.writestr(METADATA, json.dumps(info, indent=2) + "\n")
        # Some graphs are refused only here, when memory and kernels are chosen.
        with hidden_stderr():
            litert.Interpreter(model_path=str(temporary), num_threads=1).allocate_tensors()
    return path


def read_metadata(path):
    """Reads model, input, labels and precision, a dict, from a file that `to_tflite` wrote."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise NotFoundError(f"A TFLite file must be there. Received: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(METADATA))
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise SmallBigError(
            f"A TFLite file of this package has {METADATA} inside. Received: {path}"
        ) from None


def check_builtin(content):
    """Checks that a flatbuffer has no custom operations, TensorFlow's (Flex) among them."""
    schema = optional_import("ai_edge_litert.schema_py_generated", "export")
    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    kind = schema.BuiltinOperator.CUSTOM
    custom = [code.CustomCode().decode() for code in codes if code.BuiltinCode() == kind]
    if custom:
        raise RuntimeError(
            "A TFLite file must have built-in operations only, which every interpreter runs. "
            f"Received: {', '.join(custom)}"
        )


def _check_input_dtype(input_dtype, precision, include_preprocessing):
    artifacts.check_word("input_dtype", input_dtype, ("float32", "uint8"))
    if input_dtype == "uint8" and (precision != "int8" or not include_preprocessing):
        raise SmallBigError(
            "`input_dtype='uint8'` needs `precision='int8'` and `include_preprocessing=True`. "
            f"Received: {precision=}, {include_preprocessing=}"
        )


def _check_representative(clips, model, precision, include_preprocessing):
    if precision != "int8":
        if clips is not None:
            raise SmallBigError(
                f"`representative` is for `precision='int8'` only. Received: {precision=}"
            )
        return None
    clips = [] if clips is None else [np.asarray(clip) for clip in clips]
    if len(clips) < MIN_REPRESENTATIVE:
        raise SmallBigError(
            f"`precision='int8'` needs `representative`, at least {MIN_REPRESENTATIVE} clips that "
            f"give the ranges of all activations. Received: {len(clips)} clips"
        )
    shape = model.input_shape[1:]
    shapes = {clip.shape for clip in clips} - {shape}
    if shapes:
        raise SmallBigError(f"`representative` clips must be {shape}. Received: {shapes.pop()}")
    low, high = float(np.min([np.min(c) for c in clips])), float(np.max([np.max(c) for c in clips]))
    # RGB values from 0 to 1 are the likeliest mistake, and would give useless ranges.
    if include_preprocessing and not (0 <= low and 1 < high <= 255):
        raise SmallBigError(
            "`representative` clips must be RGB values from 0 to 255. "
            f"Received: values from {low} to {high}"
        )
    if not np.isfinite([low, high]).all():
        raise SmallBigError("`representative` clips must be finite. Received: inf or nan")
    return clips


def _convert(scores, precision, representative, input_dtype, include_preprocessing):
    import tensorflow as tf

    # Constants in place of variables: the converter would freeze them to these, but later.
    variables = scores.trainable_variables, scores.non_trainable_variables
    values = [[keras.ops.convert_to_numpy(v) for v in group] for group in variables]
    spec = tf.TensorSpec((1, *scores.input_shape[1:]), tf.float32, "clips")

    @tf.function(input_signature=[spec], autograph=False)
    def score(clips):
        return scores.stateless_call(*values, clips, training=False)[0]

    def calibration():
        for clip in representative:
            clip = np.array(clip, "float32")
            if include_preprocessing:
                # Two values that make the range of the input 0 to 255, its scale 1.
                clip[0, 0, 0, :2] = 0, 255
            yield {"clips": clip[None]}

    module = tf.Module()
    module.score = score
    with (
        tempfile.TemporaryDirectory() as folder,
        artifacts.quiet_conversion(),
        hidden_stderr(),
        warnings.catch_warnings(),
    ):
        # The converter's own calibration runs in an interpreter that it warns users about.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        tf.saved_model.save(module, folder, {"serving_default": score})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = calibration
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.as_dtype(input_dtype)
        return converter.convert()


def _with_float_softmax(content):
    """Lets the softmax of an int8 model read the float32 logits that are an output anyway."""
    import flatbuffers

    schema = optional_import("ai_edge_litert.schema_py_generated", "export")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    kinds = schema.BuiltinOperator

    def operators(kind):
        codes = model.operatorCodes
        return [o for o in graph.operators if codes[o.opcodeIndex].builtinCode == kind]

    outputs = {o.inputs[0]: o for o in operators(kinds.DEQUANTIZE) if o.outputs[0] in graph.outputs}
    for softmax in operators(kinds.SOFTMAX):
        logits, probabilities = outputs.get(softmax.inputs[0]), outputs.get(softmax.outputs[0])
        if logits and probabilities:
            moved = (softmax, logits, probabilities)
            kept = [o for o in graph.operators if not any(o is m for m in moved)]
            softmax.inputs, softmax.outputs = logits.outputs, probabilities.outputs
            graph.operators = [*kept, logits, softmax]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
