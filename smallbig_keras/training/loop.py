"""A training from its options to the best row of its log."""

import contextlib
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
from smallbig_keras.training import checkpoints, compiling, memory, reports
from smallbig_keras.training.callbacks import (
    EpochTimes,
    Progress,
    UnreadableReport,
)
from smallbig_keras.training.checkpoints import Place
from smallbig_keras.training.interruption import interruption
from smallbig_keras.training.logs import loggers
from smallbig_keras.training.recorder import RunRecorder
from smallbig_keras.training.resolution import check_loggers
from smallbig_keras.training.run_folder import new_folder
from smallbig_keras.training.videos import check_videos, write_lists
from smallbig_keras.weights.description import (
    of_training,
    training_clips,
    versions,
    write_description,
)

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
        config["deterministic"] = compiling.is_deterministic(config)
        return _train(run, config)


def resume(run, data_root=None, allow_versions=False):
    """Continues a run from its last whole checkpoint; returns the best row of the log.

    Args:
        run: str or path. Its folder.
        data_root: str. Where its videos are now. Defaults to `None`, where they were.
        allow_versions: bool. True to continue with other versions of packages. Defaults to
            `False`.
    """
    config = runs.read_config(run)
    _check_versions(config, run, allow_versions)
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


def _check_versions(config, run, allowed):
    """Checks that a run continues with the versions that it began with."""
    before, now = config.get("versions", {}), versions()
    # Python itself computes no weight.
    names = [name for name in before if name != "python" and before[name] != now.get(name)]
    changed = [f"{name} {before[name]} -> {now.get(name)}" for name in names]
    if changed and not allowed:
        command = command_line("smallbig fit", {"resume": str(run), "allow_versions": True})
        raise SmallBigError(
            "A run continues with the versions that it began with, as others may train to other "
            f"weights: install those, or take {command}. Received: {', '.join(changed)}"
        )
    config["versions"] = now


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
            repeats = compiling.is_deterministic(config)
            with (
                compiling.deterministic_operations() if repeats else contextlib.nullcontext(),
                interruption() as interrupted,
            ):
                return _fit(run, config, resumed, interrupted)
    except KeyboardInterrupt as error:
        if (run / runs.CONFIG).exists():
            raise type(error)(f"Resume with: {command}") from None
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


def _fit(run, config, resumed, interrupted):
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
    continues = resumed and bool(runs.last_checkpoints(run))
    # After the estimate of the memory, which makes a network of its own.
    keras.utils.set_random_seed(config["seed"])
    with strategy.scope():
        model = compiling.make_model(config, steps, load=not continues)
        place, tallies = Place(), None
        if continues:
            place, tallies = checkpoints.restore(model, run, config, steps)
    if not resumed:
        for line in reports.choices(config, videos, validation):
            print(line)
        config |= write_lists(run, dataset, videos, validation)
        runs.write_config(run, config)
        write_description(of_training(config), run)
    else:
        # The videos may have moved, and the versions may have changed.
        runs.write_config(run, config)
    print(f"run: {run}")
    size = reports.size(config, model, len(videos))
    print(f"{size}, {replicas} device(s), from epoch {place.epoch}{reports.step(place)}")

    train_clips, validation_clips = _clips(
        config, videos, validation, place, unreadable, unreadable_validation
    )
    times = EpochTimes(config["batch_size"])

    def batch_files(epoch, step):
        order = videos.order(epoch, config["seed"]).numpy()
        batch = config["batch_size"]
        return [videos.name(index) for index in order[step * batch : (step + 1) * batch]]

    with loggers(config, run) as logging:
        interrupted.in_steps = True
        recorder = RunRecorder(run, config, place, tallies, interrupted, batch_files)
        model.fit(
            # Keras would begin a stream of known length anew after so many steps, and counts those
            # that a run which continues leaves out.
            train_clips.repeat(),
            steps_per_epoch=steps,
            epochs=config["epochs"],
            initial_epoch=place.epoch,
            validation_data=validation_clips,
            callbacks=[
                times,
                Progress(times),
                UnreadableReport({"training": unreadable, "validation": unreadable_validation}),
                recorder,
                *logging,
                # After it, which writes the averaged weights that this puts in for a validation.
                *([keras.callbacks.SwapEMAWeights()] if config.get("ema") else []),
            ],
            class_weight=compiling.class_weights(config, videos.labels),
            shuffle=False,
            verbose=0,
        )
    interrupted.in_steps = False
    # The loader may have met the last one after the last step.
    unreadable.check_limit()
    best = recorder.best
    scores = f"val_top1={best['val_top1']:.3f}"
    if len(config["class_names"]) > 5:
        scores += f" val_top5={best['val_top5']:.3f}"
    print(f"best {scores} run={run}")
    return best


def _clips(config, videos, validation, place, unreadable, unreadable_validation):
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
        initial_epoch=place.epoch,
        initial_batch=place.step,
        unreadable=unreadable,
        **common,
    )
    validation_clips = clip_dataset(
        validation,
        training=False,
        unreadable=unreadable_validation,
        **common,
    )
    if compiling.shares_labels(config):
        classes = len(config["class_names"])

        def share(clips, labels):
            return clips, tf.one_hot(labels, classes)

        validation_clips = validation_clips.map(share)
        if not compiling.mixes_labels(config):
            train_clips = train_clips.map(share)
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
