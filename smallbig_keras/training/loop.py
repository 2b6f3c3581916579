"""A training from its options to the best row of its log."""

import dataclasses
import math
import pathlib
import warnings

import keras
import tensorflow as tf

from smallbig_keras import runs
from smallbig_keras.data.batch_augmentation import Mix, RandAugment
from smallbig_keras.data.dataset import clip_dataset
from smallbig_keras.data.mirroring import left_right_pairs
from smallbig_keras.data.options import dataset_options, open_source
from smallbig_keras.data.unreadable import UnreadableVideos
from smallbig_keras.errors import NotFoundError, OptionError, ResourceError, SmallBigError
from smallbig_keras.files import disk_error, folder_lock, make_folder
from smallbig_keras.models.rebuilding import known_network
from smallbig_keras.models.recognition import check_checkpoint
from smallbig_keras.models.registry import model_spec
from smallbig_keras.options import command_line
from smallbig_keras.training import compiling, memory, reports
from smallbig_keras.training.callbacks import (
    EpochTimes,
    Progress,
    RunRecorder,
    UnreadableReport,
    WaitMeter,
)
from smallbig_keras.training.logs import loggers
from smallbig_keras.training.resolution import check_loggers
from smallbig_keras.training.run_folder import new_folder
from smallbig_keras.training.videos import check_videos, write_lists
from smallbig_keras.weights.description import (
    of_training,
    training_clips,
    versions,
    write_description,
)
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.keras_files import load_training_state

# Of the clips of the validation that are kept in memory.
_CACHED_BYTES = 2**28


def start(options):
    """Begins the run of FitOptions in a folder of its own; returns the best row of its log.

    Where options leave the accumulation open, batch and accumulation are those that memory allows.
    """
    _check_layers(options)
    check_loggers(options.log_to)
    with new_folder(options) as run:
        config = dataclasses.asdict(options)
        config["output"] = str(run)
        config["versions"] = versions()
        return _train(run, config)


def resume(run, data_root=None):
    """Continues a run from its last whole checkpoint; returns the best row of the log.

    Args:
        run: str or path. Its folder.
        data_root: str. Where its videos are now. Defaults to `None`, where they were.
    """
    config = runs.read_config(run)
    check_loggers(config.get("log_to"))
    moved = {} if data_root is None else {"data_root": str(pathlib.Path(data_root).resolve())}
    if moved and config.get("shards"):
        raise OptionError(f"--data-root has no effect on a run on shards. Received: {data_root}")
    root = moved.get("data_root", config.get("data_root"))
    if root and "://" not in root and not pathlib.Path(root).is_dir():
        command = command_line("smallbig fit", {"resume": str(run), "data_root": "DIR"})
        raise NotFoundError(
            f"The videos of a run must be where they were, or where {command} says. "
            f"Received: {root}, which is not there"
        )
    run = make_folder(run)
    with folder_lock(run):
        return _train(run, config | moved, resumed=True)


def _check_layers(options):
    """Older versions of Keras lack layers; this says so before any work."""
    if options.randaugment:
        number, strength = options.randaugment
        RandAugment(int(number), strength)
    if options.mixup_mode != "none":
        Mix(options.mixup_mode, classes=1)


def _train(run, config, resumed=False):
    """Trains, and ends every interruption with the command that continues."""
    command = command_line("smallbig fit", {"resume": str(run)})
    policy = keras.config.dtype_policy()
    try:
        with warnings.catch_warnings():
            # The number of readable videos is known after the first validation.
            warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
            return _fit(run, config, resumed)
    except KeyboardInterrupt:
        if (run / runs.CONFIG).exists():
            raise KeyboardInterrupt(f"Resume with: {command}") from None
        raise
    except Exception as error:
        reason = disk_error(error)
        if reason is None or not (run / runs.CONFIG).exists():
            raise
        message = error if isinstance(error, ResourceError) else f"{run}: {reason}."
        raise ResourceError(f"{message}\nFree the disk, then resume with: {command}") from error
    finally:
        # A notebook goes on as it was.
        keras.config.set_dtype_policy(policy)


