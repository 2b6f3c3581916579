"""Measures classifiers on the videos of a dataset, by the test protocols of the paper.

    smallbig evaluate --weights RUN                                  # one clip, centre crop
    smallbig evaluate --weights RUN --clips 10 --crops 3 --size 256  # Kinetics-400
    smallbig evaluate --weights RUN --clips 2 --crops 3 --size 256   # Something-Something
    smallbig evaluate --weights RUN --ensemble OTHER_RUN scores.npz  # fused scores

The same command goes on where it was stopped. Results are in RUN/evaluation.
"""

import dataclasses
import hashlib
import itertools
import pathlib
import typing
import warnings

from smallbig_keras import runs
from smallbig_keras.cli.source import (
    CROPS_HELP,
    ClipOptions,
    SourceOptions,
    check_source,
    load_classifier,
    run_dataset,
)
from smallbig_keras.data.clips import check_crops
from smallbig_keras.data.options import DatasetOptions, check_dataset, is_split_by_seed, open_source
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.files import check_writable, sha256
from smallbig_keras.options import flag, option
from smallbig_keras.weights.catalogue import find_record
from smallbig_keras.weights.locations import local_source
from smallbig_keras.weights.resolution import find_weights, is_name

CONTINUE = "The same command, without --restart, continues where it stopped."
_CHECKPOINTS = {"best": runs.BEST, "last": runs.LAST}
_HINT = "--skip-bad leaves unreadable videos out; smallbig prepare index finds all of them."


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """Evaluation"""

    checkpoint: str = option("best", "epoch of a run to measure: best or last")
    ensemble: tuple[str, ...] = option(
        (),
        "other classifiers, or their scores.npz, whose scores are averaged",
        metavar="SOURCE_OR_SCORES",
    )
    output: str | None = option(
        None,
        "folder of the results",
        metavar="DIR",
        shown="a folder in RUN/evaluation, else in ./evaluation",
    )
    restart: bool = option(False, "score anew where there are scores")
    split: typing.Literal["validation", "test"] = option("validation", "videos to measure")
    skip_bad: bool = option(False, "leave unreadable videos out and list them")
    clips: int = option(1, "clips of a video")
    crops: int = option(1, CROPS_HELP)
    as_published: bool = option(
        False, "frames, size, clips and crops of the publisher's figure, which is shown beside"
    )
    batch_size: int = option(8, "clips at once")
    workers: int | None = option(None, "videos decoded at once", shown="one a processor")
    save_every: float | None = option(
        None, "of version 0.1.0; every batch is saved now", metavar="SECONDS"
    )


@dataclasses.dataclass(frozen=True)
class Options(ClipOptions, DatasetOptions, EvaluationOptions, SourceOptions):
    """The options of `smallbig evaluate`; a dataset that is not given is the run's."""


