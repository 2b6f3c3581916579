"""A classifier: a network, the clips that it takes and the names that it gives.

classifier = smallbig_keras.VideoClassifier(model, model.clips, class_names)
classifier.predict("video.mp4")
"""

import dataclasses
import functools
import pathlib

import numpy as np

from smallbig_keras import runs
from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import AlreadyThereError, SmallBigError
from smallbig_keras.files import make_folder, sha256
from smallbig_keras.labels.predictions import decode_predictions
from smallbig_keras.weights.description import FILE, WEIGHTS, write_description


@dataclasses.dataclass(frozen=True)
class VideoClassifier:
    """A model with the clips that it takes and the names that it gives.

    Args:
        model: `keras.Model` from clips `(batch, frames, size, size, 3)` to `(batch, classes)`,
            or an exported artifact that `smallbig_keras.export.open_artifact` opened.
        clips: `smallbig_keras.data.ClipConfig`. The clips, and how they are cut from a video.
        class_names: sequence of str, in label order.

    Raises:
        SmallBigError: the clips are not of the model's shape, or a class has no name.

    Example:

        model = smallbig_keras.SmallBigR50(weights="my_weights.h5", classes=2)
        clips = smallbig_keras.data.ClipConfig(frames=8, sampling="dense", stride=4)
        classifier = smallbig_keras.VideoClassifier(model, clips, ["left", "right"])
        classifier.predict("video.mp4")
    """

    model: object
    clips: ClipConfig
    class_names: list

    def __post_init__(self):
        if not isinstance(self.clips, ClipConfig) or not hasattr(self.model, "input_shape"):
            raise SmallBigError(
                "A classifier is a model, a ClipConfig and class names, in this order. "
                f"Received: {type(self.model).__name__}, {type(self.clips).__name__}"
            )
        if isinstance(self.class_names, str) or not all(
            isinstance(name, str) for name in self.class_names
        ):
            raise SmallBigError(
                f"`class_names` must be a sequence of str. Received: {self.class_names!r:.80}"
            )
        object.__setattr__(self, "class_names", list(self.class_names))
        shape, outputs = self.model.input_shape, self.model.output_shape
        if len(shape) != 5 or not all(
            n in (None, m) for n, m in zip(shape[1:], self.clips.shape, strict=True)
        ):
            raise SmallBigError(
                f"The model must take the clips, {self.clips.shape}: change them with "
                "clips.replace(frames=..., size=...), or build it with input_shape=clips.shape. "
                f"Received: a model of input shape {tuple(shape[1:])}"
            )
        if len(outputs) != 2 or outputs[1] != len(self.class_names):
            raise SmallBigError(
                f"`class_names` must name the classes of the model, of output shape "
                f"{tuple(outputs[1:])}. Received: {len(self.class_names)} names"
            )

    def __repr__(self):
        names = ", ".join(map(repr, self.class_names[:3]))
        names += f", ... {len(self.class_names)} in all" if len(self.class_names) > 3 else ""
        return f"VideoClassifier({self.model!r}, {self.clips!r}, [{names}])"

    def predict(self, videos, top=5, clips=1, crops=1, batch_size=8):
        """Names what happens in videos.

        Args:
            videos: one video or many: a path of a video file or of a folder of frames, bytes, a
                `smallbig_keras.data.Video`, RGB frames `(frames, height, width, 3)` from 0 to
                255, or an iterable of frames; or an iterable of these.
            top: int. Classes to name; all if there are fewer. Defaults to `5`.
            clips: int. Clips of a video, spread over it. Defaults to `1`, the middle.
            crops: int. Crops of a clip: 1, the centre; 3 that cover the frame, whose short side
                is the crop's; or 10, centre, corners and their mirror images. Defaults to `1`.
                Probabilities of all views of a video are averaged (paper, section 6, "Testing").
            batch_size: int. Clips in one call of the model. Defaults to `8`.

        Returns:
            A list of `(name, probability)`, best first; of many videos a list of such lists.

        Raises:
            BadVideoError: a video cannot be decoded.
            SmallBigError: an argument is outside the values above.
        """
        from smallbig_keras.data.inputs import open_videos

        _check_count("top", top)
        videos, one = open_videos(videos)
        rows = self.outputs(videos, ("probabilities",), clips, crops, batch_size)
        names = self.class_names
        results = [
            decode_predictions(row["probabilities"][None], top, labels=names)[0] for _, row in rows
        ]
        return results[0] if one else results

    def features(self, videos, layers=None, clips=1, crops=1, batch_size=8):
        """Computes features of videos, to train something else on them.

        Args:
            videos: one video or many, as in `predict`.
            layers: sequence of str, or one: layers or stages, as `feature_extractor` takes them.
                Defaults to `None` for the input of the layer `classifier`, the last pooled
                features.
            clips: int. Clips of a video, as in `predict`. Defaults to `1`.
            crops: int. Crops of a clip, as in `predict`. Defaults to `1`.
            batch_size: int. Clips in one call of the model. Defaults to `8`.

        Returns:
            float32 array `(videos, channels)`, of one video `(channels,)`: the mean over its
            views. With `layers` a dict of such arrays by name, means also over frames, height and
            width.

        Raises:
            BadVideoError: a video cannot be decoded.
            SmallBigError: an argument is outside the values above, or the model is an artifact.
        """
        from smallbig_keras.data.inputs import open_videos

        names = ("features",) if layers is None else layers
        names = (names,) if isinstance(names, str) else tuple(names)
        videos, one = open_videos(videos)
        rows = [row for _, row in self.outputs(videos, names, clips, crops, batch_size)]
        _, channels = self._function(names)

        def stack(name):
            values = np.array([row[name] for row in rows], "float32")
            return values[0] if one else values.reshape(len(rows), channels[name])

        found = {name: stack(name) for name in names}
        return found["features"] if layers is None else found

    def outputs(self, videos, names, clips=1, crops=1, batch_size=8, unreadable=None):
        """Yields outputs of the model for many videos, one after the other as they are read.

        Args:
            videos: one video or many, as in `predict`.
            names: sequence of str: `"probabilities"`, `"features"` for the input of the layer
                `classifier`, and layers or stages as `feature_extractor` takes them.
            clips: int. Clips of a video, as in `predict`. Defaults to `1`.
            crops: int. Crops of a clip, as in `predict`. Defaults to `1`.
            batch_size: int. Clips in one call of the model. Defaults to `8`.
            unreadable: list. Takes the `BadVideoError` of each video that cannot be decoded.
                Defaults to `None`: the first one is raised.

        Returns:
            Iterator of `(index, outputs)`: the index of a video, and a dict of float32 arrays
            `(channels,)` by name, means over views, frames, height and width.

        Raises:
            BadVideoError: a video cannot be decoded.
            SmallBigError: an argument is outside the values above, or the model is an artifact,
                which gives `"probabilities"` alone.
        """
        from smallbig_keras.data.inputs import open_videos
        from smallbig_keras.data.views import view_means

        _check_count("clips", clips)
        _check_count("batch_size", batch_size)
        function, _ = self._function(tuple(names))
        videos, _ = open_videos(videos)
        return view_means(function, videos, self.clips, clips, crops, batch_size, unreadable)

    def score(self, clips, batch_size=8):
        """Returns the probabilities of clips.

        Args:
            clips: uint8 array `(clips, frames, size, size, 3)` of RGB values.
            batch_size: int. Clips in one call of the model. Defaults to `8`.

        Returns:
            float32 array `(clips, classes)`.
        """
        parts = [clips[i : i + batch_size] for i in range(0, len(clips), batch_size)]
        function, _ = self._function(("probabilities",))
        return np.concatenate([function(part)["probabilities"] for part in parts])

    def preprocess(self, video):
        """Takes the middle clip of a video, ready for a Keras model.

        Args:
            video: one video, as in `predict`.

        Returns:
            float32 array `(views, frames, size, size, 3)`, normalised, of one view.

        Raises:
            BadVideoError: the video cannot be decoded.
        """
        from smallbig_keras.data.dataset import load_clip

        return load_clip(video, clips=self.clips)

    def save(self, folder, overwrite=False):
        """Writes the classifier as `classifier.json` and `model.weights.h5`.

        Args:
            folder: str or path. It is made.
            overwrite: bool. Replaces a classifier that is there. Defaults to `False`.

        Returns:
            pathlib.Path of the folder.

        Raises:
            SmallBigError: the model is no network of this package.
            AlreadyThereError: the folder holds a classifier and `overwrite` is not set.
        """
        from smallbig_keras.models.rebuilding import describe

        folder = pathlib.Path(folder)
        if (folder / FILE).exists() and not overwrite:
            raise AlreadyThereError(
                f"A classifier is not replaced without overwrite=True. Received: {folder}"
            )
        description = describe(self._keras_model("saved"), self.clips, self.class_names)
        make_folder(folder)
        runs.save_checkpoint(self.model, folder / WEIGHTS, include_optimizer=False)
        description = dataclasses.replace(description, sha256=sha256(folder / WEIGHTS))
        write_description(description, folder)
        return folder

    def export(self, path, format=None, **options):
        """Writes the classifier as an artifact that runs without Keras.

        Args:
            path: str or path. A file `.tflite` or `.onnx`, or the folder of a SavedModel.
            format: str. `"saved_model"`, `"tflite"` or `"onnx"`. Defaults to `None`, by the
                suffix of `path`.
            **options: those of `smallbig_keras.export.to_saved_model`, `to_tflite` or `to_onnx`.

        Returns:
            pathlib.Path of the artifact.

        Raises:
            SmallBigError: an option is not allowed, or the model cannot be exported.
            AlreadyThereError: there is something at `path` and `overwrite=True` is not given.
            MissingPackageError: a package of the extra `export` is not installed.
        """
        from smallbig_keras import export
        from smallbig_keras.export.formats import format_of

        write = getattr(export, f"to_{format_of(path, format)}")
        options = {"clips": self.clips, "class_names": self.class_names, **options}
        return write(self._keras_model("exported"), path, **options)

    def _keras_model(self, purpose):
        if not hasattr(self.model, "get_weights"):
            raise SmallBigError(
                f"A classifier is {purpose} from a run or its weights, not from an artifact. "
                f"Received: {self.model.path}"
            )
        return self.model

    @functools.cached_property
    def _functions(self):
        return {}

    def _function(self, names):
        """The function from uint8 clips to outputs by name, and the channels of each."""
        if names not in self._functions:
            self._functions[names] = self._make_function(names)
        return self._functions[names]

    def _make_function(self, names):
        model, rule = self.model, self.clips
        if not hasattr(model, "get_weights"):
            if names != ("probabilities",):
                raise SmallBigError(
                    "An artifact gives probabilities alone: take features from the run or its "
                    f"weights. Received: {model.path}"
                )
            return model.predict, {"probabilities": len(self.class_names)}
        from smallbig_keras.models.inference import output_function

        forward, channels = output_function(model, names)
        return lambda clips: forward(rule.normalize(np.asarray(clips))), channels


def _check_count(name, value):
    if not isinstance(value, int) or value < 1:
        raise SmallBigError(f"`{name}` must be an int of at least 1. Received: {value!r}")
