"""Trains a model on a dataset.

    python training/fit.py --dataset sthv2 --sample                 # minutes on a laptop
    python training/fit.py --dataset sthv2 --data-root DIR          # the paper's recipe
    python training/fit.py --dataset sthv2 --data-root DIR --batch-size 64 --dtype mixed_bfloat16
    python training/fit.py --resume runs/RUN                        # after an interruption

A run is a folder: `config.json`, `log.csv`, `tensorboard/`, `best.keras`, `last.keras`.
"""

import environment  # noqa: F401  # isort: skip
import argparse
import dataclasses
import datetime
import json
import pathlib
import sys
import warnings

import building
import keras
import prepare
import tensorflow as tf
from recipes import PAPER, SAMPLE

import smallbig_keras
from smallbig_keras import callbacks, cli, data, models, runs, weights


@cli.readable_errors
def main(arguments=None):
    args = parse(arguments)
    config = runs.read_config(args.resume) if args.resume else resolve(args)
    return train(pathlib.Path(args.resume or config["run"]), config, resume=bool(args.resume))


def parse(arguments=None):
    """Reads the command line; recipe flags that are not given stay out of the result."""
    parser = cli.make_parser(__doc__)
    recipe = {"default": argparse.SUPPRESS}

    group = parser.add_argument_group("Run")
    group.add_argument("--output", help="folder of the run; default runs/DATASET-MODEL-TIME")
    group.add_argument("--resume", metavar="RUN", help="continue the run of this folder")
    group.add_argument("--seed", type=int, default=0)

    group = parser.add_argument_group("Dataset")
    group.add_argument("--dataset", choices=sorted(PAPER))
    group.add_argument("--data-root", help="folder of the dataset, in its official layout")
    group.add_argument(
        "--sample",
        action="store_true",
        help="make and take the sample set, with a small model and a short schedule",
    )
    group.add_argument("--frames", type=int, help="frames of a clip", **recipe)
    group.add_argument("--size", type=int, help="pixels of the square crop", **recipe)
    group.add_argument("--short-side", type=int, nargs=2, metavar=("MIN", "MAX"), **recipe)
    group.add_argument("--test-short-side", type=int, metavar="PIXELS", **recipe)
    group.add_argument("--flip", choices=("none", "plain", "swap"), **recipe)
    group.add_argument("--max-bad-clips", type=int, help="stop when more videos are unreadable")
    group.add_argument("--workers", type=int, help="decoding threads; default one a core")

    group = parser.add_argument_group("Model")
    group.add_argument("--model", choices=smallbig_keras.list_models(), **recipe)
    group.add_argument("--variant", **recipe)
    group.add_argument(
        "--options",
        type=cli.json_object,
        metavar="JSON",
        help="e.g. '{\"dropout\": 0.5}'",
        **recipe,
    )

    group.add_argument(
        "--weights",
        metavar="NAME_OR_PATH",
        help="to start from: imagenet, k400, ..., a run, .keras, .weights.h5, .pth; or none",
        **recipe,
    )
    group.add_argument("--weights-dir", metavar="DIR", help="folder with published weights")
    group.add_argument(
        "--freeze",
        nargs="+",
        choices=building.FREEZABLE,
        default=[],
        help="stages that keep their weights; norm: all normalisations that --weights sets",
    )

    group = parser.add_argument_group("Optimizer and schedule")
    group.add_argument("--batch-size", type=int, help="clips a step, over all devices", **recipe)
    group.add_argument("--epochs", type=int, **recipe)
    group.add_argument("--lr", type=float, help="default: the recipe's, scaled with the batch")
    group.add_argument("--schedule", choices=("cosine", "step"), **recipe)
    group.add_argument("--milestones", type=int, nargs="*", metavar="EPOCH", **recipe)
    group.add_argument("--momentum", type=float, **recipe)
    group.add_argument("--l2", type=float, help="weight decay in the gradient", **recipe)

    group = parser.add_argument_group("Devices")
    group.add_argument("--strategy", choices=("auto", "one", "mirrored"), default="auto")
    group.add_argument("--sync-norm", action="store_true", help="normalise over all devices")
    group.add_argument(
        "--dtype",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
    )
    group.add_argument("--jit", choices=("auto", "on", "off"), default="auto")

    args = parser.parse_args(arguments)
    if args.resume:
        words = sys.argv[1:] if arguments is None else arguments
        if len(words) > 1 + (words[0] == "--resume"):
            parser.error(f"--resume takes the run's own flags and no other. Received: {words}")
    elif args.dataset is None:
        parser.error("--dataset or --resume is needed")
    if args.sample and args.data_root:
        parser.error("--sample makes its own data: leave out --data-root")
    return args


