"""ONNX files, which ONNX Runtime and others run on processors and GPUs of many kinds."""

import json
import pathlib

import numpy as np

from smallbig_keras.errors import SmallBigError, optional_import
from smallbig_keras.export import artifacts

# Bytes of a constant that are more than a node to make it of another.
_WORTH_SHARING = 200
# A batch size to count with: dimensions that are its multiples depend on the batch.
_COUNTED_BATCH = 100003


def to_onnx(
    model,
    path,
    class_names=None,
    short_side=None,
    include_preprocessing=True,
    naive=False,
    overwrite=False,
    clips=None,
):
    """Writes a model as an ONNX file.

    Its input is `clips`, float32 RGB values from 0 to 255 `(batch, frames, height, width, 3)`,
    its outputs are `probabilities` and `logits`, float32 `(batch, classes)`, for any batch size.
    The properties `model`, `clips`, `input` and `labels` hold the name, the preprocessing and the
    class names as JSON.

    Inside, the channels come before the pixels, as ONNX has them, and a kernel that both views
    of a SmallBig unit share is stored once.

    Args:
        model: functional `keras.Model` of this package with a head and fixed sizes.
        path: str or pathlib.Path. The file.
        class_names: sequence of str in label order. Defaults to `None` for `"class 0"`, ….
        short_side: int. Pixels of a video's short side before the centre crop. Defaults to
            `None` for that of `clips`.
        include_preprocessing: bool. If True, mean and standard deviation are applied inside;
            else `clips` are those of `smallbig_keras.preprocess_input`. Defaults to `True`.
        naive: bool. Converts the Keras model as it is, with the channels last and transpositions
            around every operation: slower, and here to compare with. Defaults to `False`.
        overwrite: bool. Replaces a file that is there. Defaults to `False`.
        clips: ClipConfig. The clips of the model, as training or a `VideoClassifier` knows them;
            the artifact states them. Defaults to `None` for the middle frames of equal segments.

    Returns:
        pathlib.Path of the file.

    Raises:
        SmallBigError: the model has no head or no fixed sizes, a layer is of a type that has no
            channels-first form, or a value is not allowed; with `naive`, the model does not
            compute in float32.
        AlreadyThereError: there is something at `path` and `overwrite` is not set.
        MissingPackageError: `onnx` or `tf2onnx` is not installed.
        ResourceError: the disk is full or fails; nothing is left.
    """
    onnx = optional_import("onnx", "export")
    optional_import("tf2onnx", "export")
    from smallbig_keras.export import channels_first

    artifacts.check_suffix(path, ".onnx")
    artifacts.check_exportable(model)
    if naive:
        _check_float32(model)
    else:
        channels_first.check_layers(model)
    clips = artifacts.clips_of(model, clips, short_side)
    info = artifacts.metadata(model, clips, class_names, include_preprocessing)
    path = pathlib.Path(path)
    with artifacts.new_artifact(path, overwrite) as file:
        graph = _convert(model, clips if include_preprocessing else None, naive)
        _store_once(onnx, graph.graph)
        _name_batch(onnx, graph, inner=not naive)
        onnx.helper.set_model_props(graph, {key: json.dumps(value) for key, value in info.items()})
        onnx.save(graph, str(file))
        onnx.checker.check_model(str(file), full_check=True)
    return path


def _check_float32(model):
    for layer in model.layers:
        if layer.compute_dtype != "float32":
            raise SmallBigError(
                "The naive export needs a model that computes in float32; the other takes any. "
                f"Received: {layer.name!r} computes in {layer.compute_dtype}"
            )


def _convert(model, config, naive):
    """Returns the `onnx.ModelProto` of a model."""
    import tensorflow as tf
    from tf2onnx import optimizer, tf_loader, tfonnx

    from smallbig_keras.export import channels_first

    if naive:
        scores = artifacts.scoring_model(model, config)
        function, optimizers = lambda clips: scores(clips, training=False), None
    else:
        # Without the one that joins normalisations with convolutions, so that the kernel of
        # two views stays one; runtimes join them when they load the file.
        optimizers = {
            "fold_constants": optimizer.ConstFoldOptimizer,
            "merge_duplication": optimizer.MergeDuplicatedNodesOptimizer,
            "global_pool_optimizer": optimizer.GlobalPoolOptimizer,
            "remove_identity": optimizer.IdentityOptimizer,
        }

        def function(clips):
            return channels_first.compute_scores(model, clips, config)

    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    traced = tf.function(function, autograph=False).get_concrete_function(spec)
    names = {tensor.name: name for name, tensor in traced.structured_outputs.items()}
    (clips,) = (tensor.name for tensor in traced.inputs if tensor.dtype != tf.resource)
    if naive:
        graph_def = tf_loader.from_function(traced, [clips], list(names))
    else:
        graph_def = traced.graph.as_graph_def(add_shapes=True)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            input_names=[clips],
            output_names=list(names),
            tensors_to_rename={clips: "clips", **names},
        )
    # A failure is an error: the default would go on, and copy all weights before each step,
    # which took more than half of the time.
    converted = optimizer.optimize_graph(converted, catch_errors=False, optimizers=optimizers)
    return converted.make_model(model.name)


def _store_once(onnx, graph):
    """Makes a constant that has the numbers of another, in another shape, a Reshape of it.

    So are the kernels of the three views of a CoST convolution; runtimes reshape them when they
    load the file.
    """
    first = {}
    for constant in list(graph.initializer):
        other = first.setdefault((constant.data_type, constant.raw_data), constant)
        if other is constant or len(constant.raw_data) < _WORTH_SHARING:
            continue
        shape = onnx.numpy_helper.from_array(np.int64(constant.dims), f"{constant.name}/shape")
        reshape = onnx.helper.make_node("Reshape", [other.name, shape.name], [constant.name])
        graph.initializer.remove(constant)
        graph.initializer.append(shape)
        graph.node.insert(0, reshape)


def _name_batch(onnx, graph, inner):
    """Names the batch axis `batch`, and `batch*8` where 8 frames are folded into it.

    ONNX Runtime adds two images inside a convolution if it sees that their shapes are equal,
    which it cannot infer through the folding: measured, 2 % of the time.
    """
    ends = [*graph.graph.input, *graph.graph.output]
    for value in ends:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    if not inner:
        return
    counted = onnx.ModelProto()
    counted.CopyFrom(graph)
    for value in [*counted.graph.input, *counted.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = _COUNTED_BATCH
    counted = onnx.shape_inference.infer_shapes(counted, data_prop=True)
    for value in counted.graph.value_info:
        for dimension in value.type.tensor_type.shape.dim:
            times, rest = divmod(dimension.dim_value, _COUNTED_BATCH)
            if times and not rest:
                dimension.dim_param = "batch" if times == 1 else f"batch*{times}"
    graph.graph.value_info.extend(counted.graph.value_info)
