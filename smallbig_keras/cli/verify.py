"""Compares artifacts with the Keras model they came from, on real clips.

    smallbig verify models/smallbig model.tflite model.onnx --weights runs/RUN
    smallbig verify model-int8.tflite --weights runs/RUN --clips 300 --output table.md

Prints a table and ends with an error when an artifact is out of tolerance: a float32 one by more
than 1e-4 of a probability, float16 1e-2, dynamic with fewer than 97 % of the clips the same best
class, int8 95 %. The clips are the validation videos of the run, its dataset or --videos. An
artifact that states other clips than the classifier's is an error, too.
"""

import dataclasses
import pathlib

from smallbig_keras.cli.source import (
    ClipOptions,
    SourceOptions,
    VideoOptions,
    check_source,
    load_classifier,
    load_clips,
)
from smallbig_keras.data.sampling import uses_stride
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.files import check_writable, make_folder, replace_file
from smallbig_keras.options import option


@dataclasses.dataclass(frozen=True)
class ComparisonOptions:
    """Comparison"""

    artifacts: tuple[str, ...] = option(
        (), "artifacts to compare", metavar="ARTIFACT", positional=True, required=True
    )
    output: str | None = option(None, "file for the table", metavar="FILE", shown="none")
    rounds: int = option(11, "timed calls of each artifact")
    threads: int | None = option(None, "of LiteRT and ONNX Runtime", shown="one a processor")


@dataclasses.dataclass(frozen=True)
class Options(VideoOptions, ClipOptions, SourceOptions, ComparisonOptions):
    """The options of `smallbig verify`."""


def check(given):
    """Returns the checked options."""
    args = Options(**given)
    if args.rounds < 1:
        raise SmallBigError(f"--rounds must be at least 1. Received: {args.rounds}")
    if args.clips < 1:
        raise SmallBigError(f"--clips must be at least 1. Received: {args.clips}")
    if args.output:
        check_writable(args.output)
    check_source(args, artifacts=False)
    return args


def run(args):
    """Prints the table; returns the comparisons."""
    from smallbig_keras import export

    classifier = load_classifier(args)
    runners = [export.open_artifact(path, args.threads) for path in args.artifacts]
    _check_clips(runners, classifier.clips)
    clips = load_clips(args, classifier.clips, "validation")
    latency, comparisons = export.compare(
        classifier.model, runners, clips, rounds=args.rounds, config=classifier.clips
    )
    table = export.format_table(latency, comparisons)
    print(f"{len(clips)} clips\n\n{table}")
    if args.output:
        path, text = pathlib.Path(args.output), table + "\n"
        make_folder(path.parent)
        replace_file(path, lambda file: file.write_text(text, encoding="utf-8"))
    failed = [c.name for c in comparisons if not c.passed]
    if failed:
        raise ResourceError(f"Artifacts are out of tolerance. Received: {', '.join(failed)}")
    return comparisons


def _check_clips(runners, clips):
    """Refuses artifacts that state other clips, by what has an effect on them."""
    idle = set() if uses_stride(clips.sampling) else {"stride"}
    for runner in runners:
        ours, theirs = vars(clips), vars(runner.clips)
        names = [name for name in ours if name not in idle and theirs[name] != ours[name]]
        if names:
            differ = ", ".join(f"{name}={theirs[name]!r} for {ours[name]!r}" for name in names)
            raise SmallBigError(
                "An artifact must state the clips of its classifier: export it again. "
                f"Received: {runner.name}, {differ}"
            )