def resolve(args):
    """Turns the command line and the recipe into the configuration of the run."""
    recipe = (SAMPLE if args.sample else PAPER)[args.dataset]
    given = {f.name for f in dataclasses.fields(recipe)} & set(vars(args)) - {"lr"}
    recipe = dataclasses.replace(recipe, **{name: getattr(args, name) for name in given})
    if "options" in given:
        options = {**(SAMPLE if args.sample else PAPER)[args.dataset].options, **args.options}
        recipe = dataclasses.replace(recipe, options=options)
    config = dataclasses.asdict(recipe)
    scaled = recipe.lr * recipe.batch_size / config.pop("lr_batch")
    config["lr"] = scaled if args.lr is None else args.lr
    for name in ("dataset", "seed", "strategy", "sync_norm", "dtype", "jit", "workers"):
        config[name] = getattr(args, name)
    config["max_bad_clips"] = args.max_bad_clips
    config["freeze"] = args.freeze
    check(config)
    config["weights"] = None if config["weights"] == "none" else config["weights"]
    config["weights_dir"] = args.weights_dir

    if args.sample:
        root = data.sample_folder()
        print("sample set:")
        prepare.main(["sample", "--out", str(root)])
        print("preset:", json.dumps(dataclasses.asdict(recipe)))
    else:
        root = args.data_root
    config["data_root"] = str(pathlib.Path(root).resolve()) if root else "(--data-root is missing)"

    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    run = pathlib.Path(args.output or f"runs/{args.dataset}-{recipe.model}-{time}")
    if (run / runs.CONFIG).exists():
        raise SystemExit(f"A run has a folder of its own; --resume continues one. Received: {run}")
    config["run"] = str(run)
    config["versions"] = {
        "smallbig_keras": smallbig_keras.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "python": sys.version.split()[0],
    }
    return config


def check(config):
    """Refuses numbers that make no training, before any work."""
    for name in ("frames", "size", "batch_size", "epochs", "test_short_side"):
        if config[name] < 1:
            raise SystemExit(
                f"--{name.replace('_', '-')} must be at least 1. Received: {config[name]}"
            )
    low, high = config["short_side"]
    if not config["size"] <= low <= high or config["test_short_side"] < config["size"]:
        raise SystemExit(
            "A crop must fit into the short side: --size <= MIN <= MAX and --size <= "
            f"--test-short-side. Received: size={config['size']}, short_side={low} {high}, "
            f"test_short_side={config['test_short_side']}"
        )
    if config["lr"] <= 0 or config["l2"] < 0 or not 0 <= config["momentum"] < 1:
        raise SystemExit(
            "--lr must be above 0, --l2 at least 0 and --momentum from 0 to below 1. Received: "
            f"lr={config['lr']}, l2={config['l2']}, momentum={config['momentum']}"
        )
    models.model_spec(config["model"], config["variant"], **config["options"])


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

    videos, class_names = data.read_sthv2(config["data_root"], "train")
    validation, _ = data.read_sthv2(config["data_root"], "validation")
    steps = len(videos) // config["batch_size"]
    if not steps or not validation:
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

    bad_clips = data.BadClips("replace", config["max_bad_clips"])
    bad_validation = data.BadClips("skip")
    common = {
        "frames": config["frames"],
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
        flip=None if config["flip"] == "none" else config["flip"],
        epochs=config["epochs"],
        initial_epoch=epoch,
        bad_clips=bad_clips,
        **common,
    )
    validation_clips = data.clip_dataset(
        validation,
        training=False,
        short_side=config["test_short_side"],
        bad_clips=bad_validation,
        **common,
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
            callbacks.BadClipReport({"training": bad_clips, "validation": bad_validation}),
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