def _fit(run, config, resumed):
    keras.config.set_dtype_policy(config["dtype"])
    strategy = compiling.make_strategy(config["strategy"])
    replicas = strategy.num_replicas_in_sync
    if config["batch_size"] % replicas:
        raise SmallBigError(
            f"--batch-size must be a multiple of the {replicas} devices. "
            f"Received: {config['batch_size']}"
        )

    unreadable = UnreadableVideos("replace", config["max_bad_clips"])
    unreadable_validation = UnreadableVideos("skip")
    dataset = dataset_options(config)
    videos, class_names = open_source(dataset, "train", unreadable)
    validation, _ = open_source(dataset, "validation", unreadable_validation)
    check_videos(config, videos, class_names, len(validation), run if resumed else None)
    if config["flip"] == "swap":
        # A class without its mirror image stops before anything is written.
        left_right_pairs(config["class_names"])
    if not resumed:
        config |= memory.choose_batch(config, replicas)
    steps = len(videos) // config["batch_size"]
    if config["weights"] != "none" and not resumed:
        config |= _find_weights(config)
    checkpoints = runs.last_checkpoints(run) if resumed else []
    # After the estimate of the memory, which makes a network of its own.
    keras.utils.set_random_seed(config["seed"])
    with strategy.scope():
        model = compiling.make_model(config, steps, load=not checkpoints)
        if checkpoints:
            restore(model, checkpoints)
    if not resumed:
        for line in reports.choices(config, videos, validation):
            print(line)
        config |= write_lists(run, dataset, videos, validation)
        runs.write_config(run, config)
        write_description(of_training(config), run)
    elif config["data_root"] != runs.read_config(run)["data_root"]:
        # The videos have moved.
        runs.write_config(run, config)
    epoch = int(model.optimizer.iterations.numpy()) // steps
    print(f"run: {run}")
    size = reports.size(config, model, len(videos))
    print(f"{size}, {replicas} device(s), from epoch {epoch}")

    train_clips, validation_clips = _clips(
        config, videos, validation, epoch, unreadable, unreadable_validation
    )
    meter = WaitMeter()
    times = EpochTimes(config["batch_size"], meter)
    recorder = RunRecorder(run, epoch)
    with loggers(config, run) as logging:
        model.fit(
            meter.watch(train_clips),
            steps_per_epoch=steps,
            epochs=config["epochs"],
            initial_epoch=epoch,
            validation_data=validation_clips,
            callbacks=[
                times,
                Progress(times),
                UnreadableReport({"training": unreadable, "validation": unreadable_validation}),
                recorder,
                *logging,
            ],
            shuffle=False,
            verbose=0,
        )
    # The loader may have met the last one after the last step.
    unreadable.check_limit()
    best = recorder.best
    scores = f"val_top1={best['val_top1']:.3f}"
    if len(config["class_names"]) > 5:
        scores += f" val_top5={best['val_top5']:.3f}"
    print(f"best {scores} run={run}")
    return best


def restore(model, checkpoints):
    """Sets weights and optimiser to those of the newest whole checkpoint."""
    for number, file in enumerate(checkpoints, start=1):
        try:
            return load_training_state(model, file)
        except WeightsError as error:
            if number == len(checkpoints):
                raise WeightsError(f"A run continues from a whole checkpoint. {error}") from None
            print(f"{file} is not whole, the checkpoint before it is taken")


def _clips(config, videos, validation, epoch, unreadable, unreadable_validation):
    """The clips of training and of validation."""
    common = {
        "clips": training_clips(config),
        "batch_size": config["batch_size"],
        "class_names": config["class_names"],
        "seed": config["seed"],
        "num_parallel_calls": config["workers"],
        # The device normalises.
        "normalize": False,
    }
    randaugment = config["randaugment"]
    train_clips = clip_dataset(
        videos,
        training=True,
        short_side=config["short_side"],
        augmentation=config["augmentation"],
        flip=config["flip"],
        randaugment=randaugment and (int(randaugment[0]), randaugment[1]),
        mix=config["mixup_mode"] if compiling.mixes_labels(config) else None,
        epochs=config["epochs"],
        initial_epoch=epoch,
        unreadable=unreadable,
        **common,
    )
    validation_clips = clip_dataset(
        validation,
        training=False,
        unreadable=unreadable_validation,
        **common,
    )
    if compiling.mixes_labels(config):
        classes = len(config["class_names"])
        validation_clips = validation_clips.map(
            lambda clips, labels: (clips, tf.one_hot(labels, classes))
        )
    if len(validation) * math.prod(common["clips"].shape) <= _CACHED_BYTES:
        # Every epoch validates on the same clips: they are decoded once.
        validation_clips = validation_clips.cache()
    return train_clips, validation_clips


def _find_weights(config):
    """Returns the path of the weights that a run starts from, and the classes that they know."""
    path, known = known_network(config["weights"], config["model"], config["weights_dir"])
    if known is not None and known.origin:
        print(f"start    {known.origin}")
    spec = model_spec(config["model"], config["variant"], **config["options"])
    check_checkpoint(pathlib.Path(path), spec, config["model"])
    same = known is None or known.class_names in (None, config["class_names"])
    return {"weights_path": str(pathlib.Path(path).resolve()), "keep_classifier": same}
