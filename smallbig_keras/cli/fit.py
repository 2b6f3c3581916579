"""Trains a network on a dataset, by the recipe of the dataset.

    smallbig fit --sample                                    # minutes on a laptop
    smallbig fit --dataset sthv2 --data-root DIR             # the paper's recipe
    smallbig fit --dataset sthv2 --data-root DIR --batch-size 64 --dtype mixed_bfloat16
    smallbig fit --resume runs/RUN                           # after an interruption

A run is a folder: a classifier (`classifier.json`, `model.weights.h5`), its options
(`config.json`), `log.csv`, `curves.png`, `tensorboard/`, and `last.weights.h5`, from which it
continues.
"""

import dataclasses
import pathlib

from smallbig_keras import runs
from smallbig_keras.cli.progress import progress_bar
from smallbig_keras.data.options import dataset_options, read_split
from smallbig_keras.errors import OptionError
from smallbig_keras.files import check_writable
from smallbig_keras.options import flag, option, read_file
from smallbig_keras.training.options import FACTS, FitOptions
from smallbig_keras.training.recipes import help_recipes
from smallbig_keras.training.resolution import resolve


@dataclasses.dataclass(frozen=True)
class Start:
    """Start"""

    resume: str | None = option(
        None,
        "continue the run of this folder; takes no other option than --data-root, of videos that "
        "have moved, and --allow-versions",
        metavar="RUN",
    )
    allow_versions: bool = option(
        False, "continue a run with other versions of packages than it began with"
    )
    config: str | None = option(
        None,
        "JSON file of options, such as the config.json of a run; flags come before it",
        metavar="FILE",
    )


@dataclasses.dataclass(frozen=True)
class Options(FitOptions, Start):
    """The options of `smallbig fit`."""


def recipes():
    """Returns the defaults by dataset, for help."""
    return help_recipes()


def check(given):
    """Returns the resolved FitOptions, or a dict with the folder of a run to resume."""
    given = dict(given)
    if "resume" in given:
        others = sorted(set(given) - {"resume", "data_root", "allow_versions"})
        if others:
            raise OptionError(
                "--resume takes the run's own options and none but --data-root, of videos that "
                f"have moved, and --allow-versions. Received: {', '.join(map(flag, others))}"
            )
        runs.read_config(given["resume"])
        return given
    if given.pop("allow_versions", False):
        raise OptionError("--allow-versions has no effect without --resume.")
    file = given.pop("config", None)
    if file is not None:
        read = read_file(file, FitOptions, FACTS, runs.updated)
        # The folder of that run is taken, and so is the place where it trained its sample set.
        read.pop("output", None)
        if read.get("sample"):
            read.pop("data_root", None)
            read.pop("dataset", None)
        given = read | given
    options = resolve(given)
    check_writable(options.output or "runs")
    root = options.data_root and pathlib.Path(options.data_root)
    if not (options.sample or options.shards or (root and root.is_dir())):
        # The error shows the expected layout, before TensorFlow is imported.
        read_split(dataset_options(options), "train")
    return options


def run(options):
    """Trains; returns the row of the log with the best validation."""
    from smallbig_keras.training import loop

    if isinstance(options, dict):
        return loop.resume(
            options["resume"], options.get("data_root"), options.get("allow_versions", False)
        )
    if options.sample:
        options = _make_sample(options)
    return loop.start(options)


def _make_sample(options):
    from smallbig_keras.data.sample_set import make_sample, sample_folder

    root = sample_folder()
    print(f"sample set: {root}")
    make_sample(root, progress=progress_bar("clip"))
    return dataclasses.replace(options, data_root=str(root.resolve()))
