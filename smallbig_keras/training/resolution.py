"""From the options that a user gave to those of a training: recipe, weights, and the rules."""

import dataclasses
import functools

from smallbig_keras.data.options import check_dataset, count_videos, dataset_options
from smallbig_keras.data.sampling import uses_stride
from smallbig_keras.errors import OptionError, SmallBigError, did_you_mean, optional_import
from smallbig_keras.models.families import check_option_names
from smallbig_keras.models.rebuilding import check_given, known_network, update_network
from smallbig_keras.models.recognition import check_weights_name
from smallbig_keras.models.registry import list_variants, model_spec
from smallbig_keras.options import choice_error, flag, value_text
from smallbig_keras.training.options import LOGGERS, FitOptions
from smallbig_keras.training.recipes import SAMPLE, clip_options, default_recipe, find_recipe
from smallbig_keras.weights.catalogue import IMAGENET, networks_of
from smallbig_keras.weights.description import training_clips


def resolve(given):
    """Fills in the recipe of the dataset, and refuses options without effect.

    The network and the clips of weights that know theirs come before those of the recipe.

    Args:
        given: dict. Options that a user gave, by name.

    Returns:
        FitOptions. `None` stands for an option that has no effect in this training, and as
        `gradient_accumulation_steps` for a batch to be chosen by the memory.

    Raises:
        SmallBigError: if a value is outside the allowed ones, or an option has no effect.
    """
    check_option_names(given.get("options", ()))
    _check_source(given)
    dataset = given.get("dataset") or next(iter(SAMPLE))
    data = dataset_options(given | {"dataset": dataset})
    check_dataset(data)
    kind = "sample" if given.get("sample") else given.get("recipe") or default_recipe(dataset)
    videos = count_videos(data, "train") if kind == "finetune" else None
    recipe_of = functools.partial(find_recipe, kind, dataset, num_videos=videos)
    source = _read_source(given, recipe_of)
    network = {"variant": given.get("variant"), **source}
    recipe = recipe_of(network.get("model", given.get("model")), network["variant"])
    lr_batch = recipe.pop("lr_batch")
    base = FitOptions(**{**recipe, **source, "recipe": kind, "given": tuple(sorted(given))})
    chosen = {**given, "dataset": dataset, **vars(data)}
    if "options" in given:
        chosen["options"] = {**base.options, **given["options"]}
    values = {**vars(base), **_scaled(base, chosen), **chosen}
    if "batch_size" in given and values["gradient_accumulation_steps"] is None:
        values["gradient_accumulation_steps"] = 1
    if given.get("lr") is None:
        clips = values["batch_size"] * (values["gradient_accumulation_steps"] or 1)
        values["lr"] = base.lr * clips / lr_batch
    if given.get("schedule") == "step" and not (values["milestones"] or base.milestones):
        raise SmallBigError("--schedule step needs the epochs of its steps: add --milestones.")
    options = FitOptions(**values)
    _check_values(options)
    spec = model_spec(options.model, options.variant, **options.options)
    spec.check_input((options.frames, options.size, options.size, 3))
    _check_freeze(options, spec)
    check_weights_name(options.weights, spec, options.model)
    idle = _without_effect(options)
    for name in idle:
        if given.get(name) not in (None, (), False):
            raise OptionError(
                f"{flag(name)} has no effect {idle[name]} Received: {value_text(given[name])}"
            )
    return dataclasses.replace(options, **dict.fromkeys(idle))


def _read_source(given, recipe_of):
    """Returns the options that weights know of their network and their clips."""
    weights, model = given.get("weights"), given.get("model")
    if weights in (None, "none", IMAGENET):
        return {}
    wanted = recipe_of()["model"]
    if model is None and wanted in networks_of(weights, given.get("weights_dir")):
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
        recipe = recipe_of(known.model)
        recipe.pop("lr_batch")
        rule = training_clips(vars(FitOptions(**recipe)))
        clips = rule.replace(frames=clips.frames, size=clips.size)
    network = {"model": known.model, "variant": known.variant, "options": known.options}
    return {**network, **clip_options(clips)}


def _check_freeze(options, spec):
    for part in options.freeze:
        if part not in (*spec.stages, "norm"):
            raise SmallBigError(
                f"--freeze of {options.model} takes {', '.join(spec.stages)} and norm."
                f"{did_you_mean(part, spec.stages)} Received: {part}"
            )


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
    values["warmup_epochs"] = round(base.warmup_epochs * epochs / base.epochs)
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
    if options.remat and options.sync_bn:
        raise OptionError(
            "--remat would synchronise the devices a second time in the backward pass: leave out "
            "--remat or --sync-bn."
        )
    if options.strategy == "one":
        idle["sync_bn"] = "with --strategy one: add --strategy mirrored."
    return idle


def check_loggers(names):
    """Checks the values of --log-to, and that the packages are installed.

    Args:
        names: list or tuple of str, or `None`.

    Raises:
        SmallBigError: a name is unknown.
        MissingPackageError: a package is not installed.
    """
    for name in names or ():
        if name not in LOGGERS:
            raise SmallBigError(f"--log-to {choice_error(name, LOGGERS)}")
        optional_import(name, LOGGERS[name])


def _check_values(options):
    check_loggers(options.log_to)
    counts = ("frames", "size", "batch_size", "gradient_accumulation_steps", "epochs")
    for name in (*counts, "test_short_side", "stride", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise SmallBigError(f"{flag(name)} must be at least 1. Received: {value}")
    for name in ("seed", "max_bad_clips", "warmup_epochs"):
        value = getattr(options, name)
        if value is not None and value < 0:
            raise SmallBigError(f"{flag(name)} must be at least 0. Received: {value}")
    if options.checkpoint_every <= 0:
        raise SmallBigError(
            "--checkpoint-every must be above 0, in minutes; each epoch ends with a checkpoint in "
            f"any case. Received: {options.checkpoint_every:g}"
        )
    if options.clip_norm is not None and options.clip_norm <= 0:
        raise SmallBigError(f"--clip-norm must be above 0. Received: {options.clip_norm:g}")
    if options.ema is not None and not 0 < options.ema < 1:
        raise SmallBigError(f"--ema must be above 0 and below 1. Received: {options.ema:g}")
    if not 0 <= options.label_smoothing < 1:
        raise SmallBigError(
            f"--label-smoothing must be from 0 to below 1. Received: {options.label_smoothing:g}"
        )
    if options.class_weights != "none" and options.mixup_mode != "none":
        raise SmallBigError(
            "--class-weights balanced is for clips of one class: leave out --mixup-mode. "
            f"Received: --mixup-mode {options.mixup_mode}"
        )
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
    if options.warmup_epochs >= options.epochs:
        raise SmallBigError(
            f"--warmup-epochs must be fewer than the {options.epochs} epochs. "
            f"Received: {options.warmup_epochs}"
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
