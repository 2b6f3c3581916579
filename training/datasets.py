"""How the scripts name a data set, and how a run finds it again."""

import pathlib

from smallbig_keras import data

_READER_OPTIONS = (
    *("split_number", "image_template", "train_list", "val_list", "test_list"),
    *("class_list", "skip_bad_lines"),
)
INDEX = "index.jsonl"


def add_flags(group):
    """Adds the flags that name a data set."""
    group.add_argument("--dataset", choices=sorted(data.DATASETS))
    group.add_argument("--data-root", metavar="DIR", help="its folder, laid out as in docs/data.md")
    group.add_argument(
        "--shards", metavar="DIR_OR_URL", help="what prepare.py shards made, in place of the folder"
    )
    group.add_argument(
        "--index",
        metavar="FILE",
        help=f"what prepare.py index found out; default {INDEX} in the folder, if it is there",
    )
    group.add_argument("--split-number", type=int, metavar="N", help="of ucf101, hmdb51; default 1")
    group.add_argument(
        "--image-template", metavar="NAME", help="of frames, such as img_{:05d}.jpg, from 1"
    )
    for split in ("train", "val", "test"):
        group.add_argument(f"--{split}-list", metavar="FILE", help="a list of frames")
    group.add_argument("--class-list", metavar="FILE", help="class names of frames or csv")
    group.add_argument(
        "--skip-bad-lines",
        action="store_true",
        default=None,
        help="leave out damaged lines of frames or csv, and count them",
    )


def from_flags(args):
    """Returns what the flags say, as it is kept in the configuration of a run."""
    options = {name: getattr(args, name) for name in _READER_OPTIONS}
    return {
        "dataset": args.dataset,
        "data_root": _absolute(args.data_root),
        "data_options": {name: value for name, value in options.items() if value is not None},
        "index": _absolute(args.index),
        "shards": args.shards if args.shards and "://" in args.shards else _absolute(args.shards),
    }


def add_given(config, args):
    """Returns the configuration of a run with what the flags say otherwise."""
    given = {name: value for name, value in from_flags(args).items() if value}
    if "data_root" in given or "dataset" in given:
        config = {**config, "index": None, "shards": None}
    if given.get("dataset", config["dataset"]) != config["dataset"]:
        config = {**config, "data_options": {}}
    options = {**config["data_options"], **given.pop("data_options", {})}
    return {**config, **given, "data_options": options}


def open_source(config, split, unreadable):
    """Opens a split of the data set of a configuration.

    Videos that are listed but missing are left out and recorded as bad, or an error by the policy
    for bad clips.

    Returns:
        `(source, class_names)`, the source for `data.clip_dataset`.
    """
    if config["shards"]:
        source = data.ShardSource(config["shards"], split)
        return source, source.class_names
    try:
        videos, class_names = data.read_annotations(
            config["dataset"], config["data_root"] or "DIR", split, **config["data_options"]
        )
    except data.DatasetNotFoundError as error:
        if config["data_root"]:
            raise
        drawn = str(error).rpartition("Received: ")[0]
        raise data.DatasetNotFoundError(f"{drawn}Received: no --data-root DIR") from None
    there = data.drop_missing(videos, "raise" if unreadable.policy == "raise" else "skip")
    for video in set(videos) - set(there):
        unreadable.add(video.path, "a file that is missing")
    return data.VideoSource(there, read_index(config)), class_names


def read_index(config):
    """Returns what the index of the configuration knows by path, or `None` if there is none."""
    file = config["index"] or pathlib.Path(config["data_root"], INDEX)
    if config["index"] or file.is_file():
        return data.read_index(file)
    return None


def _absolute(path):
    return str(pathlib.Path(path).resolve()) if path else None
