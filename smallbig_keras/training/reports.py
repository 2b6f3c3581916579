"""The lines that a training prints before its first step."""

from smallbig_keras.data.annotations.video import class_counts, shorten
from smallbig_keras.data.mirroring import left_right_pairs
from smallbig_keras.models.inspection import complexity
from smallbig_keras.options import command_line
from smallbig_keras.training.recipes import chosen_options

# Videos of the largest class for one of the smallest, from which on they are named.
_UNEVEN = 10


def choices(config, videos):
    """Returns lines on what a training has chosen or found by itself.

    Args:
        config: dict. Options of the training, its `class_names` and the names of those `given`.
        videos: source of the training videos.

    Returns:
        list of str.
    """
    lines = []
    if config["recipe"] == "finetune":
        names = {"recipe", *config["given"], *chosen_options()} - {"output"}
        values = {name: value for name, value in config.items() if name in names}
        lines.append(f"recipe   {command_line('smallbig fit', values)}")
    counts = class_counts(videos.labels, config["class_names"])
    least, most = min(counts, key=counts.get), max(counts, key=counts.get)
    if counts[most] > _UNEVEN * counts[least]:
        lines.append(
            f"uneven   {counts[least]} videos of {least!r}, {counts[most]} of {most!r}: top-1 "
            "says little of small classes, see the accuracy of each in smallbig evaluate"
        )
    if config["flip"] == "swap":
        pairs = left_right_pairs(config["class_names"])
        swapped = shorten([f"{one!r} <-> {other!r}" for one, other in pairs])
        more = f"labels swapped: {swapped}" if pairs else "no class is another's mirror image"
        lines.append(f"mirrored half of the clips; {more}")
    return lines


def size(config, model, num_videos):
    """Returns network, parameters, multiply-adds, videos and steps of a training, a str."""
    counted = complexity(model)
    batch, steps = config["batch_size"], accumulated(config)
    update = f", {steps} steps an update" if steps > 1 else ""
    return (
        f"{config['model']}: {counted.parameters:,} parameters, "
        f"{counted.macs / 1e9:.2f} GMAC a clip, {num_videos} videos, "
        f"{num_videos // batch} steps of {batch} clips{update}"
    )


def accumulated(config):
    """Returns the steps of an update; runs of older versions do not tell."""
    return config.get("gradient_accumulation_steps") or 1
