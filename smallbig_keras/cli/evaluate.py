"""Measures runs on the videos of a dataset, by the test protocols of the paper.

    smallbig evaluate --weights RUN                                  # one clip, centre crop
    smallbig evaluate --weights RUN --clips 10 --crops 3 --size 256  # Kinetics-400
    smallbig evaluate --weights RUN --clips 2 --crops 3 --size 256   # Something-Something
    smallbig evaluate --weights RUN --ensemble OTHER_RUN scores.npz  # fused scores

The same command goes on where it was stopped. Results are in RUN/evaluation.
"""

import dataclasses
import itertools
import pathlib
import platform
import typing
import warnings

from smallbig_keras import runs
from smallbig_keras.data.options import (
    DatasetOptions,
    check_dataset,
    dataset_options,
    open_source,
    update_dataset,
)
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.files import check_writable, sha256
from smallbig_keras.options import flag, option

CONTINUE = "The same command, without --restart, continues where it stopped."
_HINT = "--skip-bad leaves unreadable videos out; smallbig prepare index finds all of them."


@dataclasses.dataclass(frozen=True)
class RunsOptions:
    """Runs"""

    weights: str | None = option(None, "folder of the run to measure", metavar="RUN", required=True)
    checkpoint: str = option(runs.BEST, f"{runs.BEST} or {runs.LAST}", metavar="FILE")
    ensemble: tuple[str, ...] = option(
        (), "other runs, or their scores.npz, whose scores are averaged", metavar="RUN_OR_SCORES"
    )
    output: str | None = option(
        None, "folder of the results", metavar="DIR", shown="a folder in RUN/evaluation"
    )
    restart: bool = option(False, "score anew where there are scores")
    split: typing.Literal["validation", "test"] = option("validation", "videos to measure")
    skip_bad: bool = option(False, "leave unreadable videos out and list them")


@dataclasses.dataclass(frozen=True)
class ViewOptions:
    """Views"""

    clips: int = option(1, "clips of a video")
    crops: int = option(1, "crops of a clip, 1 or 3")
    frames: int | None = option(None, "frames of a clip", shown="the run's")
    size: int | None = option(
        None, "height and width of a crop", metavar="PIXELS", shown="the run's"
    )
    short_side: int | None = option(
        None,
        "short side before the crop",
        metavar="PIXELS",
        shown="--size for 3 crops, the run's ratio for 1",
    )
    sampling: typing.Literal["segment", "dense"] | None = option(
        None, "a frame from each part of the video, or frames --stride apart", shown="the run's"
    )
    stride: int | None = option(
        None, "from one frame to the next in dense sampling", metavar="FRAMES", shown="the run's"
    )
    batch_size: int = option(8, "clips at once")
    workers: int | None = option(None, "videos decoded at once", shown="one a processor")
    save_every: float | None = option(
        None, "of version 0.1.0; every batch is saved now", metavar="SECONDS"
    )


@dataclasses.dataclass(frozen=True)
class Options(ViewOptions, DatasetOptions, RunsOptions):
    """The options of `smallbig evaluate`; a dataset that is not given is the run's."""


def run(args):
    """Measures a run or an ensemble; returns the accuracies."""
    from smallbig_keras import evaluation

    config = runs.read_config(args.weights)
    dataset = update_dataset(dataset_options(config), args)
    output = None if args.ensemble else args.output
    scores, folder = _evaluate_run(args.weights, config, dataset, args, output)
    results = evaluation.write_report(folder, scores)
    members = [scores]
    for member in args.ensemble:
        _show(results, folder)
        if pathlib.Path(member).is_file():
            scores, folder = evaluation.load_scores(member), member
            results = evaluation.measure(scores)
        else:
            scores, folder = _evaluate_run(member, config, dataset, args)
            results = evaluation.write_report(folder, scores)
        members.append(scores)
    if args.ensemble:
        _show(results, folder)
        print(f"ensemble of {len(members)}:")
        scores = evaluation.fuse_scores(members)
        folder = pathlib.Path(args.output or _ensemble_folder(args.weights, members))
        results = evaluation.write_report(folder, scores)
        scores.save(folder / evaluation.SCORES)
    _show(results, folder)
    return results


