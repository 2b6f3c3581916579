"""The options that name a dataset, and the clips behind them."""

import dataclasses
import inspect
import pathlib

from smallbig_keras.data.annotations.datasets import DATASETS, read_annotations
from smallbig_keras.data.annotations.folders import has_validation
from smallbig_keras.data.annotations.splitting import check_split_options
from smallbig_keras.data.annotations.video import DatasetNotFoundError
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.options import flag, option

INDEX = "index.jsonl"


@dataclasses.dataclass(frozen=True)
class DatasetOptions:
    """Dataset"""

    dataset: str | None = option(None, "how the videos are laid out", choices=tuple(DATASETS))
    data_root: str | None = option(None, "folder of the dataset, see docs/data.md", metavar="DIR")
    shards: str | None = option(
        None,
        "folder or URL that `smallbig prepare shards` made, in place of --data-root",
        metavar="DIR_OR_URL",
    )
    index: str | None = option(
        None,
        "file that `smallbig prepare index` wrote",
        metavar="FILE",
        shown=f"{INDEX} in --data-root, if it is there",
    )
    split_number: int | None = option(
        None, "official split of ucf101 and hmdb51", metavar="N", shown="1"
    )
    image_template: str | None = option(
        None, "names of the frames in a folder, such as img_{:05d}.jpg", metavar="NAME"
    )
    train_list: str | None = option(None, "training videos, for frames and csv", metavar="FILE")
    val_list: str | None = option(
        None, "validation videos, for frames, csv and folder", metavar="FILE"
    )
    val_share: float | None = option(
        None,
        "share of each class for validation, for folder without val/",
        metavar="SHARE",
        shown="0.2",
    )
    split_seed: int | None = option(
        None, "choice of the videos of --val-share", metavar="SEED", shown="0"
    )
    test_list: str | None = option(None, "test videos, for frames and csv", metavar="FILE")
    class_list: str | None = option(None, "class names, for frames and csv", metavar="FILE")
    first_label: int | None = option(
        None, "label of the first class, 0 or 1, for frames and csv", metavar="N", shown="0"
    )
    allow_empty_classes: bool | None = option(
        None, "allow classes without a training video, for frames, csv and folder", shown="off"
    )
    skip_bad_lines: bool | None = option(
        None, "leave out damaged lines of lists, and count them", shown="off"
    )


READER_OPTIONS = (
    *("split_number", "image_template", "train_list", "val_list", "val_share", "split_seed"),
    *("test_list", "class_list", "first_label", "allow_empty_classes", "skip_bad_lines"),
)
_SPLIT = ("val_list", "val_share", "split_seed")


def dataset_options(values):
    """Returns the DatasetOptions among options, an object or a dict, with absolute paths."""
    values = values if isinstance(values, dict) else vars(values)
    chosen = {f.name: values.get(f.name) for f in dataclasses.fields(DatasetOptions)}
    for name in ("data_root", "index", "shards"):
        if chosen[name] and "://" not in chosen[name]:
            chosen[name] = str(pathlib.Path(chosen[name]).resolve())
    for name in ("train_list", "val_list", "test_list", "class_list"):
        file = pathlib.Path(chosen[name] or "")
        if file.is_file() and not pathlib.Path(chosen["data_root"] or "", file).exists():
            # Lists are looked up in the dataset first, then where the user is.
            chosen[name] = str(file.resolve())
    return DatasetOptions(**chosen)


def update_dataset(options, given):
    """Returns DatasetOptions with what is given otherwise; another dataset has its own options."""
    given = {f: v for f, v in vars(dataset_options(given)).items() if v is not None}
    root = given.get("data_root", options.data_root)
    split = {"shards", *_SPLIT} & set(given)
    if split or (options.dataset == "folder" and root and has_validation(root)):
        # Another split is given, or the videos have one.
        options = dataclasses.replace(options, **dict.fromkeys(_SPLIT))
    if given.get("dataset", options.dataset) != options.dataset:
        options = dataclasses.replace(options, **dict.fromkeys(READER_OPTIONS))
    if {"data_root", "dataset"} & set(given):
        options = dataclasses.replace(options, index=None, shards=None)
    if "shards" in given:
        options = dataclasses.replace(options, data_root=None, index=None)
    return dataclasses.replace(options, **given)


def check_dataset(options):
    """Refuses options of a dataset that would have no effect."""
    if options.shards:
        for name in ("data_root", "index", *READER_OPTIONS):
            if getattr(options, name) is not None:
                raise OptionError(
                    f"{flag(name)} has no effect with --shards, which hold videos and classes. "
                    f"Received: {getattr(options, name)}"
                )
    for name in READER_OPTIONS if options.dataset else ():
        if getattr(options, name) is not None and name not in _reader_options(options.dataset):
            takers = [other for other in DATASETS if name in _reader_options(other)]
            raise OptionError(
                f"{flag(name)} has no effect on {options.dataset}; it is for {', '.join(takers)}. "
                f"Received: {getattr(options, name)}"
            )
    check_split_options(*(getattr(options, name) for name in _SPLIT))


def is_split_by_seed(options):
    """Tells if the validation videos of DatasetOptions are chosen: with more videos, others are."""
    listed = options.shards or options.val_list or options.data_root is None
    return options.dataset == "folder" and not listed and not has_validation(options.data_root)


def _reader_options(dataset):
    return list(inspect.signature(DATASETS[dataset]).parameters)[2:]


def read_split(options, split):
    """Reads the annotations of a split: `(videos, class_names)`."""
    chosen = {name: getattr(options, name) for name in READER_OPTIONS}
    try:
        return read_annotations(options.dataset, options.data_root or "DIR", split, **chosen)
    except DatasetNotFoundError as error:
        if options.data_root:
            raise
        drawn = str(error).rpartition("Received: ")[0]
        raise DatasetNotFoundError(f"{drawn}Received: no --data-root DIR") from None


def count_videos(options, split):
    """Returns the videos of a split, those that are listed or the clips in shards."""
    if options.shards:
        from smallbig_keras.data.shards import ShardSource

        return len(ShardSource(options.shards, split))
    return len(read_split(options, split)[0])


def open_source(options, split, unreadable):
    """Opens a split for `clip_dataset`.

    Listed videos that are missing count as unreadable, or are an error by that policy.

    Returns:
        `(source, class_names)`.
    """
    from smallbig_keras.data.annotations import drop_missing
    from smallbig_keras.data.shards import ShardSource
    from smallbig_keras.data.sources import VideoSource

    if options.shards:
        source = ShardSource(options.shards, split)
        return source, source.class_names
    if options.dataset is None:
        raise SmallBigError("The dataset is named by --dataset and --data-root. Received: neither")
    videos, class_names = read_split(options, split)
    there = drop_missing(videos, "raise" if unreadable.policy == "raise" else "skip")
    for video in set(videos) - set(there):
        unreadable.add(video.path, "a file that is missing")
    return VideoSource(there, read_known(options)), class_names


def read_known(options):
    """Returns what an index knows of the videos by path, or `None` where there is no index."""
    from smallbig_keras.data.index import read_index

    file = options.index or pathlib.Path(options.data_root, INDEX)
    return read_index(file) if options.index or file.is_file() else None
