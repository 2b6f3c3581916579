"""The classifier that a command is given, and real clips for it."""

import dataclasses
import pathlib

from smallbig_keras import runs
from smallbig_keras.data.options import (
    DatasetOptions,
    check_dataset,
    dataset_options,
    open_source,
    update_dataset,
)
from smallbig_keras.data.sampling import SAMPLINGS, uses_stride
from smallbig_keras.errors import NotFoundError, OptionError, SmallBigError
from smallbig_keras.models.registry import list_models
from smallbig_keras.options import flag, option
from smallbig_keras.weights.locations import local_source
from smallbig_keras.weights.resolution import is_name

CROPS_HELP = (
    "crops of a clip: 1, 3 that cover the frame, with --size as its short side, or 10, centre, "
    "corners and their mirror images"
)
_SOURCES = "a run, a saved classifier, a record's name, a URL, .keras, .weights.h5, .pth"


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """Classifier"""

    weights: str | None = option(
        None, f"{_SOURCES}, .tflite, .onnx or a SavedModel", metavar="SOURCE", required=True
    )
    model: str | None = option(
        None, "network of a file of weights alone, such as .pth", choices=tuple(list_models())
    )
    variant: str | None = option(None, "variant of --model", shown="reference")
    options: dict | None = option(None, "further options of the network", metavar="JSON")
    classes: int | None = option(None, "classes of the weights, to be checked", shown="theirs")
    labels: str | None = option(
        None, "class names, a file or a dataset", metavar="FILE_OR_DATASET", shown="the source's"
    )
    weights_dir: str | None = option(None, "folder with published weights", metavar="DIR")


@dataclasses.dataclass(frozen=True)
class ClipOptions:
    """Clips"""

    frames: int | None = option(None, "frames of a clip", shown="the source's")
    size: int | None = option(
        None, "height and width of the crop", metavar="PIXELS", shown="the source's"
    )
    short_side: int | None = option(
        None, "short side before the crop", metavar="PIXELS", shown="the source's ratio to --size"
    )
    sampling: str | None = option(
        None,
        "a frame from each part of the video, or frames --stride apart",
        choices=SAMPLINGS,
        shown="the source's",
    )
    stride: int | None = option(
        None, "from one frame to the next in dense sampling", metavar="FRAMES", shown="the source's"
    )


@dataclasses.dataclass(frozen=True)
class VideoOptions(DatasetOptions):
    """Real clips"""

    videos: tuple[str, ...] = option(
        (), "videos in place of a dataset", metavar="FILE_OR_FOLDER", shown="the run's dataset"
    )
    clips: int = option(64, "number of clips")


def check_source(args, artifacts=True):
    """Finds the weights, and refuses options that have no effect on them, and maybe artifacts."""
    from smallbig_keras.export.formats import is_artifact
    from smallbig_keras.models.rebuilding import find_network

    source = local_source(args.weights)
    if is_artifact(source) and not is_name(source, args.weights_dir):
        if not pathlib.Path(source).exists():
            raise NotFoundError(f"An artifact must be there. Received: {source}")
        if not artifacts:
            raise OptionError(
                "--weights must be a run or other weights of a Keras model here, not an artifact. "
                f"Received: {args.weights}"
            )
        names = ("model", "variant", "options", "classes")
        given = [flag(name) for name in names if getattr(args, name) is not None]
        if given:
            raise OptionError(
                f"{' '.join(given)} has no effect: an artifact knows its network. "
                f"Received: {args.weights}"
            )
        return
    _, found = find_network(
        source,
        args.model,
        args.variant,
        args.classes,
        args.weights_dir,
        args.options,
    )
    clips = found.clips.replace(**_clip_changes(args))
    if args.stride and not uses_stride(clips.sampling):
        raise OptionError(
            "--stride has no effect with --sampling segment: add --sampling dense. "
            f"Received: {args.stride}"
        )


def load_classifier(args, weights=None):
    """Loads the classifier that the options name, or another with the same options of clips."""
    from smallbig_keras.opening import load

    return load(
        weights or args.weights,
        args.model,
        args.variant,
        clips=_clip_changes(args),
        class_names=args.labels,
        classes=args.classes,
        weights_dir=args.weights_dir,
        **(args.options or {}),
    )


def _clip_changes(args):
    names = [field.name for field in dataclasses.fields(ClipOptions)]
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def run_dataset(source, args):
    """Returns the DatasetOptions of a run with those that are given; those alone without a run."""
    folder = pathlib.Path(source)
    folder = folder.parent if folder.name in runs.CHECKPOINTS else folder
    if not (folder / runs.CONFIG).is_file():
        return dataset_options(args)
    return update_dataset(dataset_options(runs.read_config(folder)), args)


def load_clips(args, config, split, least=1):
    """Loads the middle clips of videos, spread over the list of those that the options name.

    Returns a uint8 array `(clips, frames, size, size, 3)` of RGB values, by a ClipConfig; raises
    OptionError if there are fewer than `least`.
    """
    import numpy as np

    from smallbig_keras.data.dataset import clip_dataset
    from smallbig_keras.data.sources import VideoSource

    videos = _open_videos(args, split)
    count = min(args.clips, len(videos))
    if count < least:
        raise OptionError(
            f"At least {least} real clips are needed, one of a video: name more videos with "
            f"--videos, or take more --clips. Received: {len(videos)} videos, --clips {args.clips}"
        )
    if isinstance(videos, VideoSource):
        videos = videos.select(i * len(videos) // count for i in range(count))
    clips = clip_dataset(videos, config, batch_size=1, training=False, normalize=False)
    # Shards cannot be picked from: all are read, and every so many-th clip kept.
    clips = clips.shard(len(videos) // count, 0).take(count)
    return np.concatenate([clip for clip, _ in clips.as_numpy_iterator()])


def _open_videos(args, split):
    from smallbig_keras.data.annotations.video import Video
    from smallbig_keras.data.sources import VideoSource
    from smallbig_keras.data.unreadable import UnreadableVideos

    if args.videos:
        paths = [path for name in args.videos for path in video_files(name)]
        return VideoSource([Video(str(path), None, path.stem) for path in paths])
    options = run_dataset(args.weights, args)
    if not (options.dataset or options.shards):
        raise OptionError(
            "Real clips come from the dataset of a run, from --dataset or --videos. "
            f"Received: --weights {args.weights}, which is no run"
        )
    check_dataset(options)
    return open_source(options, split, UnreadableVideos())[0]


def video_files(path):
    """Lists the videos below a folder, without hidden files; a folder of frames is one video."""
    from smallbig_keras.data.annotations.listing import is_video
    from smallbig_keras.data.frame_folders import holds_pictures

    path = pathlib.Path(path)
    if not path.is_dir() or holds_pictures(path):
        return [path]
    files = (file for file in path.rglob("*") if file.is_file())
    found = sorted(file for file in files if is_video(file.name) and file.name[0] != ".")
    if not found:
        raise SmallBigError(
            f"A folder must hold videos, or one video as pictures. Received: {path} without any"
        )
    return found
