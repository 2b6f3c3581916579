"""Training recipes: the defaults of `fit.py` for each dataset. Every value is a flag."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Defaults of a training run.

    Args:
        model: str. Name of the model function.
        variant: str. Variant of the model.
        options: dict. Options of the model.
        weights: str or None. What training starts from: a name or a path.
        frames: int. Frames of a clip, one from each segment of the video.
        size: int. Height and width of the crop in pixels.
        short_side: pair of ints. Range of the short side in training, in pixels.
        test_short_side: int. Short side in validation, in pixels.
        flip: `"none"`, `"plain"`, or `"swap"` for a flip that swaps left and right labels.
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
    variant: str = "reference"
    options: dict = dataclasses.field(default_factory=dict)
    weights: str | None = "imagenet"
    frames: int = 8
    size: int = 224
    short_side: tuple = (256, 320)
    test_short_side: int = 256
    flip: str = "none"
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
PAPER = {"sthv2": Recipe(model="SmallBigSlowOnlyR50", variant="paper")}

# A network and a schedule that a laptop trains in minutes, for the sample set.
SAMPLE = {
    "sthv2": Recipe(
        model="SmallBigSlowOnlyR50",
        variant="paper",
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
