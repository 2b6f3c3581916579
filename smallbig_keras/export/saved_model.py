"""SavedModel for TensorFlow Serving: signatures with preprocessing and labels in the graph."""

import json
import pathlib
import tempfile

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import SmallBigError, optional_import
from smallbig_keras.export import artifacts
from smallbig_keras.export.formats import FILE_SUFFIXES

TOP = 5


def to_saved_model(
    model,
    path,
    class_names=None,
    short_side=None,
    input_dtype="uint8",
    version=None,
    overwrite=False,
    clips=None,
):
    """Writes a model as TensorFlow Serving takes it: `path/1/` with four signatures.

    Three of them return a dict of `probabilities` and `logits`, float32 `(batch, classes)`, and
    of the best five, `classes`, int32 ids, and `labels`, their names, `(batch, 5)`:

    - `serving_default` takes `clips`, RGB values from 0 to 255 `(batch, frames, height, width, 3)`;
    - `jpeg` takes `frames`, JPEG files as strings `(batch, frames)` of any one size a clip, which
      it decodes, resizes to the short side and crops in the centre;
    - `views` takes `views`, RGB values `(batch, views, frames, height, width, 3)`, and averages
      probabilities and logits over the views of a video (paper, section 6, "Testing").

    The fourth, `metadata`, takes `request`, strings `(batch,)` of any content, and returns
    `metadata`, the JSON that tells a client which frames to send, and `frames`, their number.

    `keras.layers.TFSMLayer(path)` opens a version's folder as a layer, which is `serving_default`.

    Labels and preprocessing are files in `assets`, one request a signature is in
    `assets.extra/tf_serving_warmup_requests`, which the server runs before it takes others.

    Args:
        model: functional `keras.Model` of this package with a head and fixed sizes.
        path: str or pathlib.Path. Folder of the model; its name is the model's for the server.
        class_names: sequence of str in label order. Defaults to `None` for `"class 0"`, ….
        short_side: int. Pixels of the short side before the crop, for `jpeg`. Defaults to `None`
            for that of `clips`.
        input_dtype: str. `"uint8"` or `"float32"`, of `clips` and `views`. Defaults to `"uint8"`.
        version: int. Number of the version's folder; one that is given is added to those in
            `path`. Defaults to `None` for 1 in a new `path`.
        overwrite: bool. Replaces a version that is there. Defaults to `False`.
        clips: ClipConfig. The clips of the model, as training or a `VideoClassifier` knows them;
            the artifact states them. Defaults to `None` for the middle frames of equal segments.

    Returns:
        pathlib.Path of the version's folder.

    Raises:
        SmallBigError: the model has no head or no fixed sizes, or a value is not allowed.
        AlreadyThereError: there is something in the place and `overwrite` is not set.
        MissingPackageError: `tensorflow-serving-api` is not installed.
        ResourceError: the disk is full or fails; nothing is left.
    """
    import tensorflow as tf

    artifacts.check_word("input_dtype", input_dtype, ("uint8", "float32"))
    if version is not None and (not isinstance(version, int) or version < 1):
        raise SmallBigError(f"`version` must be an int of at least 1. Received: {version=}")
    path = pathlib.Path(path)
    if path.suffix in FILE_SUFFIXES:
        raise SmallBigError(
            f"A SavedModel is a folder; {path.suffix} is the name of a file. "
            f"Did you mean {str(path.with_suffix(''))!r}? Received: {path}"
        )
    serving = optional_import("tensorflow_serving.apis.prediction_log_pb2", "export")
    artifacts.check_exportable(model)
    clips = artifacts.clips_of(model, clips, short_side)
    info = artifacts.metadata(model, clips, class_names)
    artifacts.check_new(path if version is None else path / str(version), overwrite)

    with (
        artifacts.new_artifact(path / str(version or 1), overwrite) as folder,
        tempfile.TemporaryDirectory() as notes,
    ):
        notes = pathlib.Path(notes)
        (notes / "labels.txt").write_text("\n".join(info["labels"]) + "\n", encoding="utf-8")
        (notes / "metadata.json").write_text(json.dumps(info, indent=2) + "\n")
        module, signatures = _servable(model, info, input_dtype)
        module.assets = [tf.saved_model.Asset(str(file)) for file in sorted(notes.iterdir())]
        with artifacts.quiet_conversion():
            tf.saved_model.save(module, str(folder), signatures)
        (folder / "assets.extra").mkdir()
        requests = folder / "assets.extra" / "tf_serving_warmup_requests"
        with tf.io.TFRecordWriter(str(requests)) as writer:
            for signature, inputs in _example_inputs(tf, info, input_dtype).items():
                log = serving.PredictionLog()
                request = log.predict_log.request
                request.model_spec.name = path.name
                request.model_spec.signature_name = signature
                for name, value in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                writer.write(log.SerializeToString())
    return path / str(version or 1)


