"""Training recipes: the defaults of `smallbig fit` for each dataset. Every value is an option.

A recipe holds what differs from the defaults in `options.py`. `lr` is the learning rate of
`lr_batch` clips a step. `finetune` is computed from the number of videos; the others are tables.
"""

import math

from smallbig_keras.data.clips import KINETICS, SOMETHING_SOMETHING, ClipConfig
from smallbig_keras.models.registry import get_model_function
from smallbig_keras.models.specs.s3d import S3DSpec
from smallbig_keras.models.specs.video_resnet import VideoResNetSpec
from smallbig_keras.models.specs.vov3d import VoV3DSpec


def clip_options(clips):
    """Returns the options of a training that its ClipConfig comes to."""
    return {
        "frames": clips.frames,
        "sampling": clips.sampling,
        "stride": clips.stride,
        "size": clips.size,
        "short_side": clips.training_short_sides(),
        "test_short_side": clips.short_side,
        "mean": clips.mean,
        "std": clips.std,
        "channel_order": clips.channel_order,
        "keep_aspect": clips.keep_aspect,
    }


def _differing(clips):
    """The same without those that are the defaults."""
    default = clip_options(ClipConfig())
    return {name: value for name, value in clip_options(clips).items() if value != default[name]}


# Paper, section 6, "Training". It names no batch for Something-Something; that of Kinetics-400 is
# taken.
_SOMETHING = {
    "model": "SmallBigSlowOnlyR50",
    **_differing(SOMETHING_SOMETHING),
    "lr": 0.01,
    "lr_batch": 128,
}
_KINETICS = {
    "model": "SmallBigR50",
    **_differing(KINETICS),
    "flip": "plain",
    "lr": 0.00625,
    "lr_batch": 128,
    "epochs": 110,
    "schedule": "cosine",
    "milestones": (),
}
# The paper trains on no other dataset: theirs is the recipe of Kinetics. Users' own classes may
# be of left and right, so labels are swapped where there are such pairs.
_OWN = {**_KINETICS, "flip": "swap"}
PAPER = {
    "k400": _KINETICS,
    "sthv1": _SOMETHING,
    "sthv2": _SOMETHING,
    "ucf101": _KINETICS,
    "hmdb51": _KINETICS,
    "frames": _OWN,
    "folder": _OWN,
    "csv": _OWN,
}
# Same section: the learning rate of SmallBig-R23, and so of the networks of its size.
_R23_LR = 0.02

# The authors' training script, the same for all datasets.
_SCRIPT = {
    "variant": "reference",
    "augmentation": "multi_scale",
    "batch_size": 64,
    "lr": 0.01,
    "lr_batch": 64,
    "epochs": 100,
    "schedule": "cosine",
    "milestones": (),
}
REFERENCE = {name: {**recipe, **_SCRIPT} for name, recipe in PAPER.items()}

# A network and a schedule that a laptop trains in minutes, for the sample set.
SAMPLE = {
    "sthv2": {
        "model": "SmallBigSlowOnlyR50",
        "options": {"blocks": [1, 1, 1, 1], "width": 16, "temporal_stages": [2, 3, 4, 5]},
        "weights": "none",
        **_differing(SOMETHING_SOMETHING.replace(size=64, short_side=72)),
        "short_side": (72, 90),
        "flip": "swap",
        "batch_size": 32,
        "lr": 0.05,
        "lr_batch": 32,
        "epochs": 8,
        "schedule": "cosine",
        "milestones": (),
    }
}
RECIPES = {"paper": PAPER, "reference": REFERENCE, "sample": SAMPLE}
# Datasets that are most often small, and a start from trained weights.
FINE_TUNED = ("folder", "frames", "csv")
# Clips of an update up to a number of videos. Only those of 8 were measured.
_BATCHES = ((1000, 8), (10000, 16), (math.inf, 32))
# Updates of a training, as far as they come to this many epochs.
_UPDATES, _FEWEST_EPOCHS, _MOST_EPOCHS = 240, 30, 60


# Of other networks in its place: two blocks in a stage, for patterns of every second block, and
# statistics that follow a few hundred steps.
_SMALL = {
    VideoResNetSpec: {"blocks": [1, 2, 2, 1], "width": 16},
    S3DSpec: {"width": 16, "norm_momentum": 0.9},
    VoV3DSpec: {"width": 16},
}

