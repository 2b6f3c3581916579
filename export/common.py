"""What the export scripts share: their flags, and the model that these name."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / "training"))
import environment  # noqa: E402, F401  # isort: skip
import dataclasses  # noqa: E402

import datasets  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

import smallbig_keras  # noqa: E402
from smallbig_keras import cli, data, models, runs, weights  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Source:
    """A model to export with what travels beside it; `run` is None for a bare file."""

    model: keras.Model
    class_names: list | None
    short_side: int | None
    run: runs.Run | None


def make_parser(documentation):
    """Makes a parser with the flags that name a model."""
    parser = cli.make_parser(documentation)
    group = parser.add_argument_group("Model")
    group.add_argument(
        "--weights", required=True, metavar="RUN_OR_FILE", help="a run, .keras, .weights.h5 or .pth"
    )
    group.add_argument(
        "--model",
        choices=smallbig_keras.list_models(),
        help="whose weights .weights.h5 or .pth holds",
    )
    group.add_argument("--variant", help="variant of --model")
    group.add_argument(
        "--options", type=cli.json_object, metavar="JSON", help="further options of --model"
    )
    group.add_argument("--classes", type=int, help="classes of --model")
    group.add_argument("--frames", type=int, help="frames of a clip of --model")
    group.add_argument("--size", type=int, help="pixels of the square crop of --model")
    group.add_argument("--labels", metavar="FILE_OR_DATASET", help="class names, one a line")
    group.add_argument("--short-side", type=int, metavar="PIXELS", help="before the crop")
    return parser


def add_output(parser):
    """Adds the flags of a script that writes an artifact."""
    group = parser.add_argument_group("Artifact")
    group.add_argument("--output", required=True, metavar="PATH")
    group.add_argument("--overwrite", action="store_true", help="replace what is at PATH")
    return group


def add_clips(parser, count):
    """Adds the flags that name real clips, `count` of them by default."""
    datasets.add_flags(parser.add_argument_group("Dataset", "default: that of the run"))
    group = parser.add_argument_group("Clips")
    group.add_argument(
        "--videos", nargs="+", metavar="FILE_OR_FOLDER", help="videos in place of a dataset"
    )
    group.add_argument("--clips", type=int, default=count, help=f"how many; default {count}")
    return group


def load_clips(args, source, split):
    """Loads the middle clips of videos, spread over the list of those that the flags name.

    Returns:
        uint8 array `(clips, frames, height, width, 3)` of RGB values.

    Raises:
        ValueError: if no videos are named.
    """
    if args.clips < 1:
        raise ValueError(f"--clips must be at least 1. Received: {args.clips}")
    if args.videos:
        paths = [p for name in args.videos for p in _video_files(pathlib.Path(name))]
        videos = data.VideoSource([data.Video(str(path), None, path.stem) for path in paths])
    else:
        videos = _open_dataset(args, source, split)
    if not len(videos):
        raise ValueError(f"--videos must name at least one video. Received: {args.videos}")
    count = min(args.clips, len(videos))
    if isinstance(videos, data.VideoSource):
        videos = videos.select(i * len(videos) // count for i in range(count))
    _, frames, height, width, _ = source.model.input_shape
    config = source.run.config if source.run else {}
    clips = data.clip_dataset(
        videos,
        frames=frames,
        sampling=config.get("sampling", "segment"),
        stride=config.get("stride", 8),
        size=height,
        short_side=source.short_side,
        batch_size=1,
        training=False,
        normalize=False,
    )
    # Shards cannot be picked from: all are read, and every so many-th clip kept.
    clips = clips.shard(len(videos) // count, 0).take(count)
    return np.concatenate([np.rint(clip).astype(np.uint8) for clip, _ in clips.as_numpy_iterator()])


def _open_dataset(args, source, split):
    if source.run:
        config = datasets.add_given(source.run.config, args)
    elif args.dataset:
        config = datasets.from_flags(args)
    else:
        raise ValueError(
            "Real clips come from the dataset of a run, from --dataset or --videos. "
            f"Received: --weights {args.weights}, which is no run"
        )
    return datasets.open_source(config, split, data.UnreadableVideos())[0]


def _video_files(path):
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path]


def load_source(args):
    """Loads the model that the flags name.

    Raises:
        FileNotFoundError, ValueError: if it is not there, or flags and weights disagree.
    """
    path = pathlib.Path(args.weights)
    flags = {k: getattr(args, k) for k in ("variant", "options", "classes", "frames", "size")}
    given = [f"--{name}" for name, value in flags.items() if value is not None]
    if path.name.endswith((".weights.h5", *weights.SUFFIXES)):
        if args.model is None:
            raise ValueError(f"A file of weights alone needs --model. Received: {path}")
        return Source(_build(args, path), _labels(args.labels), args.short_side, None)
    if given:
        raise ValueError(f"{path} names its model itself. Received: {' '.join(given)}")
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"--weights must be a file that is there. Received: {path}")
        model = runs.open_checkpoint(path)
        source = Source(model, _labels(args.labels), args.short_side, None)
    else:
        run = runs.load_run(path)
        names = _labels(args.labels) or run.class_names
        source = Source(run.model, names, args.short_side or run.config["test_short_side"], run)
    if args.model not in (None, source.model.name):
        raise ValueError(
            f"--model must be the model of the weights, {source.model.name}. "
            f"Received: --model {args.model}"
        )
    return source


def _build(args, path):
    size, frames = args.size or 224, args.frames or 8
    model = models.get_model_function(args.model)(
        input_shape=(frames, size, size, 3),
        classes=args.classes,
        variant=args.variant or "reference",
        **(args.options or {}),
    )
    report = weights.load_weights(model, path)
    if report.new:
        raise weights.WeightsError(
            f"An export needs all weights of {args.model}; --classes must be that of the file. "
            f"Received: {path}\n{report}"
        )
    return model


def _labels(name):
    if name is None:
        return None
    path = pathlib.Path(name)
    if path.is_file():
        return path.read_text(encoding="utf-8").splitlines()
    return smallbig_keras.class_names(name)
