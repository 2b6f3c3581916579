"""Measures runs on the videos of a dataset, by the test protocols of the paper.

python training/evaluate.py --weights RUN                                  # one clip, centre crop
python training/evaluate.py --weights RUN --clips 10 --crops 3 --size 256  # Kinetics-400
python training/evaluate.py --weights RUN --clips 2 --crops 3 --size 256   # Something-Something
python training/evaluate.py --weights RUN --ensemble OTHER_RUN scores.npz  # fused scores

The same command goes on where it was stopped. Results are in RUN/evaluation.
"""

import environment  # noqa: F401  # isort: skip
import itertools
import pathlib
import platform

import cv2
import datasets
import keras
import tensorflow as tf

import smallbig_keras
from smallbig_keras import cli, data, evaluation, runs
from smallbig_keras.weights.files import sha256

_HINT = "--skip-bad leaves unreadable videos out; prepare.py index finds all of them."
_DATA = ("dataset", "data_root", "data_options", "shards")


@cli.readable_errors
def main(arguments=None):
    args = parse(arguments)
    config = datasets.add_given(runs.read_config(args.weights), args)
    output = None if args.ensemble else args.output
    scores, folder = evaluate_run(args.weights, config, args, output)
    results = evaluation.write_report(folder, scores)
    members = [scores]
    for member in args.ensemble:
        show(results, folder)
        if pathlib.Path(member).is_file():
            scores, folder = evaluation.load_scores(member), member
            results = evaluation.measure(scores)
        else:
            scores, folder = evaluate_run(member, config, args)
            results = evaluation.write_report(folder, scores)
        members.append(scores)
    if args.ensemble:
        show(results, folder)
        print(f"ensemble of {len(members)}:")
        scores = evaluation.fuse_scores(members)
        folder = pathlib.Path(args.output or ensemble_folder(args.weights, members))
        results = evaluation.write_report(folder, scores)
        scores.save(folder / evaluation.SCORES)
    show(results, folder)
    return results


def parse(arguments):
    """Reads the command line."""
    parser = cli.make_parser(__doc__)
    parser.add_argument("--weights", required=True, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--checkpoint", default=runs.BEST, metavar="FILE", help=f"{runs.BEST} or {runs.LAST}"
    )
    parser.add_argument(
        "--ensemble",
        nargs="+",
        default=[],
        metavar="RUN_OR_SCORES",
        help="other runs, or scores.npz of theirs, whose scores are averaged with those of RUN",
    )
    parser.add_argument("--output", metavar="DIR", help="default in RUN/evaluation")
    parser.add_argument("--restart", action="store_true", help="pass over scores that are there")

    group = parser.add_argument_group("Dataset", "default: that of the run")
    datasets.add_flags(group)
    group.add_argument("--split", choices=("validation", "test"), default="validation")
    group.add_argument(
        "--skip-bad", action="store_true", help="leave unreadable videos out and list them"
    )

    group = parser.add_argument_group("Views", "default: those of the run's validation")
    group.add_argument("--clips", type=int, default=1, help="of a video; default 1")
    group.add_argument("--crops", type=int, choices=(1, 3), default=1, help="of a clip; default 1")
    group.add_argument("--frames", type=int, help="of a clip")
    group.add_argument("--size", type=int, metavar="PIXELS", help="height and width of a crop")
    group.add_argument(
        "--short-side",
        type=int,
        metavar="PIXELS",
        help="of a frame before the crop; default --size for 3 crops, for 1 the run's ratio",
    )
    group.add_argument("--sampling", choices=("segment", "dense"))
    group.add_argument("--stride", type=int, metavar="FRAMES", help="of dense sampling")

    group = parser.add_argument_group("Work")
    group.add_argument("--batch-size", type=int, default=8, help="clips at once; default 8")
    group.add_argument("--workers", type=int, help="decoding threads; default one a core")
    group.add_argument(
        "--save-every", type=float, default=30.0, metavar="SECONDS", help="default 30"
    )
    args = parser.parse_args(arguments)
    for name in ("clips", "frames", "size", "short_side", "stride", "batch_size", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1. Received: {value}")
    return args


def evaluate_run(path, config, args, output=None):
    """Scores the videos that `config` names; returns the scores and the folder of their files."""
    run = runs.load_run(path, args.checkpoint)
    views = make_views(run.config, args)
    unreadable = data.UnreadableVideos("skip" if args.skip_bad else "raise", hint=_HINT)
    source, class_names = datasets.open_source(config, args.split, unreadable)
    if class_names != run.class_names:
        pairs = enumerate(itertools.zip_longest(run.class_names, class_names))
        place, (known, there) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"The run knows {len(run.class_names)} classes and the dataset has "
            f"{len(class_names)} of other names or order; --dataset and --data-root name another. "
            f"Received: {path}, {config['shards'] or config['data_root']}: class {place} is "
            f"{known!r} and {there!r}"
        )
    print(
        f"{path}/{args.checkpoint}: {len(source)} videos, {views.clips} clips x {views.crops} "
        f"crops of {views.frames} x {views.size} x {views.size}, {views.sampling} sampling, short "
        f"side {views.short_side}"
    )
    model = run.model_for(views.frames, views.size)
    # One trace for batches of any number: the last one rounds like the others.
    clips = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    predict = tf.function(lambda clips: model(clips, training=False), input_signature=[clips])
    checkpoint = run.path / args.checkpoint
    folder = pathlib.Path(output or run.path / "evaluation" / folder_name(config, views, args))
    scores = evaluation.score_videos(
        predict,
        source,
        views,
        class_names,
        folder,
        protocol={
            "weights_sha256": sha256(checkpoint),
            **{name: config[name] for name in _DATA},
            "split": args.split,
        },
        details={
            "run": str(run.path),
            "weights": str(checkpoint),
            "model": run.config["model"],
            "versions": {
                "smallbig_keras": smallbig_keras.__version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "opencv": cv2.__version__,
                "python": platform.python_version(),
            },
        },
        batch_size=args.batch_size,
        unreadable=unreadable,
        num_parallel_calls=args.workers,
        save_every=args.save_every,
        restart=args.restart,
    )
    if scores.details["skipped"]:
        print(f"{len(scores.details['skipped'])} unreadable videos are left out:")
        print("\n".join(scores.details["skipped"]))
    return scores, folder


