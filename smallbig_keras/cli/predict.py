"""Names what happens in videos.

smallbig predict video.webm --weights runs/RUN
"""

import dataclasses

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError
from smallbig_keras.options import option


@dataclasses.dataclass(frozen=True)
class Options:
    """Prediction"""

    videos: tuple[str, ...] = option(
        (), "video files", metavar="VIDEO", positional=True, required=True
    )
    weights: str | None = option(None, "folder of a run", metavar="RUN", required=True)
    top: int = option(5, "classes to print")


def check(given):
    """Returns the checked options."""
    args = Options(**given)
    if args.top < 1:
        raise SmallBigError(f"--top must be at least 1. Received: {args.top}")
    runs.read_config(args.weights)
    return args


def run(args):
    """Prints the best classes of each video; returns them by video."""
    from smallbig_keras.classifier import load_run
    from smallbig_keras.data.decoding import BadVideoError
    from smallbig_keras.labels import decode_predictions

    opened = load_run(args.weights)
    results, errors = {}, []
    for video in args.videos:
        try:
            clip = opened.load_clip(video)
        except BadVideoError as error:
            errors.append(str(error))
            continue
        scores = opened.model.predict(clip, verbose=0)
        (results[video],) = decode_predictions(scores, args.top, labels=opened.class_names)
        print(video)
        for name, score in results[video]:
            print(f"  {score:6.1%}  {name}")
    if errors:
        raise BadVideoError("\n".join(errors))
    return results
