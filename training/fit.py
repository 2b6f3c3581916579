"""Trains a model on a dataset.

    python training/fit.py --dataset sthv2 --sample                 # minutes on a laptop
    python training/fit.py --dataset sthv2 --data-root DIR          # the paper's recipe
    python training/fit.py --dataset sthv2 --data-root DIR --batch-size 64 --dtype mixed_bfloat16
    python training/fit.py --resume runs/RUN                        # after an interruption

A run is a folder: `config.json`, `log.csv`, `tensorboard/`, `best.keras`, `last.keras`.
"""

import environment  # noqa: F401  # isort: skip
import pathlib
import sys
import warnings

import building
import command_line
import datasets
import keras
import tensorflow as tf

from smallbig_keras import callbacks, cli, data, models, runs, weights


@cli.readable_errors
def main(arguments=None):
    args = command_line.parse(__doc__, arguments)
    config = runs.read_config(args.resume) if args.resume else command_line.resolve(args)
    return train(pathlib.Path(args.resume or config["run"]), config, resume=bool(args.resume))


def train(run, config, resume=False):
    """Trains a run to its end and returns the row of the log with the best validation."""
    keras.utils.set_random_seed(config["seed"])
    keras.config.set_dtype_policy(config["dtype"])
    strategy = building.make_strategy(config["strategy"])
    replicas = strategy.num_replicas_in_sync
    if config["batch_size"] % replicas:
        raise SystemExit(
            f"--batch-size must be a multiple of the {replicas} devices. "
            f"Received: {config['batch_size']}"
        )

    unreadable = data.UnreadableVideos("replace", config["max_bad_clips"])
    bad_validation = data.UnreadableVideos("skip")
    videos, class_names = datasets.open_source(config, "train", unreadable)
    validation, _ = datasets.open_source(config, "validation", bad_validation)
    config.setdefault("num_videos", len(videos))
    if config["num_videos"] != len(videos):
        raise SystemExit(
            f"A run continues on the {config['num_videos']} videos that it began with. "
            f"Received: {len(videos)} that are there"
        )
    steps = len(videos) // config["batch_size"]
    if not steps or not len(validation):
        raise SystemExit(
            "A training needs a batch of videos and one to validate. Received: "
            f"batch_size={config['batch_size']}, {len(videos)} for training, "
            f"{len(validation)} for validation"
        )
    config["class_names"] = class_names
    if config["weights"] and not resume:
        config["weights_path"] = find_weights(config)
    checkpoint = runs.find_last_checkpoint(run) if resume else None
    with strategy.scope():
        model = building.make_model(config, steps, load=checkpoint is None)
        if checkpoint is not None:
            runs.restore_checkpoint(model, checkpoint)
    if not resume:
        runs.write_config(run, config)
    epoch = int(model.optimizer.iterations.numpy()) // steps
    size = models.complexity(model)
    print(
        f"{config['model']}: {size.parameters:,} parameters, "
        f"{size.macs / 1e9:.2f} GMAC a clip, {len(videos)} videos, "
        f"{steps} steps of {config['batch_size']} clips, {replicas} device(s), from epoch {epoch}"
    )

    common = {
        "frames": config["frames"],
        "sampling": config["sampling"],
        "stride": config["stride"],
        "size": config["size"],
        "batch_size": config["batch_size"],
        "class_names": class_names,
        "seed": config["seed"],
        "num_parallel_calls": config["workers"],
    }
    train_clips = data.clip_dataset(
        videos,
        training=True,
        short_side=config["short_side"],
        augmentation=config["augmentation"],
        flip=None if config["flip"] == "none" else config["flip"],
        randaugment=config["randaugment"],
        mix=building.mix(config),
        epochs=config["epochs"],
        initial_epoch=epoch,
        unreadable=unreadable,
        **common,
    )
    validation_clips = data.clip_dataset(
        validation,
        training=False,
        short_side=config["test_short_side"],
        unreadable=bad_validation,
        **common,
    )

    if building.mix(config):
        validation_clips = validation_clips.map(
            lambda clips, labels: (clips, tf.one_hot(labels, len(class_names)))
        )

    # How many videos can be read is known after the first validation.
    warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
    meter = data.WaitMeter()
    recorder = callbacks.RunRecorder(run, epoch)
    model.fit(
        meter.watch(train_clips),
        steps_per_epoch=steps,
        epochs=config["epochs"],
        initial_epoch=epoch,
        validation_data=validation_clips,
        callbacks=[
            callbacks.EpochTimes(config["batch_size"], lambda: meter.seconds),
            callbacks.BadClipReport({"training": unreadable, "validation": bad_validation}),
            *tensorboard(run),
            recorder,
        ],
        shuffle=False,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    best = recorder.best
    print(f"best val_top1={best['val_top1']:.3f} val_top5={best['val_top5']:.3f} run={run}")
    return best


def find_weights(config):
    """Returns the path of the weights that a run starts from."""
    try:
        path, _ = weights.find_weights(config["weights"], config["model"], config["weights_dir"])
    except (weights.WeightsError, weights.WeightsNotFoundError) as error:
        hint = (
            "--weights none starts from random weights, --weights-dir DIR takes files from there."
        )
        raise type(error)(f"{error}\n{hint}") from error
    return str(pathlib.Path(path).resolve())


def tensorboard(run):
    """Returns the TensorBoard callback in a list, empty where the package is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        print('no TensorBoard log: pip install "smallbig-keras[sample]" has the package')
        return []
    return [keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False)]


if __name__ == "__main__":
    main()
