"""From a finished training run to files that others can load by name."""

import os
import pathlib
import re

from smallbig_keras import runs
from smallbig_keras.errors import AlreadyThereError, SmallBigError
from smallbig_keras.files import make_folder, sha256, write_aside
from smallbig_keras.labels.predictions import DATASETS, class_names
from smallbig_keras.opening import load
from smallbig_keras.weights.description import read_description
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
    run = pathlib.Path(run)
    config, log = runs.read_config(run), runs.read_log(run)
    if len(log) < config["epochs"]:
        raise SmallBigError(
            f"A run must be finished, {config['epochs']} epochs; smallbig fit --resume RUN "
            f"continues it. Received: {run} after {len(log)}"
        )
    description = read_description(run)
    model = load(run).model
    folder, stem = pathlib.Path(folder), record_stem(description.model, name)
    target, notes = folder / f"{stem}.weights.h5", folder / f"{stem}.json"
    if not overwrite and (target.exists() or notes.exists()):
        raise AlreadyThereError(
            f"Published files are not replaced without --overwrite. Received: {target}"
        )
    make_folder(folder)
    size = complexity(model)
    best = runs.read_best(run)
    dataset = config["dataset"]
    known = dataset in DATASETS and class_names(dataset) == description.class_names
    clips = description.clips

    def make_record(file):
        return WeightsRecord(
            name=name,
            model=description.model,
            variant=description.variant,
            options=description.options,
            classes=description.classes,
            input_shape=list(clips.shape),
            file=target.name,
            url=None,
            sha256=sha256(file),
            bytes=file.stat().st_size,
            parameters=size.parameters,
            macs=size.macs,
            labels=dataset if known else description.class_names,
            clips=clips.to_dict(),
            accuracy={
                "top1": best["val_top1"],
                "top5": best["val_top5"],
                "protocol": f"{clips.frames}x1x1",
                "dataset": dataset,
                "data_root": pathlib.PurePath(config["data_root"] or config["shards"]).name,
                "run": run.name,
            },
            licence=licence,
            source=f"trained by smallbig fit, run {run.name}",
        )

    # An old record goes before its file changes, the new one comes after it: a reader that sees a
    # record finds the file that it describes. All that may fail is done before.
    with write_aside(target, model.save_weights) as weights:
        record = make_record(weights)
        with write_aside(notes, lambda file: write_record(record, file)):
            notes.unlink(missing_ok=True)
            os.replace(weights, target)
    return record
