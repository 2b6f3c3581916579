"""The options of a training, each declared once."""

import dataclasses
import typing

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.data.options import DatasetOptions
from smallbig_keras.data.sampling import SAMPLINGS
from smallbig_keras.models.registry import list_models
from smallbig_keras.options import option
from smallbig_keras.training.recipes import clip_options

# Beside the options, a run's `config.json` holds what the training found.
FACTS = (
    *("class_names", "num_videos", "videos", "frozen", "weights_path", "keep_classifier"),
    *("given", "versions"),
)
# Packages that log a training, and the extras that install them.
LOGGERS = {"tensorboard": "sample", "wandb": "wandb", "mlflow": "mlflow"}
# The defaults of a clip.
_CLIPS = clip_options(ClipConfig())


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Run"""

    output: str | None = option(
        None, "folder of the run", metavar="DIR", shown="runs/DATASET-MODEL-TIME"
    )
    recipe: typing.Literal["paper", "reference", "finetune"] | None = option(
        "paper",
        "defaults of the options below: the paper's, those of the authors' script, or by the "
        "number of videos",
        shown="finetune for folder, frames, csv; else paper",
    )
    sample: bool = option(
        False, "make and take the sample set, with a small network and a short schedule"
    )
    seed: int = option(0, "of weights, order and augmentation")
    workers: int | None = option(None, "videos decoded at once", shown="one a processor")
    deterministic: bool | None = option(
        None,
        "same seed, same weights to the bit, whatever else the machine does",
        shown="on, off on a GPU",
    )
    checkpoint_every: float = option(
        10.0,
        "minutes from one checkpoint to the next within an epoch; each epoch ends with one",
        metavar="MINUTES",
    )
    max_bad_clips: int | None = option(
        None, "stop when more videos are unreadable", metavar="N", shown="any number"
    )
    log_to: tuple[str, ...] | None = option(
        None,
        "where the training is logged beside log.csv, see docs/training.md",
        choices=tuple(LOGGERS),
        shown="tensorboard, where it is installed",
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
        "none", "mirror half of the clips; swap exchanges the labels of left and right"
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
        "where training starts: a run, a saved classifier, a name such as imagenet or k400, a file "
        "of weights, see docs/weights.md; or none. Network and clips are those of the weights",
        metavar="NAME_OR_PATH",
    )
    weights_dir: str | None = option(None, "folder with published weights", metavar="DIR")
    freeze: tuple[str, ...] = option(
        (),
        "stages that keep their weights, such as stem res2, or mixed3 of S3D; norm: the "
        "normalisations that --weights sets",
        metavar="STAGE",
    )


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Optimizer and schedule"""

    batch_size: int = option(128, "clips of a step, over all devices")
    gradient_accumulation_steps: int | None = option(
        None,
        "steps whose mean gradient makes one update",
        metavar="N",
        aliases=("--accumulate",),
        shown="1; more where the recipe's batch does not fit into memory",
    )
    epochs: int = option(50, "passes over the training videos")
    lr: float | None = option(
        None,
        "learning rate",
        shown="the recipe's, scaled with the clips of an update",
        aliases=("--learning-rate",),
    )
    schedule: typing.Literal["cosine", "step"] = option(
        "step", "decay of the learning rate: cosine, or a tenth at each of --milestones"
    )
    milestones: tuple[int, ...] | None = option(
        (30, 40, 45), "epochs of --schedule step; scale with --epochs", metavar="EPOCH"
    )
    warmup_epochs: int = option(
        0, "in which the learning rate rises from a tenth; scale with --epochs", metavar="EPOCHS"
    )
    momentum: float = option(0.9, "of the gradients")
    weight_decay: float = option(1e-4, "share of the weight in its gradient", aliases=("--l2",))
    clip_norm: float | None = option(
        None, "largest norm of the gradient of all weights together", metavar="NORM"
    )
    ema: float | None = option(
        None,
        "validate and keep moving averages of the weights; share of the old value, such as 0.999",
        metavar="SHARE",
    )
    label_smoothing: float = option(
        0.0, "share of a label that is spread over all classes", metavar="SHARE"
    )
    class_weights: typing.Literal["none", "balanced"] = option(
        "none", "weights of the classes in the loss; balanced: all classes count the same"
    )


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
    remat: bool = option(
        False, "compute tensors again in the backward pass: less memory, more time"
    )
    jit: typing.Literal["auto", "on", "off"] = option("auto", "compile with XLA; auto: on one GPU")
    check_memory: typing.Literal["on", "off"] = option(
        "on", "refuse a batch that will not fit into memory"
    )


# The last base comes first in help and in `config.json`.
@dataclasses.dataclass(frozen=True)
class FitOptions(
    DeviceOptions, OptimizerOptions, ModelOptions, ClipOptions, DatasetOptions, RunOptions
):
    """The options of a training; see `resolve`."""

    # Names of the options that a user gave: no option itself.
    given: tuple[str, ...] = dataclasses.field(default=(), compare=False)