def run(args):
    """Measures a classifier or an ensemble; returns the accuracies."""
    from smallbig_keras import evaluation

    dataset = run_dataset(args.weights, args)
    output = None if args.ensemble else args.output
    scores, folder = _evaluate(args.weights, dataset, args, output)
    results = evaluation.write_report(folder, scores)
    members = [scores]
    for member in args.ensemble:
        _show(results, folder)
        if pathlib.Path(member).suffix == ".npz":
            scores, folder = evaluation.load_scores(member), member
            results = evaluation.measure(scores)
        else:
            scores, folder = _evaluate(member, dataset, args)
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
    if args.as_published:
        args = _as_published(args, given)
    for name in ("clips", "batch_size", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise SmallBigError(f"{flag(name)} must be at least 1. Received: {value}")
    # Version 0.1.0 had names of files.
    args = dataclasses.replace(args, checkpoint=args.checkpoint.removesuffix(".keras"))
    if args.checkpoint not in _CHECKPOINTS:
        raise SmallBigError(f"--checkpoint must be best or last. Received: {args.checkpoint}")
    check_crops(args.crops)
    if args.save_every is not None:
        warnings.warn("--save-every has no effect any more: every batch is saved.", stacklevel=2)
    check_writable(args.output or _results(args.weights))
    check_source(args)
    dataset = run_dataset(args.weights, args)
    if not (dataset.dataset or dataset.shards):
        raise OptionError(
            "The videos are those of a run's dataset, of --dataset and --data-root, or of "
            f"--shards. Received: --weights {args.weights}, which is no run"
        )
    check_dataset(dataset)
    return args


# The options that a publisher's protocol sets.
_PROTOCOL = ("frames", "size", "short_side", "sampling", "stride", "clips", "crops")


def _as_published(args, given):
    """Returns the options with the protocol of the publisher's figure."""
    idle = [flag(name) for name in (*_PROTOCOL, "ensemble") if given.get(name) not in (None, ())]
    if idle:
        raise OptionError(
            "--as-published takes the protocol from the record of the weights: leave out "
            f"{', '.join(idle)}. Received: {args.weights}"
        )
    record = _published(args)
    rule, clips, crops = record.protocol
    values = {name: getattr(rule, name) for name in ("frames", "size", "short_side")}
    if crops == 3:
        del values["short_side"]
    return dataclasses.replace(args, **values, clips=clips, crops=crops)


def _published(args):
    """Returns the record of a publisher's figure for the weights."""
    record = None
    if is_name(args.weights, args.weights_dir):
        record = find_record(args.weights, args.model, args.weights_dir)
    if record is None or not record.publisher or not record.accuracy:
        raise OptionError(
            "--as-published needs the name of weights with a publisher's figure, one of those of "
            f"smallbig models. Received: --weights {args.weights}"
        )
    return record


def _evaluate(source, dataset, args, output=None):
    """Scores the videos of a dataset; returns the scores and the folder of their files."""
    from smallbig_keras import evaluation
    from smallbig_keras.data.unreadable import UnreadableVideos
    from smallbig_keras.weights.description import is_classifier, versions

    weights = source
    if is_classifier(source) and not is_name(source, args.weights_dir):
        weights = runs.find_checkpoint(source, _CHECKPOINTS[args.checkpoint])
    elif args.checkpoint != "best":
        raise OptionError(
            f"--checkpoint {args.checkpoint} is for a run. Received: --weights {source}"
        )
    classifier = load_classifier(args, weights)
    clips = classifier.clips
    if args.short_side is None:
        clips = clips.for_crops(args.crops)
    unreadable = UnreadableVideos("skip" if args.skip_bad else "raise", hint=_HINT)
    videos, class_names = open_source(dataset, args.split, unreadable)
    if class_names != classifier.class_names:
        pairs = enumerate(itertools.zip_longest(classifier.class_names, class_names))
        position, (known, there) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise SmallBigError(
            f"The classifier knows {len(classifier.class_names)} classes and the dataset has "
            f"{len(class_names)} of other names or order; --dataset and --data-root name another, "
            f"--labels other names. Received: {source}, {dataset.shards or dataset.data_root}: "
            f"class {position} is {known!r} and {there!r}"
        )
    print(
        f"{weights}: {len(videos)} videos, {args.clips} clips x {args.crops} crops of "
        f"{clips.frames} x {clips.size} x {clips.size}, {clips.sampling} sampling, short side "
        f"{clips.short_side}"
    )
    if args.split == "validation" and is_split_by_seed(dataset):
        print(
            f"The videos of {dataset.data_root} are chosen by seed. If the classifier was trained "
            "on some of them, the accuracy says too much: --val-list FILE names others."
        )
    folder = pathlib.Path(output or _results(source) / _folder_name(dataset, clips, args))
    scores = evaluation.score_videos(
        lambda batch: classifier.score(batch, len(batch)),
        videos,
        clips,
        class_names,
        folder,
        views=(args.clips, args.crops),
        protocol={"weights_sha256": _digest(weights, args), "split": args.split, **vars(dataset)},
        details={
            "run": str(source),
            "weights": str(weights),
            "model": getattr(classifier.model, "name", None),
            "versions": versions(),
            **_figures(args),
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


def _results(source):
    """The folder of the results: in that of a run or a saved classifier, else in this one."""
    from smallbig_keras.weights.description import is_classifier

    if is_classifier(source):
        return pathlib.Path(source, "evaluation")
    path = pathlib.PurePath(str(source).replace("://", "/"))
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return pathlib.Path("evaluation", "-".join(parts))


def _digest(weights, args):
    """A SHA-256 of the weights; of a SavedModel, of all its files."""
    path = pathlib.Path(local_source(weights))
    if is_name(weights, args.weights_dir):
        path = find_weights(weights, args.model, args.weights_dir).path
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digests = [sha256(file) for file in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _folder_name(dataset, clips, args):
    """A name for the results; options that are seldom given are in it where they were."""
    name = f"{dataset.dataset}-{args.split}-{clips.frames}x{args.clips}x{args.crops}"
    name += f"-{clips.size}"
    name += f"-short{args.short_side}" if args.short_side else ""
    name += f"-{args.sampling}" if args.sampling else ""
    name += f"-stride{args.stride}" if args.stride else ""
    return name if args.checkpoint == "best" else f"{name}-{args.checkpoint}"


def _ensemble_folder(run, members):
    first = members[0].protocol
    views = "x".join(str(first[name]) for name in ("frames", "clips", "crops"))
    names = [
        pathlib.Path(scores.details["run"]).name if "run" in scores.details else "ensemble"
        for scores in members[1:]
    ]
    name = f"{first['dataset']}-{first['split']}-{views}-{first['size']}-with-{'-'.join(names)}"
    return _results(run) / name


def _figures(args):
    """Returns a publisher's figure for the results, in a dict."""
    if not args.as_published:
        return {}
    record = _published(args)
    return {"published": {"name": record.name, "by": record.publisher, **record.accuracy}}


def _show(results, folder):
    """Prints the measured accuracies; the last line has the number of videos."""
    if "published" in results and "top1" in results:
        theirs = results["published"]
        print(
            f"{theirs['by']}'s {theirs['name']}, {theirs['protocol']} on {theirs['dataset']}; "
            f"measured on {results['videos']} videos:"
        )
        for name in ("top1", "top5"):
            ours = results[name]
            print(
                f"{name}  theirs {theirs[name]:.4f}  measured {ours:.4f}  "
                f"difference {ours - theirs[name]:+.4f}"
            )
    if "top1" in results:
        print(f"mean accuracy of the classes {results['mean_class']:.3f}; files in {folder}")
        print(f"top1={results['top1']:.3f} top5={results['top5']:.3f} videos={results['videos']}")
    else:
        print(f"videos without labels: predictions in {folder}, no accuracy")
        print(f"videos={results['videos']}")
