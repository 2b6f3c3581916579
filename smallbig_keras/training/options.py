"""The options of a training, each declared once, and what they come to with a recipe."""

import dataclasses
import typing

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.data.options import DatasetOptions, check_dataset, dataset_options
from smallbig_keras.data.sampling import SAMPLINGS, uses_stride
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.models.rebuilding import check_given, known_network, update_network
from smallbig_keras.models.registry import list_models, list_variants, model_spec
from smallbig_keras.options import flag, option, value_text
from smallbig_keras.training.recipes import SAMPLE, clip_options, find_recipe
from smallbig_keras.weights.description import training_clips
from smallbig_keras.weights.resolution import IMAGENET, list_weights

# Beside the options, a run's `config.json` holds what the training found.
FACTS = (
    *("class_names", "num_videos", "videos", "frozen", "weights_path", "keep_classifier"),
    "versions",
)
# The defaults of a clip.
_CLIPS = clip_options(ClipConfig())


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Run"""

    output: str | None = option(
        None, "folder of the run", metavar="DIR", shown="runs/DATASET-MODEL-TIME"
    )
    recipe: typing.Literal["paper", "reference"] | None = option(
        "paper", "defaults of the options below: the paper's, or those of the authors' script"
    )
    sample: bool = option(
        False, "make and take the sample set, with a small network and a short schedule"
    )
    seed: int = option(0, "of weights, order and augmentation")
    workers: int | None = option(None, "videos decoded at once", shown="one a processor")
    max_bad_clips: int | None = option(
        None, "stop when more videos are unreadable", metavar="N", shown="any number"
    )


@dataclasses.dataclass(frozen=True)
class ClipOptions:
    """Clips"""

    frames: int = option(_CLIPS["frames"], "frames of a clip")
    sampling: str = option(
        _CLIPS["sampling"],
        "a frame from each part of the video, or frames --stride apart",
        choices=SAMPLINGS,
    )
    stride: int | None = option(
        _CLIPS["stride"], "from one frame to the next in dense sampling", metavar="FRAMES"
    )
    size: int = option(_CLIPS["size"], "height and width of the crop", metavar="PIXELS")
    short_side: tuple[int, int] | None = option(
        _CLIPS["short_side"], "short side before the crop; scales with --size", metavar="MIN MAX"
    )
    test_short_side: int = option(
        _CLIPS["test_short_side"], "the same in validation", metavar="PIXELS"
    )
    mean: tuple[float, float, float] = option(
        _CLIPS["mean"], "of RGB values from 0 to 1", metavar="RED GREEN BLUE"
    )
    std: tuple[float, float, float] = option(
        _CLIPS["std"], "standard deviation of RGB values from 0 to 1", metavar="RED GREEN BLUE"
    )
    channel_order: typing.Literal["rgb", "bgr"] = option(
        _CLIPS["channel_order"], "of the channels that the network takes"
    )
    keep_aspect: bool = option(
        _CLIPS["keep_aspect"], "resize frames in the ratio of their sides, else to squares"
    )
    augmentation: typing.Literal["short_side", "multi_scale"] = option(
        "short_side", "crop of a random short side, or one of several sizes and places"
    )
    flip: typing.Literal["none", "plain", "swap"] = option(
        "none", "mirror half of the clips; swap exchanges left and right labels"
    )
    randaugment: tuple[float, float] | None = option(
        None, "random operations on a clip, and their strength up to 1", metavar="NUMBER STRENGTH"
    )
    mixup_mode: typing.Literal["none", "mixup", "cutmix"] = option(
        "none", "mix the clips of a batch and their labels", aliases=("--mix",)
    )


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Model"""

    model: str = option("SmallBigR50", "network", choices=tuple(list_models()))
    variant: str = option("paper", "of the network, as smallbig models lists them")
    options: dict = option(
        {},
        'options of the network, such as {"dropout": 0.5}, beside those of the recipe',
        metavar="JSON",
    )
    weights: str = option(
        "imagenet",
        "where training starts: a run, a saved classifier, imagenet, k400, .keras, .weights.h5, "
        ".pth; or none. Network and clips are those of the weights",
        metavar="NAME_OR_PATH",
    )
    weights_dir: str | None = option(None, "folder with published weights", metavar="DIR")
    freeze: tuple[typing.Literal["stem", "res2", "res3", "res4", "res5", "norm"], ...] = option(
        (),
        "stages that keep their weights; norm: the normalisations that --weights sets",
        metavar="STAGE",
    )


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Optimizer and schedule"""

    batch_size: int = option(128, "clips of a step, over all devices")
    epochs: int = option(50, "passes over the training videos")
    lr: float | None = option(None, "learning rate", shown="the recipe's, scaled with the batch")
    schedule: typing.Literal["cosine", "step"] = option(
        "step", "decay of the learning rate: cosine, or a tenth at each of --milestones"
    )
    milestones: tuple[int, ...] | None = option(
        (30, 40, 45), "epochs of --schedule step; scale with --epochs", metavar="EPOCH"
    )
    momentum: float = option(0.9, "of the gradients")
    weight_decay: float = option(1e-4, "share of the weight in its gradient", aliases=("--l2",))


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """Devices"""

    strategy: typing.Literal["auto", "one", "mirrored"] = option(
        "auto", "all GPUs, or one device; mirrored also takes several CPUs"
    )
    sync_bn: bool = option(
        False, "normalise over the batches of all devices", aliases=("--sync-norm",)
    )
    dtype: typing.Literal["float32", "mixed_bfloat16", "mixed_float16"] = option(
        "float32", "precision"
    )
    jit: typing.Literal["auto", "on", "off"] = option("auto", "compile with XLA; auto: on a GPU")


# The last base comes first in help and in `config.json`.
@dataclasses.dataclass(frozen=True)
class FitOptions(
    DeviceOptions, OptimizerOptions, ModelOptions, ClipOptions, DatasetOptions, RunOptions
):
    """The options of a training; see `resolve`."""


def resolve(given):
    """Fills in the recipe of the dataset, and refuses options without effect.

    The network and the clips of weights that know theirs come before those of the recipe.

    Args:
        given: dict. Options that a user gave, by name.

    Returns:
        FitOptions. `None` stands for an option that has no effect in this training.

    Raises:
        SmallBigError: if a value is outside the allowed ones, or an option has no effect.
    """
    _check_source(given)
    kind = "sample" if given.get("sample") else given.get("recipe") or "paper"
    dataset = given.get("dataset") or next(iter(SAMPLE))
    source = _read_source(given, kind, dataset)
    network = {"variant": given.get("variant"), **source}
    recipe = find_recipe(
        kind, dataset, network.get("model", given.get("model")), network["variant"]
    )
    lr_batch = recipe.pop("lr_batch")
    base = FitOptions(**{**recipe, **source})
    chosen = {**given, "dataset": dataset, **vars(dataset_options(given | {"dataset": dataset}))}
    if "options" in given:
        chosen["options"] = {**base.options, **given["options"]}
    values = {**vars(base), **_scaled(base, chosen), **chosen}
    if given.get("lr") is None:
        values["lr"] = base.lr * values["batch_size"] / lr_batch
    if given.get("schedule") == "step" and not (values["milestones"] or base.milestones):
        raise SmallBigError("--schedule step needs the epochs of its steps: add --milestones.")
    options = FitOptions(**values)
    _check_values(options)
    spec = model_spec(options.model, options.variant, **options.options)
    spec.check_input((options.frames, options.size, options.size, 3))
    check_dataset(options)
    idle = _without_effect(options)
    for name in idle:
        if given.get(name) not in (None, (), False):
            raise OptionError(
                f"{flag(name)} has no effect {idle[name]} Received: {value_text(given[name])}"
            )
    return dataclasses.replace(options, **dict.fromkeys(idle))


def _read_source(given, kind, dataset):
    """Returns the options that weights know of their network and their clips."""
    weights, model = given.get("weights"), given.get("model")
    if weights in (None, "none", IMAGENET):
        return {}
    rows = [row for row in list_weights(given.get("weights_dir")) if row["name"] == weights]
    wanted = find_recipe(kind, dataset)["model"]
    if model is None and any(row["model"] == wanted for row in rows):
        # Several networks may have weights of one name.
        model = wanted
    path, known = known_network(weights, model, given.get("weights_dir"))
    if known is None:
        # A file of weights alone is for the network that the recipe or --model names.
        return {}
    check_given(known, path, given.get("model"))
    known = update_network(known, given.get("variant"), given.get("options"))
    clips = known.clips
    if known.class_names is None:
        # A file of Keras knows its shape alone.
        recipe = find_recipe(kind, dataset, known.model)
        recipe.pop("lr_batch")
        rule = training_clips(vars(FitOptions(**recipe)))
        clips = rule.replace(frames=clips.frames, size=clips.size)
    network = {"model": known.model, "variant": known.variant, "options": known.options}
    return {**network, **clip_options(clips)}


def _check_source(given):
    if given.get("sample"):
        (layout,) = SAMPLE
        if given.get("dataset", layout) != layout:
            raise OptionError(
                f"--sample is laid out as {layout}: leave out --dataset. "
                f"Received: --dataset {given['dataset']}"
            )
        for name in ("data_root", "shards"):
            if given.get(name):
                raise OptionError(
                    f"--sample makes its own data: leave out {flag(name)}. Received: {given[name]}"
                )
    elif given.get("dataset") is None:
        raise OptionError("A training needs --dataset, --sample or --resume.")


def _scaled(base, given):
    """Another crop keeps its part of the frame, and another length its part of the schedule."""
    scale = given.get("size", base.size) / base.size
    values = {
        "short_side": tuple(round(side * scale) for side in base.short_side),
        "test_short_side": round(base.test_short_side * scale),
    }
    epochs = given.get("epochs", base.epochs)
    scaled = sorted({round(epoch * epochs / base.epochs) for epoch in base.milestones})
    values["milestones"] = tuple(epoch for epoch in scaled if 0 < epoch < epochs)
    return values


def _without_effect(options):
    """Returns the options that change nothing in a training, with the reason."""
    idle = {}
    if options.sample:
        idle["recipe"] = "with --sample, which has a recipe of its own."
    if not uses_stride(options.sampling):
        idle["stride"] = "with --sampling segment: add --sampling dense."
    if options.augmentation == "multi_scale":
        idle["short_side"] = "with --augmentation multi_scale: add --augmentation short_side."
    if options.schedule == "cosine":
        idle["milestones"] = "with --schedule cosine: add --schedule step."
    if options.weights == "none":
        idle["weights_dir"] = "with --weights none: add --weights NAME."
        if "norm" in options.freeze:
            raise OptionError(
                "--freeze norm has no effect with --weights none: add --weights NAME."
            )
    if options.strategy == "one":
        idle["sync_bn"] = "with --strategy one: add --strategy mirrored."
    return idle


def _check_values(options):
    for name in ("frames", "size", "batch_size", "epochs", "test_short_side", "stride", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise SmallBigError(f"{flag(name)} must be at least 1. Received: {value}")
    for name in ("seed", "max_bad_clips"):
        value = getattr(options, name)
        if value is not None and value < 0:
            raise SmallBigError(f"{flag(name)} must be at least 0. Received: {value}")
    low, high = options.short_side
    size = options.size
    if not size <= low <= high or options.test_short_side < size:
        raise SmallBigError(
            "A crop must fit into the short side: --size <= MIN <= MAX and --size <= "
            f"--test-short-side. Received: size={size}, short_side={low} {high}, "
            f"test_short_side={options.test_short_side}"
        )
    if options.lr <= 0 or options.weight_decay < 0 or not 0 <= options.momentum < 1:
        raise SmallBigError(
            "--lr must be above 0, --weight-decay at least 0 and --momentum from 0 to below 1. "
            f"Received: lr={options.lr}, weight_decay={options.weight_decay}, "
            f"momentum={options.momentum}"
        )
    number, strength = options.randaugment or (1, 1)
    if number % 1 or number < 1 or not 0 < strength <= 1:
        raise SmallBigError(
            "--randaugment takes a whole number of operations from 1 and a strength above 0 and "
            f"up to 1. Received: {number:g} {strength:g}"
        )
    training_clips(vars(options))
    variants = list_variants(options.model)
    if options.variant not in variants:
        raise SmallBigError(
            f"--variant of {options.model} must be one of {', '.join(variants)}. "
            f"Received: {options.variant}"
        )
    milestones = list(options.milestones)
    if options.schedule == "step":
        ordered = milestones == sorted(set(milestones))
        if not ordered or any(not 0 < epoch < options.epochs for epoch in milestones):
            raise SmallBigError(
                f"--milestones must ascend, from 1 to below the {options.epochs} epochs. "
                f"Received: {' '.join(map(str, milestones))}"
            )
