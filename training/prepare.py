"""Prepares data for training, and trained weights for others.

python training/prepare.py index --dataset sthv2 --data-root DIR
python training/prepare.py shards --dataset sthv2 --data-root DIR --out SHARDS
python training/prepare.py check SHARDS
python training/prepare.py sample --out DIR
python training/prepare.py publish RUN --name k400 --out DIR
"""

import environment  # noqa: F401  # isort: skip
import argparse
import errno
import functools
import os
import pathlib
import statistics
import sys
import time

import datasets
import keras

from smallbig_keras import cli, data, runs, weights

SPLITS = ("train", "validation", "test")
_SHOWN = 10
# Seconds.
_LINE_EVERY = 10


@cli.readable_errors
def main(arguments=None):
    parser = cli.make_parser(__doc__)
    commands = parser.add_subparsers(
        required=True,
        metavar="COMMAND",
        parser_class=functools.partial(argparse.ArgumentParser, allow_abbrev=False),
    )
    for add in (_add_index, _add_shards, _add_check, _add_sample, _add_publish):
        add(commands)
    args = parser.parse_args(arguments)
    return args.run_command(args)


def _add_index(commands):
    command = commands.add_parser(
        "index", help="decode every video once: frames, size, whether seeks are exact, errors"
    )
    command.set_defaults(run_command=make_index)
    datasets.add_flags(command)
    _add_splits(command)


def _add_shards(commands):
    defaults = data.ShardOptions(dataset="")
    command = commands.add_parser("shards", help="TFRecord files, which are read faster")
    command.set_defaults(run_command=make_shards)
    datasets.add_flags(command)
    _add_splits(command)
    command.add_argument("--out", required=True, metavar="DIR", help="folder to make or continue")
    command.add_argument(
        "--content",
        choices=("frames", "video"),
        default=defaults.content,
        help="all frames as JPEG files, or video files as they are; default %(default)s",
    )
    command.add_argument(
        "--short-side",
        type=int,
        default=defaults.short_side,
        metavar="PIXELS",
        help="of frames, where it is longer; 0 keeps the size; default %(default)s",
    )
    command.add_argument(
        "--quality", type=int, default=defaults.quality, help="of JPEG files; default %(default)s"
    )
    command.add_argument(
        "--shard-mb", type=int, default=defaults.shard_mb, help="about; default %(default)s"
    )
    command.add_argument(
        "--skip-bad", action="store_true", help="leave unreadable videos out and list them"
    )


def _add_check(commands):
    command = commands.add_parser("check", help="compare shards with their manifest")
    command.set_defaults(run_command=check_shards)
    command.add_argument("shards", metavar="DIR_OR_URL")
    _add_workers(command)


def _add_sample(commands):
    command = commands.add_parser(
        "sample",
        help="real footage through a moving virtual camera, laid out as Something-Something V2",
    )
    command.set_defaults(run_command=make_sample)
    command.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    command.add_argument("--seed", type=int, default=0)


def _add_publish(commands):
    command = commands.add_parser(
        "publish", help="the weights of a finished run and their record, a folder to upload"
    )
    command.set_defaults(run_command=publish_run)
    command.add_argument("run", metavar="RUN")
    command.add_argument("--name", required=True, help="what weights= will be given: k400, ...")
    command.add_argument("--out", default="published", metavar="DIR", help="default published")
    command.add_argument("--licence", help="licence of the weights")
    command.add_argument("--overwrite", action="store_true", help="replace files of that name")


def _add_splits(command):
    command.add_argument(
        "--splits", nargs="+", choices=SPLITS, help="default: those that the data set has"
    )
    _add_workers(command)


def _add_workers(command):
    command.add_argument("--workers", type=int, metavar="N", help="default: one a processor")


def make_sample(args):
    """Makes the sample set."""
    data.make_sample(args.out, seed=args.seed, progress=progress_bar("clip"))
    print(args.out)


def make_index(args):
    """Indexes the videos of a data set and reports what is bad among them."""
    splits = read_splits(args)
    videos = [video for videos, _ in splits.values() for video in videos]
    path = pathlib.Path(args.index or pathlib.Path(args.data_root, datasets.INDEX))
    facts = data.make_index(videos, path, args.workers, progress_bar("video"))

    good = [known for known in facts.values() if known.error is None]
    bad = [known for known in facts.values() if known.error is not None]
    print(f"{path}: {len(facts)} videos of {', '.join(splits)}")
    if good:
        frames = [known.num_frames for known in good]
        print(
            f"{len(good)} good: {sum(frames)} frames, {min(frames)} / "
            f"{statistics.median(frames):g} / {max(frames)} a video (least, median, most), "
            f"{sum(known.exact_seek for known in good)} with exact seeks"
        )
    report = path.with_suffix(".bad.txt")
    report.unlink(missing_ok=True)
    if bad:
        lines = [known.error.rpartition("Received: ")[2] for known in bad]
        text = "".join(f"{line}\n" for line in lines)
        runs.replace_file(report, lambda file: file.write_text(text, encoding="utf-8"))
        _print_bad(lines, f"in {report}")
    return facts


