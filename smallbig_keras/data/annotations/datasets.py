"""The one door to all datasets: a reader a name."""

import inspect

from smallbig_keras.data.annotations.folders import read_folder
from smallbig_keras.data.annotations.kinetics import read_k400
from smallbig_keras.data.annotations.lists import read_csv, read_frame_list
from smallbig_keras.data.annotations.something_something import read_sthv1, read_sthv2
from smallbig_keras.data.annotations.ucf_hmdb import read_hmdb51, read_ucf101
from smallbig_keras.errors import OptionError, SmallBigError, did_you_mean

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
    """Reads the annotations of a dataset.

    Class ids of all splits of a dataset agree: where names are not published, they are taken
    from the training split whichever is read. The result has every listed video, there or not;
    `drop_missing` tells.

    Options of the readers, None for the default:
    - `split_number`, int, of `"ucf101"` and `"hmdb51"`: official split 1, 2 or 3, default 1.
    - `image_template`, str, of `"csv"`, `"folder"`, `"frames"`, `"sthv1"` and `"sthv2"`: videos
      are folders of frames; the name of a frame by its number, such as `img_{:05d}.jpg`.
    - `train_list`, `val_list`, `test_list`, str, of `"csv"` and `"frames"`: files, from `root`.
    - `val_list`, str, of `"folder"` without a folder `val`: file with the validation videos,
      `CLASS/NAME` or a path a line; the others are for training.
    - `val_share`, float, of the same: share of each class that is for validation, above 0 and
      below 1; default 0.2.
    - `split_seed`, int, of the same: chooses the validation videos, from 0; default 0.
    - `class_list`, str, of `"csv"` and `"frames"`: file of class names, one a line, from `root`,
      or a dataset with published names such as `"k400"`; default `classes.txt`.
    - `first_label`, int, of `"csv"` and `"frames"`: the number of the first class, 0 or 1, where
      labels are numbers; default 0.
    - `allow_empty_classes`, bool, of `"csv"`, `"folder"` and `"frames"`: numbers up to the highest
      label, or folders of classes, may have no training video; default False.
    - `skip_bad_lines`, bool, of all but `"folder"`: damaged lines are left out, and an
      `AnnotationWarning` counts and names them; default False.

    Args:
        dataset: str. A name of `DATASETS`.
        root: str or path. Folder of the dataset, in the layout of `docs/data.md`.
        split: str. `"train"`, `"validation"` (or `"val"`, `"validate"`) or `"test"`.
        **options: those of the dataset's reader, see above.

    Returns:
        `(videos, class_names)`: a list of `Video` and a list of str.

    Raises:
        DatasetNotFoundError: the folder or a file is missing; the message draws the layout.
        SmallBigError: a file is damaged, the message names file and line; or an argument is
            outside the values above.
        OptionError: the dataset has no such option.
    """
    if dataset not in DATASETS:
        raise SmallBigError(
            f"`dataset` must be one of {tuple(DATASETS)}.{did_you_mean(dataset, DATASETS)} "
            f"Received: {dataset=}"
        )
    if split not in _SPLITS:
        raise SmallBigError(
            f"`split` must be one of {tuple(_SPLITS)}.{did_you_mean(split, _SPLITS)} "
            f"Received: {split=}"
        )
    options = {name: value for name, value in options.items() if value is not None}
    allowed = list(inspect.signature(DATASETS[dataset]).parameters)[2:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise OptionError(
            f"The options of {dataset!r} are {', '.join(allowed) or 'none'}."
            f"{did_you_mean(unknown[0], allowed)} Received: {', '.join(unknown)}"
        )
    return DATASETS[dataset](root, _SPLITS[split], **options)