def check(given):
    """Returns the checked options."""
    args = Options(**given)
    for name in ("clips", "frames", "size", "short_side", "stride", "batch_size", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise SmallBigError(f"{flag(name)} must be at least 1. Received: {value}")
    if args.crops not in (1, 3):
        raise SmallBigError(f"--crops must be 1 or 3. Received: {args.crops}")
    if args.save_every is not None:
        warnings.warn("--save-every has no effect any more: every batch is saved.", stacklevel=2)
    config = runs.read_config(args.weights)
    check_writable(args.output or pathlib.Path(args.weights, "evaluation"))
    check_dataset(update_dataset(dataset_options(config), args))
    if args.stride and (args.sampling or config["sampling"]) == "segment":
        raise OptionError(
            "--stride has no effect with --sampling segment: add --sampling dense. "
            f"Received: {args.stride}"
        )
    return args


def _evaluate_run(path, config, dataset, args, output=None):
    """Scores the videos of a dataset; returns the scores and the folder of their files."""
    import keras
    import tensorflow as tf

    from smallbig_keras import evaluation
    from smallbig_keras.classifier import load_run
    from smallbig_keras.data.unreadable import UnreadableVideos
    from smallbig_keras.version import __version__

    opened = load_run(path, args.checkpoint)
    views = _make_views(opened.config, args)
    unreadable = UnreadableVideos("skip" if args.skip_bad else "raise", hint=_HINT)
    source, class_names = open_source(dataset, args.split, unreadable)
    if class_names != opened.class_names:
        pairs = enumerate(itertools.zip_longest(opened.class_names, class_names))
        position, (known, there) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise SmallBigError(
            f"The run knows {len(opened.class_names)} classes and the dataset has "
            f"{len(class_names)} of other names or order; --dataset and --data-root name another. "
            f"Received: {path}, {dataset.shards or dataset.data_root}: class {position} is "
            f"{known!r} and {there!r}"
        )
    print(
        f"{path}/{args.checkpoint}: {len(source)} videos, {views.clips} clips x {views.crops} "
        f"crops of {views.frames} x {views.size} x {views.size}, {views.sampling} sampling, short "
        f"side {views.short_side}"
    )
    model = opened.model_for(views.frames, views.size)
    # One trace for batches of any number: the last one rounds like the others.
    clips = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    predict = tf.function(lambda clips: model(clips, training=False), input_signature=[clips])
    checkpoint = opened.path / args.checkpoint
    name = _folder_name(dataset, views, args)
    folder = pathlib.Path(output or opened.path / "evaluation" / name)
    scores = evaluation.score_videos(
        predict,
        source,
        views,
        class_names,
        folder,
        protocol={"weights_sha256": sha256(checkpoint), "split": args.split, **vars(dataset)},
        details={
            "run": str(opened.path),
            "weights": str(checkpoint),
            "model": opened.config["model"],
            "versions": {
                "smallbig_keras": __version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "python": platform.python_version(),
            },
        },
        batch_size=args.batch_size,
        unreadable=unreadable,
        num_parallel_calls=args.workers,
        restart=args.restart,
    )
    if scores.details["skipped"]:
        print(f"{len(scores.details['skipped'])} unreadable videos are left out:")
        print("\n".join(scores.details["skipped"]))
    return scores, folder


def _make_views(config, args):
    """The views that are asked for, by default those of the run's validation."""
    from smallbig_keras.evaluation import Views

    size = args.size or config["size"]
    short_side = args.short_side
    if short_side is None and args.crops == 1:
        short_side = round(size * config["test_short_side"] / config["size"])
    return Views(
        frames=args.frames or config["frames"],
        size=size,
        short_side=short_side or size,
        clips=args.clips,
        crops=args.crops,
        sampling=args.sampling or config["sampling"],
        stride=args.stride or config["stride"] or Views.stride,
    )


def _folder_name(dataset, views, args):
    """A name for the results; options that are seldom given are in it where they were."""
    name = f"{dataset.dataset}-{args.split}-{views.frames}x{views.clips}x{views.crops}"
    name += f"-{views.size}"
    name += f"-short{args.short_side}" if args.short_side else ""
    name += f"-{args.sampling}" if args.sampling else ""
    name += f"-stride{args.stride}" if args.stride else ""
    stem = pathlib.Path(args.checkpoint).stem
    return name if args.checkpoint == runs.BEST else f"{name}-{stem}"


def _ensemble_folder(run, members):
    first = members[0].protocol
    views = "x".join(str(first[name]) for name in ("frames", "clips", "crops"))
    names = [
        pathlib.Path(scores.details["run"]).name if "run" in scores.details else "ensemble"
        for scores in members[1:]
    ]
    name = f"{first['dataset']}-{first['split']}-{views}-{first['size']}-with-{'-'.join(names)}"
    return pathlib.Path(run) / "evaluation" / name


def _show(results, folder):
    """Prints the measured accuracies; the last line has the number of videos."""
    if "top1" in results:
        print(f"mean accuracy of the classes {results['mean_class']:.3f}; files in {folder}")
        print(f"top1={results['top1']:.3f} top5={results['top5']:.3f} videos={results['videos']}")
    else:
        print(f"videos without labels: predictions in {folder}, no accuracy")
        print(f"videos={results['videos']}")
