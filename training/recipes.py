"""Training recipes: the defaults of `fit.py` for each data set. Every value is a flag."""

import dataclasses

from smallbig_keras import models


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Defaults of a training run.

    Args:
        model: str. Name of the model function.
        variant: str. Variant of the model.
        options: dict. Options of the model.
        weights: str or None. What training starts from: a name or a path.
        frames: int. Frames of a clip.
        sampling: `"segment"`, a frame from each of equal parts of the video, or `"dense"`.
        stride: int. From one frame to the next in dense clips.
        size: int. Height and width of the crop in pixels.
        short_side: pair of ints. Range of the short side in training, in pixels.
        test_short_side: int. Short side in validation, in pixels.
        augmentation: `"short_side"`, or `"multi_scale"`, which does not use `short_side`.
        flip: `"none"`, `"plain"`, or `"swap"` for a flip that swaps left and right labels.
        randaugment: pair or None. Random operations on a clip, and their strength from 0 to 1.
        mix: `"none"`, `"mixup"` or `"cutmix"`.
        batch_size: int. Clips of a step, over all replicas.
        lr: float. Learning rate at `lr_batch` clips a step.
        lr_batch: int.
        epochs: int.
        schedule: `"cosine"`, or `"step"` for a tenth at each milestone.
        milestones: tuple of ints. Epochs.
        momentum: float.
        l2: float. Weight decay, in the gradient.
    """

    model: str
    variant: str = "paper"
    options: dict = dataclasses.field(default_factory=dict)
    weights: str | None = "imagenet"
    frames: int = 8
    sampling: str = "segment"
    stride: int = 8
    size: int = 224
    short_side: tuple = (256, 320)
    test_short_side: int = 256
    augmentation: str = "short_side"
    flip: str = "none"
    randaugment: tuple | None = None
    mix: str = "none"
    batch_size: int = 128
    lr: float = 0.01
    lr_batch: int = 128
    epochs: int = 50
    schedule: str = "step"
    milestones: tuple = (30, 40, 45)
    momentum: float = 0.9
    l2: float = 1e-4


# Paper, section 6, "Training". It names no batch for Something-Something; that of
# Kinetics-400 is taken.
_SOMETHING = Recipe("SmallBigSlowOnlyR50")
_KINETICS = Recipe(
    "SmallBigR50",
    sampling="dense",
    flip="plain",
    lr=0.00625,
    epochs=110,
    schedule="cosine",
    milestones=(),
)
# The paper trains on no other data set: theirs is the recipe of Kinetics. Users' own classes may
# be of left and right, so labels are swapped where there are such pairs.
_OWN = dataclasses.replace(_KINETICS, flip="swap")
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

# The authors' training script, the same for all data sets.
REFERENCE = {
    name: dataclasses.replace(
        recipe,
        variant="reference",
        augmentation="multi_scale",
        flip="none" if recipe is _SOMETHING else recipe.flip,
        batch_size=64,
        lr=0.01,
        lr_batch=64,
        epochs=100,
        schedule="cosine",
        milestones=(),
    )
    for name, recipe in PAPER.items()
}

# A network and a schedule that a laptop trains in minutes, for the sample set.
SAMPLE = {
    "sthv2": Recipe(
        model="SmallBigSlowOnlyR50",
        options={"blocks": [1, 1, 1, 1], "width": 16, "temporal_stages": [2, 3, 4, 5]},
        weights=None,
        size=64,
        short_side=(72, 90),
        test_short_side=72,
        flip="swap",
        batch_size=32,
        lr=0.05,
        lr_batch=32,
        epochs=8,
        schedule="cosine",
        milestones=(),
    )
}
RECIPES = {"paper": PAPER, "reference": REFERENCE, "sample": SAMPLE}


def find_recipe(kind, dataset, model=None):
    """Returns the recipe of a data set, fitted to another model where one is given."""
    recipe = RECIPES[kind][dataset]
    if model in (None, recipe.model):
        return recipe
    if kind == "paper" and recipe is not _SOMETHING and model.endswith("R23"):
        recipe = dataclasses.replace(recipe, lr=_R23_LR)
    variants = models.list_variants(model)
    variant = recipe.variant if recipe.variant in variants else variants[0]
    # Which stages look through time is each network's own.
    options = {k: v for k, v in recipe.options.items() if k != "temporal_stages"}
    return dataclasses.replace(recipe, model=model, variant=variant, options=options)