# Families that are trained by recipes of their own, from random weights: on Something-Something,
# and on all other datasets.
_S3D = {
    # torchvision's script of S3D, on 64 devices of 12 clips.
    "lr": 0.2,
    "lr_batch": 768,
    "epochs": 45,
    "schedule": "step",
    "milestones": (20, 30, 40),
    "warmup_epochs": 10,
}
_VOV3D = {
    # The authors' configurations. They leave normalisations out of the weight decay.
    "lr": 0.1,
    "lr_batch": 128,
    "epochs": 256,
    "schedule": "cosine",
    "milestones": (),
    "warmup_epochs": 35,
    "weight_decay": 5e-5,
}
_FAMILIES = {
    S3DSpec: (_S3D, _S3D),
    VoV3DSpec: ({**_VOV3D, "lr_batch": 64, "epochs": 100, "warmup_epochs": 1}, _VOV3D),
}


def chosen_options():
    """Returns the names of the options that `fine_tuning` decides and that a run prints."""
    return {"flip", "augmentation", "gradient_accumulation_steps", *fine_tuning(1)} - {"lr_batch"}


def help_recipes():
    """Returns the default recipe of each dataset, for help; computed values are words."""
    own = {**fine_tuning(1), **dict.fromkeys(("batch_size", "epochs"), "by the number of videos")}
    return {name: recipe | (own if name in FINE_TUNED else {}) for name, recipe in PAPER.items()}


def default_recipe(dataset):
    """Returns the name of the recipe of a dataset that a training has unless another is named."""
    return "finetune" if dataset in FINE_TUNED else "paper"


def fine_tuning(num_videos):
    """Returns the options of a training of `num_videos` that starts from trained weights.

    Chosen in trials on small sets; `benchmarks/fine_tuning.py` measures it.
    """
    batch = next(size for most, size in _BATCHES if num_videos <= most)
    # Fewer than two batches would leave most of a second one out of every epoch.
    batch = max(1, min(batch, num_videos // 2))
    updates = max(1, num_videos // batch)
    return {
        "batch_size": batch,
        "lr": 0.02,
        "lr_batch": 8,
        "epochs": min(max(-(-_UPDATES // updates), _FEWEST_EPOCHS), _MOST_EPOCHS),
        "schedule": "cosine",
        "milestones": (),
        "warmup_epochs": 2,
        "freeze": (),
    }


def find_recipe(kind, dataset, model=None, variant=None, num_videos=None):
    """Returns a copy of the recipe of a dataset, fitted to another network where one is given.

    Args:
        kind: str. `"paper"`, `"reference"`, `"sample"` or `"finetune"`.
        dataset: str. A name of `DATASETS`.
        model: str. The network. Defaults to `None` for that of the recipe.
        variant: str. Its variant. Defaults to `None` for that of the recipe.
        num_videos: int. Videos for training, for `"finetune"`. Defaults to `None`.

    Returns:
        dict of options.
    """
    if kind == "finetune":
        recipe = find_recipe("paper", dataset, model, variant)
        return recipe | fine_tuning(num_videos)
    recipe = dict(RECIPES[kind][dataset])
    if model in (None, recipe["model"]):
        return recipe
    if kind == "paper" and recipe["lr"] == _KINETICS["lr"] and model.endswith("R23"):
        recipe["lr"] = _R23_LR
    variants = get_model_function(model).variants
    is_something = PAPER[dataset] is _SOMETHING
    wanted = recipe.get("variant", "something" if is_something else "paper")
    wanted = wanted if wanted in variants else "paper"
    recipe["variant"] = wanted if wanted in variants else next(iter(variants))
    row = variants.get(variant) or variants[recipe["variant"]]
    family = type(row.spec)
    if kind == "sample":
        recipe["options"] = dict(_SMALL[family])
    if family in _FAMILIES:
        recipe |= _own_recipe(kind, row, is_something)
    elif row.clips.frames != ClipConfig.frames:
        # A network for longer clips.
        recipe |= {"frames": row.clips.frames, "stride": row.clips.stride}
    return {**recipe, "model": model}


def _own_recipe(kind, row, is_something):
    """Returns what the recipe of a family has in place of that of a dataset."""
    clips = clip_options(row.clips)
    values = {name: clips[name] for name in ("mean", "std", "channel_order", "keep_aspect")}
    values["weights"] = "none"
    if kind == "sample":
        return values
    values |= {name: clips[name] for name in ("frames", "stride", "short_side", "test_short_side")}
    if not row.clips.keep_aspect:
        values["short_side"] = (row.clips.short_side,) * 2
    something, others = _FAMILIES[type(row.spec)]
    return values | ((something if is_something else others) if kind == "paper" else {})
