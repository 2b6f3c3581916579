"""The command line of `fit.py`, and the configuration of the run that it stands for."""

import argparse
import dataclasses
import datetime
import json
import pathlib
import sys

import building
import datasets
import keras
import prepare
import tensorflow as tf
from recipes import RECIPES, find_recipe

import smallbig_keras
from smallbig_keras import cli, data, models, runs
from smallbig_keras.data import batch_augmentation


def parse(documentation, arguments=None):
    """Reads the command line; recipe flags that are not given stay out of the result."""
    parser = cli.make_parser(documentation)
    recipe = {"default": argparse.SUPPRESS}

    group = parser.add_argument_group("Run")
    group.add_argument("--output", help="folder of the run; default runs/DATASET-MODEL-TIME")
    group.add_argument("--resume", metavar="RUN", help="continue the run of this folder")
    group.add_argument("--seed", type=int, default=0)
    group.add_argument(
        "--recipe",
        choices=("paper", "reference"),
        default="paper",
        help="defaults of the flags below: the paper's, or those of the authors' script",
    )

    group = parser.add_argument_group("Dataset")
    datasets.add_flags(group)
    group.add_argument(
        "--sample",
        action="store_true",
        help="make and take the sample set, with a small model and a short schedule",
    )
    group.add_argument("--max-bad-clips", type=int, help="stop when more videos are unreadable")
    group.add_argument("--workers", type=int, help="decoding threads; default one a core")

    group = parser.add_argument_group("Clips")
    group.add_argument("--frames", type=int, help="frames of a clip", **recipe)
    group.add_argument(
        "--sampling",
        choices=("segment", "dense"),
        help="a frame from each part of the video, or frames --stride apart",
        **recipe,
    )
    group.add_argument("--stride", type=int, metavar="FRAMES", **recipe)
    group.add_argument("--size", type=int, help="pixels of the square crop", **recipe)
    group.add_argument(
        "--short-side",
        type=int,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="pixels before the crop; default: in the recipe's ratio to --size",
        **recipe,
    )
    group.add_argument(
        "--test-short-side", type=int, metavar="PIXELS", help="the same in validation", **recipe
    )
    group.add_argument("--augmentation", choices=("short_side", "multi_scale"), **recipe)
    group.add_argument("--flip", choices=("none", "plain", "swap"), **recipe)
    group.add_argument(
        "--randaugment",
        type=float,
        nargs=2,
        metavar=("NUMBER", "STRENGTH"),
        help="random operations on a clip, strength 0 to 1",
        **recipe,
    )
    group.add_argument("--mix", choices=("none", "mixup", "cutmix"), **recipe)

    group = parser.add_argument_group("Model")
    group.add_argument("--model", choices=smallbig_keras.list_models(), **recipe)
    group.add_argument("--variant", **recipe)
    group.add_argument(
        "--options",
        type=cli.json_object,
        metavar="JSON",
        help='e.g. \'{"dropout": 0.5, "blocks": [1, 1, 1, 1], "width": 16}\'',
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
    if args.sample and (args.data_root or args.shards):
        parser.error("--sample makes its own data: leave out --data-root and --shards")
    if args.sample and args.dataset not in RECIPES["sample"]:
        parser.error(
            f"--sample is laid out as {', '.join(RECIPES['sample'])}. "
            f"Received: --dataset {args.dataset}"
        )
    return args


def resolve(args):
    """Turns the command line and the recipe into the configuration of the run."""
    kind = "sample" if args.sample else args.recipe
    recipe = find_recipe(kind, args.dataset, getattr(args, "model", None))
    given = {f.name for f in dataclasses.fields(recipe)} & set(vars(args)) - {"lr"}
    given = {name: getattr(args, name) for name in given}
    # Another crop keeps its part of the frame.
    scale = given.get("size", recipe.size) / recipe.size
    short_side = tuple(round(side * scale) for side in recipe.short_side)
    test_short_side = round(recipe.test_short_side * scale)
    given = {"short_side": short_side, "test_short_side": test_short_side, **given}
    if "options" in given:
        given["options"] = {**recipe.options, **args.options}
    recipe = dataclasses.replace(recipe, **given)
    config = dataclasses.asdict(recipe)
    scaled = recipe.lr * recipe.batch_size / config.pop("lr_batch")
    config["lr"] = scaled if args.lr is None else args.lr
    config.update(datasets.from_flags(args))
    for name in ("seed", "strategy", "sync_norm", "dtype", "jit", "workers"):
        config[name] = getattr(args, name)
    config["recipe"] = kind
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
        config["data_root"] = str(root.resolve())

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
    """Refuses values that make no training, before any work."""
    for name in ("frames", "stride", "size", "batch_size", "epochs", "test_short_side"):
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
    # Older versions of Keras lack these layers.
    if config["randaugment"]:
        number, strength = config["randaugment"]
        config["randaugment"] = int(number) if number % 1 == 0 else number, strength
        batch_augmentation.RandAugment(*config["randaugment"])
    if building.mix(config):
        batch_augmentation.Mix(config["mix"], classes=1)
    models.model_spec(config["model"], config["variant"], **config["options"])
