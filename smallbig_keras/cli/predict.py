"""Names what happens in videos.

    smallbig predict video.webm --weights runs/RUN
    smallbig predict FOLDER --weights model.tflite --clips 10 --crops 3

A video is a file, or a folder of frames as numbered pictures; of another folder, all its videos.
"""

import dataclasses

from smallbig_keras.cli.source import (
    CROPS_HELP,
    ClipOptions,
    SourceOptions,
    check_source,
    load_classifier,
    video_files,
)
from smallbig_keras.data.clips import check_crops
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.options import flag, option


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
    check_source(args)
    return args


def run(args):
    """Prints the best classes of each video; returns them by video."""
    from smallbig_keras.data.video_file import BadVideoError

    classifier = load_classifier(args)
    results, errors = {}, []
    for video in (str(path) for name in args.videos for path in video_files(name)):
        try:
            found = classifier.predict(video, args.top, args.clips, args.crops, args.batch_size)
        except BadVideoError as error:
            errors.append(str(error))
            continue
        results[video] = found
        print(video)
        for name, probability in found:
            print(f"  {probability:6.1%}  {name}")
    if errors:
        raise BadVideoError("\n".join(errors))
    return results