def make_views(config, args):
    """Returns the views that the flags ask for, by default those of the run's validation."""
    size = args.size or config["size"]
    short_side = args.short_side
    if short_side is None and args.crops == 1:
        short_side = round(size * config["test_short_side"] / config["size"])
    return evaluation.Views(
        frames=args.frames or config["frames"],
        size=size,
        short_side=short_side or size,
        clips=args.clips,
        crops=args.crops,
        sampling=args.sampling or config["sampling"],
        stride=args.stride or config["stride"],
    )


def folder_name(config, views, args):
    """Returns a name for the results; what is seldom changed is in it where it was."""
    name = f"{config['dataset']}-{args.split}-{views.frames}x{views.clips}x{views.crops}"
    name += f"-{views.size}"
    name += f"-short{args.short_side}" if args.short_side else ""
    name += f"-{args.sampling}" if args.sampling else ""
    name += f"-stride{args.stride}" if args.stride else ""
    stem = pathlib.Path(args.checkpoint).stem
    return name if args.checkpoint == runs.BEST else f"{name}-{stem}"


def ensemble_folder(run, members):
    """Returns a folder for the results of an ensemble."""
    first = members[0].protocol
    views = "x".join(str(first[name]) for name in ("frames", "clips", "crops"))
    names = [
        pathlib.Path(scores.details["run"]).name if "run" in scores.details else "ensemble"
        for scores in members[1:]
    ]
    name = f"{first['dataset']}-{first['split']}-{views}-{first['size']}-with-{'-'.join(names)}"
    return pathlib.Path(run) / "evaluation" / name


def show(results, folder):
    """Prints what was measured; the last line has the accuracies and the number of videos."""
    if "top1" in results:
        print(f"mean accuracy of the classes {results['mean_class']:.3f}; files in {folder}")
        print(f"top1={results['top1']:.3f} top5={results['top5']:.3f} videos={results['videos']}")
    else:
        print(f"videos without labels: predictions in {folder}, no accuracy")
        print(f"videos={results['videos']}")


if __name__ == "__main__":
    main()
