"""Names what happens in videos.

    smallbig predict video.webm --weights runs/RUN
    smallbig predict FOLDER --weights model.tflite --clips 10 --crops 3
    smallbig predict FOLDER --weights runs/RUN --features features.npz --layers res4 res5

A video is a file, or a folder of frames as numbered pictures; of another folder, all its videos.
"""

import dataclasses
import pathlib

from smallbig_keras.cli.source import (
    CROPS_HELP,
    ClipOptions,
    SourceOptions,
    check_source,
    load_classifier,
    video_files,
)
from smallbig_keras.data.clips import check_crops
from smallbig_keras.errors import AlreadyThereError, OptionError, SmallBigError
from smallbig_keras.files import check_writable, make_folder, replace_file
from smallbig_keras.options import flag, option

# Arrays of a file of features beside those of layers.
_ARRAYS = ("videos", "class_names", "probabilities", "features")


@dataclasses.dataclass(frozen=True)
class PredictionOptions:
    """Prediction"""

    videos: tuple[str, ...] = option(
        (), "videos", metavar="VIDEO_OR_FOLDER", positional=True, required=True
    )
    top: int = option(5, "classes to print")
    clips: int = option(1, "clips of a video")
    crops: int = option(1, CROPS_HELP)
    batch_size: int = option(8, "clips at once")
    features: str | None = option(None, "file to write with the features", metavar="FILE.npz")
    layers: tuple[str, ...] = option(
        (), "layers or stages whose means --features writes too", metavar="LAYER"
    )
    overwrite: bool = option(False, "replace the file of --features")


@dataclasses.dataclass(frozen=True)
class Options(ClipOptions, SourceOptions, PredictionOptions):
    """The options of `smallbig predict`."""


def check(given):
    """Returns the checked options."""
    args = Options(**given)
    for name in ("top", "clips", "batch_size"):
        if getattr(args, name) < 1:
            raise SmallBigError(f"{flag(name)} must be at least 1. Received: {getattr(args, name)}")
    check_crops(args.crops)
    if args.crops == 3 and args.short_side is not None:
        raise OptionError(
            "--short-side has no effect with --crops 3, which cover the frame. "
            f"Received: {args.short_side}"
        )
    _check_features(args)
    check_source(args, artifacts=args.features is None)
    return args


def _check_features(args):
    if args.features is None:
        for name in ("layers", "overwrite"):
            if getattr(args, name):
                raise OptionError(
                    f"{flag(name)} has no effect without --features. Received: {flag(name)}"
                )
        return
    check_writable(args.features)
    file = pathlib.Path(args.features)
    if file.suffix != ".npz":
        raise SmallBigError(f"--features must name a file .npz. Received: {args.features}")
    if file.exists() and not args.overwrite:
        raise AlreadyThereError(
            f"--features replaces no file without --overwrite. Received: {file}, which is there"
        )
    for name in args.layers:
        if name in _ARRAYS:
            raise OptionError(
                f"The file has arrays {', '.join(_ARRAYS)}: --layers must name others. "
                f"Received: {name}"
            )


def run(args):
    """Prints the best classes of each video; returns them by video."""
    from smallbig_keras.data.video_file import BadVideoError
    from smallbig_keras.labels.predictions import decode_predictions

    classifier = load_classifier(args)
    videos = [str(path) for name in args.videos for path in video_files(name)]
    names = ("probabilities",) if args.features is None else (*_ARRAYS[2:], *args.layers)
    results, rows, errors = {}, {}, []
    for index, row in classifier.outputs(
        videos, names, args.clips, args.crops, args.batch_size, errors
    ):
        video = videos[index]
        scores = row["probabilities"][None]
        (found,) = decode_predictions(scores, args.top, labels=classifier.class_names)
        results[video] = found
        if args.features is not None:
            rows[video] = row
        # A name may hold line breaks.
        print(video if video.isprintable() else repr(video))
        for name, probability in found:
            print(f"  {probability:6.1%}  {name}")
    if rows:
        _write_features(pathlib.Path(args.features), rows, classifier.class_names)
    if errors:
        raise BadVideoError("\n".join(map(str, errors)))
    return results


def _write_features(file, rows, class_names):
    """Writes the outputs by video as arrays, a row a video."""
    import numpy as np

    arrays = {
        name: np.stack([row[name] for row in rows.values()]) for name in next(iter(rows.values()))
    }
    arrays.update(videos=np.array(list(rows)), class_names=np.array(class_names))
    make_folder(file.parent)
    replace_file(file, lambda path: np.savez(path, **arrays))
    print(f"{file}: {len(rows)} videos, {arrays['features'].shape[1]} features")