def make_shards(args):
    """Makes shards of a data set and reports what they hold."""
    options = data.ShardOptions(
        args.dataset, args.content, args.short_side, args.quality, args.shard_mb
    )
    splits = read_splits(args)
    (class_names, *others) = [names for _, names in splits.values()]
    if any(names != class_names for names in others):
        raise SystemExit(f"error: all splits must have the same classes. Received: {list(splits)}")
    make = functools.partial(
        data.make_shards,
        {split: videos for split, (videos, _) in splits.items()},
        class_names,
        args.out,
        options,
        datasets.read_index(datasets.from_flags(args)),
        args.skip_bad,
        args.workers,
        progress_bar("video"),
    )
    try:
        manifest = make()
    except data.BadVideoError as error:
        hint = "--skip-bad leaves unreadable videos out; prepare.py index finds all of them."
        raise data.BadVideoError(f"{error}\n{hint}") from None
    for split, made in manifest["splits"].items():
        size = sum(shard["bytes"] for shard in made["shards"])
        count = len(made["shards"])
        print(f"{split}: {made['videos']} videos in {count} shards of {size / 1e6:.1f} MB in all")
        _print_bad([f"{bad['id']}: {bad['reason']}" for bad in made["bad"]], "in shards.json")
    print(args.out)
    return manifest


def check_shards(args):
    """Compares shards with their manifest and prints a line a problem."""
    problems = data.check_shards(args.shards, args.workers, progress_bar("shard"))
    for problem in problems:
        print(problem)
    if problems:
        raise SystemExit(f"error: shards must be whole. Received: {len(problems)} problems")
    print(f"{args.shards}: whole")


def _print_bad(lines, where):
    if lines:
        missing = sum(line.endswith(os.strerror(errno.ENOENT)) for line in lines)
        print(f"{len(lines)} bad, {missing} of them missing, all {where}:")
        print("\n".join(f"  {line}" for line in lines[:_SHOWN]))


def read_splits(args):
    """Reads the annotations of the splits that are asked for, or else of those there are.

    Returns:
        dict of `(videos, class_names)` by the name of the split. A split that lists the videos of
        another one is left out unless it is asked for.
    """
    if args.shards is not None or args.dataset is None or args.data_root is None:
        raise SystemExit(
            "error: the data set is named by --dataset and --data-root, not by --shards. "
            f"Received: dataset={args.dataset}, data_root={args.data_root}, shards={args.shards}"
        )
    config = datasets.from_flags(args)
    found, absent = {}, []
    for split in args.splits or SPLITS:
        try:
            read = data.read_annotations(
                args.dataset, args.data_root, split, **config["data_options"]
            )
        except data.DatasetNotFoundError as error:
            if args.splits:
                raise
            absent.append(error)
            continue
        if args.splits or read not in found.values():
            found[split] = read
    if not found:
        raise absent[0]
    return found


def publish_run(args):
    """Publishes a run and prints how others load it."""
    record = weights.publish(args.run, args.name, args.out, args.licence, args.overwrite)
    accuracy = record.accuracy
    print(
        f"{args.out}/{record.file}: {record.bytes / 1e6:.1f} MB, top1={accuracy['top1']:.3f} "
        f"top5={accuracy['top5']:.3f} ({accuracy['protocol']}, "
        f"{accuracy['dataset']} in {accuracy['data_root']})"
    )
    print(f"here:    SMALLBIG_WEIGHTS={args.out}")
    print("served:  SMALLBIG_WEIGHTS_URL=http://...")
    print(f"then:    smallbig_keras.{record.model}(weights={record.name!r})")


def progress_bar(unit):
    """Returns a function of `(done, total)` that draws a bar, or where none can be prints lines.

    Args:
        unit: str. What is counted.
    """
    bars, start, printed = [], time.monotonic(), [time.monotonic()]

    def show(done, total):
        now = time.monotonic()
        if sys.stdout.isatty():
            if not bars:
                bars.append(keras.utils.Progbar(total, unit_name=unit))
            bars[0].update(done)
        elif done == total or now - printed[0] > _LINE_EVERY:
            printed[0] = now
            left = (now - start) / done * (total - done)
            print(f"{done}/{total} {unit}s, {left:.0f} s left", flush=True)

    return show


if __name__ == "__main__":
    main()
