"""The videos of a training: enough of them, and when a run continues those that it began with."""

from smallbig_keras import runs
from smallbig_keras.data.annotations.splitting import read_list, write_list
from smallbig_keras.data.annotations.video import shorten
from smallbig_keras.data.options import is_split_by_seed
from smallbig_keras.data.sources import list_digest
from smallbig_keras.errors import SmallBigError
from smallbig_keras.options import command_line
from smallbig_keras.training import reports


def write_lists(run, dataset, training, validation):
    """Writes down the videos of a run; returns the options that read a split by seed again."""
    write_list(training.ids, run / runs.TRAIN_LIST)
    if not is_split_by_seed(dataset):
        return {}
    # Videos that are added later change no split of this run.
    file = (run / runs.VAL_LIST).resolve()
    write_list(validation.ids, file)
    return {"val_list": str(file), "val_share": None, "split_seed": None}


def check_videos(config, source, class_names, num_validation, run=None):
    """Checks that there are enough videos, and those of a run that continues.

    Args:
        config: dict. Options of the training; takes the facts `class_names`, `num_videos` and
            `videos`, where it has none.
        source: source of the training videos.
        class_names: list of str.
        num_validation: int. Videos for validation.
        run: path. The folder of a run that continues. Defaults to `None`, a new one.
    """
    if len(class_names) < 2:
        raise SmallBigError(
            "A classifier needs two classes: add videos of another one. "
            f"Received: {', '.join(map(repr, class_names))}"
        )
    known = config.setdefault("class_names", class_names)
    if known != class_names:
        changes = _changes(known, class_names) or f"the order {_shorten(class_names)}"
        raise SmallBigError(
            f"A run continues with its {len(known)} classes in their order: {_way_on(run)} "
            f"Received: {changes}"
        )
    num_videos, digest = len(source), list_digest(source)
    same = config.setdefault("num_videos", num_videos) == num_videos
    if config.setdefault("videos", digest) != digest or not same:
        raise SmallBigError(
            f"A run continues on the {config['num_videos']} videos and labels that it began with: "
            f"{_way_on(run)} Received: {_changed_videos(source, run)}"
        )
    batch, accumulated = config["batch_size"], reports.accumulated(config)
    if num_videos < batch * accumulated or not num_validation:
        steps = f"gradient_accumulation_steps={accumulated} of " if accumulated > 1 else ""
        raise SmallBigError(
            "A training needs the videos of an update and one to validate: lower --batch-size or "
            f"add videos. Received: {steps}batch_size={batch}, {num_videos} for training, "
            f"{num_validation} for validation"
        )


def _way_on(run):
    command = command_line("smallbig fit", {"weights": str(run)})
    return f"bring them back as they were, or begin a run with {command} ..."


def _changed_videos(source, run):
    """Describes the videos that are not those in the list of a run."""
    count, file = f"{len(source)} videos", run / runs.TRAIN_LIST
    if not file.is_file():
        # A run of an older version.
        return count
    return f"{count}, {_changes(read_list(file), source.ids) or 'other labels or another order'}"


def _changes(before, now):
    """Describes names that are gone and names that are new, `""` if there are none."""
    gone, new = (sorted(set(one) - set(other)) for one, other in ((before, now), (now, before)))
    changes = (("gone", gone), ("new", new))
    return "; ".join(f"{word}: {_shorten(names)}" for word, names in changes if names)


def _shorten(names):
    return shorten([repr(name) for name in names])
