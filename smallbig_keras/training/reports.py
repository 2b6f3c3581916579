"""The lines that a training prints before its first step."""

from smallbig_keras import runs
from smallbig_keras.data.annotations.video import class_counts, shorten
from smallbig_keras.data.mirroring import left_right_pairs
from smallbig_keras.data.options import dataset_options, is_split_by_seed
from smallbig_keras.models.inspection import complexity
from smallbig_keras.options import command_line
from smallbig_keras.training.recipes import chosen_options

# Videos of the largest class for one of the smallest, from which on they are named.
_UNEVEN = 10


def choices(config, videos, validation):
    """Returns lines on what a training has chosen or found by itself.

    Args:
        config: dict. Options of the training, its `class_names` and the names of those `given`.
        videos: source of the training videos.
        validation: source of the validation videos.

    Returns:
        list of str.
    """
    names = config["class_names"]
    lines = [
        f"videos   {len(videos)} for training, {len(validation)} for validation{_chosen(config)}; "
        f"{len(names)} classes"
    ]
    if config["recipe"] == "finetune":
        shown = {"recipe", *config["given"], *chosen_options()} - {"output"}
        values = {name: value for name, value in config.items() if name in shown}
        lines.append(f"recipe   {command_line('smallbig fit', values)}")
    counts = class_counts(videos.labels, names)
    least, most = min(counts, key=counts.get), max(counts, key=counts.get)
    if counts[most] > _UNEVEN * counts[least]:
        lines.append(
            f"uneven   {least!r} has {counts[least]} for training, {most!r} has {counts[most]}: "
            "top-1 says little of small classes, see the accuracy of each in smallbig evaluate"
        )
    validated = class_counts(validation.labels, names)
    unseen = [repr(name) for name in names if not validated[name]]
    if unseen:
        lines.append(f"unseen   no video validates {shorten(unseen)}")
    both = _paths(videos) & _paths(validation)
    if both:
        lines.append(
            f"in both  {len(both)} of the videos that validate are trained on, so that the "
            f"accuracy says too much: {shorten(sorted(map(repr, both)))}"
        )
    if config["flip"] == "swap":
        pairs = left_right_pairs(names)
        swapped = shorten([f"{one!r} <-> {other!r}" for one, other in pairs])
        more = f"labels swapped: {swapped}" if pairs else "no class is another's mirror image"
        lines.append(f"mirrored half of the clips; {more}")
    return lines


def _chosen(config):
    """Tells who chose the videos for validation, where the dataset does not."""
    if config["val_list"]:
        return f" (those of {config['val_list']})"
    by_seed = is_split_by_seed(dataset_options(config))
    return f" (chosen by seed, listed in the run's {runs.VAL_LIST})" if by_seed else ""


def _paths(source):
    """The paths of the videos of a list; clips in shards have none of their own."""
    return {video.path for video in getattr(source, "videos", ())}


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


def step(place):
    """Returns the words for a place within an epoch, empty at its begin."""
    return f", step {place.step}" if place.step else ""


def accumulated(config):
    """Returns the steps of an update; runs of older versions do not tell."""
    return config.get("gradient_accumulation_steps") or 1
