"""The model that `export` and `verify` are given, and real clips for it."""

import dataclasses
import pathlib
import typing

from smallbig_keras import runs
from smallbig_keras.data.options import (
    DatasetOptions,
    check_dataset,
    dataset_options,
    open_source,
    update_dataset,
)
from smallbig_keras.errors import NotFoundError, OptionError, SmallBigError
from smallbig_keras.models.registry import list_models
from smallbig_keras.options import flag, option
from smallbig_keras.weights.state_dicts import SUFFIXES


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Model"""

    weights: str | None = option(
        None, "a run, .keras, .weights.h5 or .pth", metavar="RUN_OR_FILE", required=True
    )
    model: str | None = option(
        None, "network whose weights .weights.h5 or .pth holds", choices=tuple(list_models())
    )
    variant: str | None = option(None, "variant of --model", shown="reference")
    options: dict | None = option(None, "further options of --model", metavar="JSON")
    classes: int | None = option(None, "classes of --model", shown="the network's")
    frames: int | None = option(None, "frames of a clip of --model", shown="8")
    size: int | None = option(None, "crop of --model", metavar="PIXELS", shown="224")
    labels: str | None = option(
        None, "class names, a file or a dataset", metavar="FILE_OR_DATASET", shown="the run's"
    )
    short_side: int | None = option(
        None, "short side before the crop", metavar="PIXELS", shown="the run's"
    )


@dataclasses.dataclass(frozen=True)
class ClipOptions(DatasetOptions):
    """Real clips"""

    videos: tuple[str, ...] = option(
        (), "videos in place of a dataset", metavar="FILE_OR_FOLDER", shown="the run's dataset"
    )
    clips: int = option(64, "number of clips")


class Source(typing.NamedTuple):
    """A model with what travels beside it; `config` is that of a run, else empty."""

    model: object
    class_names: list | None
    short_side: int | None
    config: dict


def check_source(args):
    """Refuses options that do not go with the file that `--weights` names."""
    path = pathlib.Path(args.weights)
    names = ("variant", "options", "classes", "frames", "size")
    given = [flag(name) for name in names if getattr(args, name) is not None]
    if _holds_weights_alone(path):
        if args.model is None:
            raise OptionError(f"A file of weights alone needs --model. Received: {path}")
    elif given:
        raise OptionError(
            f"{' '.join(given)} has no effect: {path} names its network itself. "
            f"Received: {' '.join(given)}"
        )
    elif path.suffix != ".keras":
        runs.read_config(path)
    elif not path.is_file():
        raise NotFoundError(f"--weights must be a file that is there. Received: {path}")
    if args.clips < 1:
        raise SmallBigError(f"--clips must be at least 1. Received: {args.clips}")


def _holds_weights_alone(path):
    return path.name.endswith((".weights.h5", *SUFFIXES))


def load_source(args):
    """Loads the model that the options name."""
    from smallbig_keras.classifier import load_run

    path = pathlib.Path(args.weights)
    if _holds_weights_alone(path):
        return Source(_build(args, path), _labels(args.labels), args.short_side, {})
    if path.suffix == ".keras":
        model = runs.open_checkpoint(path)
        source = Source(model, _labels(args.labels), args.short_side, {})
    else:
        opened = load_run(path)
        labels = _labels(args.labels) or opened.class_names
        short_side = args.short_side or opened.config["test_short_side"]
        source = Source(opened.model, labels, short_side, opened.config)
    if args.model not in (None, source.model.name):
        raise SmallBigError(
            f"These weights are of {source.model.name}: leave out --model. "
            f"Received: --model {args.model}"
        )
    return source


def _build(args, path):
    from smallbig_keras.models import get_model_function
    from smallbig_keras.weights import WeightsError, load_weights

    size, frames = args.size or 224, args.frames or 8
    model = get_model_function(args.model)(
        input_shape=(frames, size, size, 3),
        classes=args.classes,
        variant=args.variant or "reference",
        **(args.options or {}),
    )
    report = load_weights(model, path)
    if report.new:
        raise WeightsError(
            f"An export needs all weights of {args.model}; --classes must be that of the file. "
            f"Received: {path}\n{report}"
        )
    return model


def _labels(name):
    from smallbig_keras.labels import class_names

    if name is None:
        return None
    path = pathlib.Path(name)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else class_names(name)


def load_clips(args, source, split):
    """Loads the middle clips of videos, spread over the list of those that the options name.

    Returns a uint8 array `(clips, frames, height, width, 3)` of RGB values.
    """
    import numpy as np

    from smallbig_keras.data.dataset import clip_dataset
    from smallbig_keras.data.sources import VideoSource

    videos = _open_videos(args, source, split)
    count = min(args.clips, len(videos))
    if isinstance(videos, VideoSource):
        videos = videos.select(i * len(videos) // count for i in range(count))
    _, frames, height, width, _ = source.model.input_shape
    config = source.config
    clips = clip_dataset(
        videos,
        frames=frames,
        sampling=config.get("sampling", "segment"),
        stride=config.get("stride") or 8,
        size=height,
        short_side=source.short_side,
        batch_size=1,
        training=False,
        normalize=False,
    )
    # Shards cannot be picked from: all are read, and every so many-th clip kept.
    clips = clips.shard(len(videos) // count, 0).take(count)
    return np.concatenate([np.rint(clip).astype(np.uint8) for clip, _ in clips.as_numpy_iterator()])


def _open_videos(args, source, split):
    from smallbig_keras.data.annotations.video import Video
    from smallbig_keras.data.sources import VideoSource
    from smallbig_keras.data.unreadable import UnreadableVideos

    if args.videos:
        paths = [p for name in args.videos for p in _video_files(pathlib.Path(name))]
        if not paths:
            raise SmallBigError(
                f"--videos must name at least one video. Received: {' '.join(args.videos)}"
            )
        return VideoSource([Video(str(path), None, path.stem) for path in paths])
    if source.config:
        options = update_dataset(dataset_options(source.config), args)
    elif args.dataset:
        options = dataset_options(args)
    else:
        raise OptionError(
            "Real clips come from the dataset of a run, from --dataset or --videos. "
            f"Received: --weights {args.weights}, which is no run"
        )
    check_dataset(options)
    return open_source(options, split, UnreadableVideos())[0]


def _video_files(path):
    """The videos of a folder, at any depth; hidden files and other kinds are passed over."""
    from smallbig_keras.data.annotations.listing import is_video

    if not path.is_dir():
        return [path]
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in files if is_video(file.name) and file.name[0] != ".")