def _servable(model, info, input_dtype):
    import tensorflow as tf

    from smallbig_keras.data.transforms import centre_crop, resize_frames, to_uint8

    rule = ClipConfig.from_dict(info["clips"])
    scores = artifacts.scoring_model(artifacts.in_float32(model), rule)
    form = info["input"]
    frames, size = form["frames"], (form["height"], form["width"])
    clip_shape = (frames, *size, 3)
    names = tf.constant(info["labels"])

    def best(probabilities, logits):
        top = tf.math.top_k(probabilities, min(TOP, len(info["labels"])))
        return {
            "probabilities": probabilities,
            "logits": logits,
            "classes": top.indices,
            "labels": tf.gather(names, top.indices),
        }

    # Traced once for all signatures.
    @tf.function(input_signature=[tf.TensorSpec((None, *clip_shape), tf.float32)])
    def score(clips):
        return scores(clips, training=False)

    @tf.function(input_signature=[tf.TensorSpec((None, *clip_shape), input_dtype, "clips")])
    def serving_default(clips):
        return best(**score(tf.cast(clips, tf.float32)))

    def decode(files):
        # The accurate transform gives the values that OpenCV and Pillow give.
        images = tf.map_fn(
            lambda file: tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE"),
            files,
            fn_output_signature=tf.TensorSpec((None, None, 3), tf.uint8),
        )
        clip = centre_crop(resize_frames(images, rule), size)
        return tf.cast(to_uint8(tf.ensure_shape(clip, clip_shape)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, frames), tf.string, "frames")])
    def jpeg(frames):
        clips = tf.map_fn(decode, frames, fn_output_signature=tf.TensorSpec(clip_shape, tf.float32))
        return best(**score(clips))

    @tf.function(input_signature=[tf.TensorSpec((None, None, *clip_shape), input_dtype, "views")])
    def views(views):
        # One view after the other: memory does not grow with their number.
        by_view = tf.transpose(views, (1, 0, 2, 3, 4, 5))
        classes = tf.TensorSpec((None, len(info["labels"])), tf.float32)
        each = tf.map_fn(
            lambda view: score(tf.cast(view, tf.float32)),
            by_view,
            fn_output_signature={"probabilities": classes, "logits": classes},
        )
        return best(**{name: tf.reduce_mean(value, axis=0) for name, value in each.items()})

    described = json.dumps(info)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "request")])
    def metadata(request):
        # By REST a server leaves out the name of an output that is the only one.
        return {
            "metadata": tf.fill(tf.shape(request), described),
            "frames": tf.fill(tf.shape(request), frames),
        }

    module = tf.Module(name=model.name.lower())
    module.weights = [weight.value for weight in scores.weights]
    signatures = {
        "serving_default": serving_default,
        "jpeg": jpeg,
        "views": views,
        "metadata": metadata,
    }
    for name, function in signatures.items():
        setattr(module, name, function)
    # The name that `keras.layers.TFSMLayer` calls.
    module.serve = serving_default
    return module, signatures


def _example_inputs(tf, info, input_dtype):
    form = info["input"]
    grey = tf.fill((form["frames"], form["height"], form["width"], 3), tf.cast(128, input_dtype))
    file = tf.io.encode_jpeg(tf.cast(grey[0], tf.uint8)).numpy()
    return {
        "serving_default": {"clips": grey[None]},
        "jpeg": {"frames": [[file] * form["frames"]]},
        "views": {"views": grey[None, None]},
        "metadata": {"request": [""]},
    }
