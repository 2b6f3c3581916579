"""From a finished training run to files that others can load by name."""

import pathlib
import re

from smallbig_keras import runs
from smallbig_keras.classifier import load_run
from smallbig_keras.errors import AlreadyThereError, SmallBigError
from smallbig_keras.files import make_folder, replace_file, sha256
from smallbig_keras.labels.predictions import DATASETS, class_names
from smallbig_keras.labels.preprocessing import MEAN, STD
from smallbig_keras.weights.records import WeightsRecord, record_stem, write_record

_NAME = r"[a-z0-9][a-z0-9_.-]*"


def publish(run, name, folder, licence=None, overwrite=False):
    """Writes the weights of a run and their record into a folder that can be uploaded.

    The folder then serves `weights=name`: on this machine with `SMALLBIG_WEIGHTS=folder`, from
    a server with `SMALLBIG_WEIGHTS_URL=address`.

    Args:
        run: str or pathlib.Path. Folder of a finished run.
        name: str. What `weights=` will be given, as `"k400"`.
        folder: str or pathlib.Path. Where `MODEL-NAME.weights.h5` and `.json` are written.
        licence: str. Licence of the weights. Defaults to `None`.
        overwrite: bool. Whether files of that name may be replaced. Defaults to `False`.

    Returns:
        WeightsRecord.

    Raises:
        FileNotFoundError: if there is no such run.
        FileExistsError: if the name is taken in the folder and `overwrite` is not set.
        ValueError: if the run is not finished or the name cannot be one of a file.
    """
    from smallbig_keras.models import complexity

    if not re.fullmatch(_NAME, name) or name == "imagenet":
        raise SmallBigError(
            "A name has small letters, digits, '.', '_' and '-' and is not 'imagenet'. "
            f"Received: {name!r}"
        )
    run, log = load_run(run), runs.read_log(run)
    config = run.config
    if len(log) < config["epochs"]:
        raise SmallBigError(
            f"A run must be finished, {config['epochs']} epochs; smallbig fit --resume RUN "
            f"continues it. Received: {run.path} after {len(log)}"
        )
    folder, stem = pathlib.Path(folder), record_stem(config["model"], name)
    target, notes = folder / f"{stem}.weights.h5", folder / f"{stem}.json"
    if not overwrite and (target.exists() or notes.exists()):
        raise AlreadyThereError(
            f"Published files are not replaced without --overwrite. Received: {target}"
        )
    make_folder(folder)
    replace_file(target, run.model.save_weights)
    size = complexity(run.model)
    best = max(log, key=lambda row: row["val_top1"])
    dataset = config["dataset"]
    known = dataset in DATASETS and class_names(dataset) == run.class_names
    record = WeightsRecord(
        name=name,
        model=config["model"],
        variant=config["variant"],
        options=config["options"],
        classes=len(run.class_names),
        input_shape=list(run.model.input_shape[1:]),
        file=target.name,
        url=None,
        sha256=sha256(target),
        bytes=target.stat().st_size,
        parameters=size.parameters,
        macs=size.macs,
        labels=dataset if known else run.class_names,
        preprocessing={
            "mean": [round(255 * m, 3) for m in MEAN],
            "std": [round(255 * s, 3) for s in STD],
            "short_side": config["test_short_side"],
            "crop": "centre",
        },
        accuracy={
            "top1": best["val_top1"],
            "top5": best["val_top5"],
            "protocol": f"{config['frames']}x1x1",
            "dataset": dataset,
            "data_root": pathlib.PurePath(config["data_root"] or config["shards"]).name,
            "run": run.path.name,
        },
        licence=licence,
        source=f"trained by smallbig fit, run {run.path.name}",
    )
    # The record comes last: a reader that sees it finds its file.
    replace_file(notes, lambda file: write_record(record, file))
    return record
