"""Prepares data for training.

smallbig prepare index --dataset sthv2 --data-root DIR
smallbig prepare shards --dataset sthv2 --data-root DIR --out SHARDS
smallbig prepare check SHARDS
smallbig prepare sample --out DIR
"""

import dataclasses
import errno
import functools
import os
import pathlib
import statistics
import types
import typing

from smallbig_keras.cli import publish
from smallbig_keras.cli.progress import progress_bar
from smallbig_keras.data.annotations.video import DatasetNotFoundError
from smallbig_keras.data.options import (
    INDEX,
    DatasetOptions,
    check_dataset,
    dataset_options,
    read_known,
    read_split,
)
from smallbig_keras.data.shards.options import ShardOptions
from smallbig_keras.errors import OptionError, ResourceError, SmallBigError
from smallbig_keras.files import check_writable, replace_file
from smallbig_keras.options import flag, option

SPLITS = ("train", "validation", "test")
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class WorkOptions:
    """Work"""

    workers: int | None = option(None, "videos or shards at once", shown="one a processor")


@dataclasses.dataclass(frozen=True)
class SplitOptions(WorkOptions, DatasetOptions):
    """Splits"""

    splits: tuple[typing.Literal["train", "validation", "test"], ...] = option(
        (), "splits to read", metavar="SPLIT", shown="those that the dataset has"
    )


@dataclasses.dataclass(frozen=True)
class ShardsOptions(SplitOptions, ShardOptions):
    """Output"""

    out: str | None = option(None, "folder to make or continue", metavar="DIR", required=True)
    skip_bad: bool = option(False, "leave unreadable videos out and list them")


@dataclasses.dataclass(frozen=True)
class CheckOptions(WorkOptions):
    """Check"""

    shards: str | None = option(
        None, "folder or URL of shards", metavar="SHARDS", positional=True, required=True
    )


@dataclasses.dataclass(frozen=True)
class SampleOptions(WorkOptions):
    """Sample"""

    out: str | None = option(None, "folder to make", metavar="DIR", required=True)
    seed: int = option(0, "of the clips")


def make_index(args):
    """Indexes the videos of a dataset and reports the unreadable ones; returns what it knows."""
    from smallbig_keras.data import index

    splits = _read_splits(args)
    videos = [video for videos, _ in splits.values() for video in videos]
    path = pathlib.Path(args.index or pathlib.Path(args.data_root, INDEX))
    known = index.make_index(videos, path, args.workers, progress_bar("video"))

    good = [info for info in known.values() if info.error is None]
    bad = [info for info in known.values() if info.error is not None]
    print(f"{path}: {len(known)} videos of {', '.join(splits)}")
    if good:
        frames = [info.num_frames for info in good]
        print(
            f"{len(good)} good: {sum(frames)} frames, {min(frames)} / "
            f"{statistics.median(frames):g} / {max(frames)} a video (least, median, most)"
        )
    report = path.with_suffix(".bad.txt")
    report.unlink(missing_ok=True)
    if bad:
        lines = [info.error.rpartition("Received: ")[2] for info in bad]
        text = "".join(f"{line}\n" for line in lines)
        replace_file(report, lambda file: file.write_text(text, encoding="utf-8"))
        _print_bad(lines, f"in {report}")
    return known


def make_shards(args):
    """Makes shards of a dataset and reports what they hold; returns the manifest."""
    from smallbig_keras.data import shards
    from smallbig_keras.data.video_file import BadVideoError

    options = ShardOptions(args.dataset, args.content, args.short_side, args.quality, args.shard_mb)
    splits = _read_splits(args)
    (class_names, *others) = [names for _, names in splits.values()]
    if any(names != class_names for names in others):
        raise SmallBigError(f"All splits must have the same classes. Received: {list(splits)}")
    try:
        manifest = shards.make_shards(
            {split: videos for split, (videos, _) in splits.items()},
            class_names,
            args.out,
            options,
            read_known(dataset_options(args)),
            args.skip_bad,
            args.workers,
            progress_bar("video"),
        )
    except BadVideoError as error:
        hint = "--skip-bad leaves unreadable videos out; smallbig prepare index finds all of them."
        raise BadVideoError(f"{error}\n{hint}") from None
    for split, made in manifest["splits"].items():
        size = sum(shard["bytes"] for shard in made["shards"])
        count = len(made["shards"])
        print(f"{split}: {made['videos']} videos in {count} shards of {size / 1e6:.1f} MB in all")
        _print_bad([f"{bad['id']}: {bad['reason']}" for bad in made["bad"]], "in shards.json")
    print(args.out)
    return manifest


