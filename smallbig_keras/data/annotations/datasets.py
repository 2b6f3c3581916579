"""Which videos a data set holds, and their classes."""

import inspect

from smallbig_keras.data.annotations.folders import read_folder
from smallbig_keras.data.annotations.kinetics import read_k400
from smallbig_keras.data.annotations.lists import read_csv, read_frame_list
from smallbig_keras.data.annotations.something_something import read_sthv1, read_sthv2
from smallbig_keras.data.annotations.ucf_hmdb import read_hmdb51, read_ucf101
from smallbig_keras.data.annotations.video import AnnotationWarning, DatasetNotFoundError, Video
from smallbig_keras.errors import OptionError, SmallBigError

__all__ = [
    "DATASETS",
    "AnnotationWarning",
    "DatasetNotFoundError",
    "Video",
    "read_annotations",
    "read_sthv2",
]

# A reader is a function of root, split and options: `(videos, class_names)`.
DATASETS = {
    "csv": read_csv,
    "folder": read_folder,
    "frames": read_frame_list,
    "hmdb51": read_hmdb51,
    "k400": read_k400,
    "sthv1": read_sthv1,
    "sthv2": read_sthv2,
    "ucf101": read_ucf101,
}
_SPLITS = {
    "train": "train",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
}


def read_annotations(dataset, root, split, **options):
    """Reads the annotations of a data set.

    Class ids of all splits of a data set agree: where names are not published, they are taken
    from the training split whichever is read. A video that is listed is in the result, there or
    not: `drop_missing` tells.

    Args:
        dataset: str. A name of `DATASETS`.
        root: str or path. Folder of the data set, in the layout of `docs/data.md`.
        split: str. `"train"`, `"validation"` (or `"val"`, `"validate"`) or `"test"`.
        **options: Those of the data set's reader, such as `split_number` of `"ucf101"` and
            `"hmdb51"` or `image_template` of `"frames"`. None stands for the default.

    Returns:
        `(videos, class_names)`: a list of `Video` and a list of str.

    Raises:
        DatasetNotFoundError: the folder or a file is missing; the message draws the layout.
        ValueError: a file is damaged, the message names file and line; or an argument is outside
            the values above.
        TypeError: the data set has no such option.
    """
    if dataset not in DATASETS:
        raise SmallBigError(f"`dataset` must be one of {tuple(DATASETS)}. Received: {dataset=}")
    if split not in _SPLITS:
        raise SmallBigError(f"`split` must be one of {tuple(_SPLITS)}. Received: {split=}")
    options = {name: value for name, value in options.items() if value is not None}
    allowed = list(inspect.signature(DATASETS[dataset]).parameters)[2:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise OptionError(
            f"The options of {dataset!r} are {', '.join(allowed) or 'none'}. "
            f"Received: {', '.join(unknown)}"
        )
    return DATASETS[dataset](root, _SPLITS[split], **options)
