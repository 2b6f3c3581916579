"""A classifier from any kind of source.

    classifier = smallbig_keras.load("runs/RUN")

Whatever the source was, `predict` takes the same videos.
"""

import dataclasses
import functools
import os
import pathlib

from smallbig_keras.classifier import VideoClassifier
from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import SmallBigError
from smallbig_keras.labels.predictions import read_class_names


def load(
    source,
    model=None,
    variant=None,
    *,
    clips=None,
    class_names=None,
    classes=None,
    weights_dir=None,
    **options,
):
    """Loads a classifier from any source. Nothing in a file of weights is run.

    Args:
        source: str or path. The folder of a run or of a saved classifier; the name of published
            weights, `hf://owner/name` or a URL; a file of weights (`.keras`, `.weights.h5`,
            `.h5`, `.pth`, `.pt`, `.pyth`, `.ckpt`, `.pth.tar`, `.safetensors`); or an exported
            `.tflite`, `.onnx` or SavedModel.
        model: str. Name of the network, as `"SmallBigR50"`. Files of weights alone need it; of
            other sources it must be that of the source. Defaults to `None`: for the name of a
            publisher's weights the plain network, for `"k400"` and `"sthv2"` the SmallBig
            network of that dataset's recipe.
        variant: str. Variant of the network. Defaults to `None` for that of the source, else
            `"reference"`.
        clips: `smallbig_keras.data.ClipConfig`, or a dict of the fields to change, such as
            `{"size": 256}`. Defaults to `None` for that of the source, else that of the network.
        class_names: sequence of str, or the name of a dataset. Defaults to `None` for those of
            the source, else `"class 0"`, ….
        classes: int. Classes of the network. Defaults to `None` for those of the source.
        weights_dir: str. Folder with published weights. Defaults to `None`.
        **options: further options of the network, as `dropout` or `width`.

    Returns:
        VideoClassifier.

    Raises:
        NotFoundError: there is no such source; the message has the nearest name.
        WeightsError: the weights do not fit the description, or their hash differs.
        SmallBigError: the source is of no known kind, or an option does not fit it.

    Example:

        classifier = smallbig_keras.load("runs/RUN")
        classifier.predict("video.mp4")
    """
    from smallbig_keras.export import open_artifact
    from smallbig_keras.export.formats import is_artifact
    from smallbig_keras.weights.locations import local_source
    from smallbig_keras.weights.resolution import is_name

    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise SmallBigError(f"A source is a path, a name or a URL. Received: {source!r:.80}")
    names = read_class_names(class_names)
    source = local_source(source)
    if is_artifact(source) and not is_name(source, weights_dir):
        given = {"model": model, "variant": variant, "classes": classes, **options}
        given = [name for name, value in given.items() if value is not None]
        if given:
            raise SmallBigError(
                f"An artifact knows its network: leave out {', '.join(given)}. Received: {source}"
            )
        runner = open_artifact(source)
        rule = _changed(runner.clips, clips)
        if rule.shape != runner.clips.shape:
            raise SmallBigError(
                f"An artifact keeps its clips of {runner.clips.shape}: export one of {rule.shape} "
                f"from the run. Received: {source}"
            )
        return VideoClassifier(runner, rule, names or runner.class_names)
    from smallbig_keras.models.rebuilding import build_network, find_network

    path, found = find_network(
        source, model, variant, classes=classes, weights_dir=weights_dir, options=options
    )
    found = dataclasses.replace(found, clips=_changed(found.clips, clips))
    network = build_network(path, found, source)
    names = names or found.class_names or [f"class {i}" for i in range(found.classes)]
    return VideoClassifier(network, found.clips, names)


def _changed(clips, given):
    """Returns the ClipConfig that is given, or one with the fields that are given."""
    if isinstance(given, ClipConfig):
        return given
    if not isinstance(given, dict | None):
        raise SmallBigError(f"`clips` must be a ClipConfig or a dict. Received: {given!r:.80}")
    return clips.replace(**(given or {}))


def classify(video, model="k400-c2d", top=5):
    """Names what happens in a video, in one call.

    Args:
        video: one video or many, as in `VideoClassifier.predict`.
        model: str, path or VideoClassifier. What `load` takes. One that was loaded before is
            kept for the next call. Defaults to `"k400-c2d"`, OpenMMLab's ResNet-50 for the 400
            actions of Kinetics-400, which is downloaded once.
        top: int. Classes to name. Defaults to `5`.

    Returns:
        A list of `(name, probability)`, best first; of many videos a list of such lists.

    Raises:
        SmallBigError: the model or a video cannot be used.

    Example:

        smallbig_keras.classify("video.mp4")
        smallbig_keras.classify("video.mp4", "runs/RUN")
    """
    if not isinstance(model, VideoClassifier):
        path = pathlib.Path(model)
        # A training may have written better weights since.
        stamp = path.stat().st_mtime_ns if path.exists() else None
        model = _loaded(model, stamp)
    return model.predict(video, top)


@functools.lru_cache(maxsize=1)
def _loaded(source, _stamp):
    return load(source)