def check_shards(args):
    """Compares shards with their manifest and their indexes, and prints a line a problem."""
    from smallbig_keras.data import shards

    problems = shards.check_shards(args.shards, args.workers, progress_bar("shard"))
    for problem in problems:
        print(problem)
    if problems:
        raise ResourceError(
            "The shards are not whole: make them again, where no line above says otherwise. "
            f"Received: {len(problems)} problems in {args.shards}"
        )
    print(f"{args.shards}: whole")


def make_sample(args):
    """Makes the sample set; returns its folder."""
    from smallbig_keras.data import sample_set

    folder = sample_set.make_sample(
        args.out, seed=args.seed, workers=args.workers, progress=progress_bar("clip")
    )
    print(args.out)
    return folder


def _print_bad(lines, where):
    if lines:
        missing = sum(line.endswith(os.strerror(errno.ENOENT)) for line in lines)
        print(f"{len(lines)} bad, {missing} of them missing, all {where}:")
        print("\n".join(f"  {line}" for line in lines[:_SHOWN]))


def _read_splits(args):
    """Reads the annotations of the splits that are asked for, or else of those there are.

    Returns a dict of `(videos, class_names)` by split. A split that lists the videos of another
    one is left out unless it is asked for.
    """
    options = dataset_options(args)
    found, absent = {}, []
    for split in args.splits or SPLITS:
        try:
            read = read_split(options, split)
        except DatasetNotFoundError as error:
            if args.splits:
                raise
            absent.append(error)
            continue
        if args.splits or read not in found.values():
            found[split] = read
    if not found:
        raise absent[0]
    return found


def _check(options, given):
    """Returns the checked options of a part."""
    args = options(**given)
    if isinstance(args, SplitOptions):
        if args.shards is not None or args.dataset is None or args.data_root is None:
            raise OptionError(
                "The dataset is named by --dataset and --data-root, not by --shards. Received: "
                f"dataset={args.dataset}, data_root={args.data_root}, shards={args.shards}"
            )
        check_dataset(dataset_options(args))
    target = args.out if "out" in given else given.get("index") or given.get("data_root")
    if target:
        check_writable(target)
    if given.get("content") == "video":
        for name in {"short_side", "quality"} & set(given):
            raise OptionError(
                f"{flag(name)} has no effect on video files: add --content frames. "
                f"Received: {given[name]}"
            )
    return args


def _command(documentation, options, function):
    """A part of this command, in the form of a command."""
    return types.SimpleNamespace(
        __doc__=documentation,
        Options=options,
        check=functools.partial(_check, options),
        CONTINUE="The same command continues." if function in (make_index, make_shards) else "",
        run=function,
    )


COMMANDS = {
    "index": _command(
        "Decodes every video once: frames and their times, size, errors.",
        SplitOptions,
        make_index,
    ),
    "shards": _command(
        "Writes TFRecord shards, which are read faster.", ShardsOptions, make_shards
    ),
    "check": _command(
        "Compares shards with their manifest, and writes indexes that are missing.",
        CheckOptions,
        check_shards,
    ),
    "sample": _command(
        "Makes a set of real footage through a virtual camera, laid out as sthv2.",
        SampleOptions,
        make_sample,
    ),
    # Where it was in version 0.1.0.
    "publish": publish,
}
