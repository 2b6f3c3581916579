"""Writes a model as an artifact that runs without Keras; its labels and preprocessing go along.

    smallbig export --weights runs/RUN --output models/smallbig     # TensorFlow Serving
    smallbig export --weights runs/RUN --output model.onnx
    smallbig export --weights runs/RUN --output model.tflite --precision dynamic
    smallbig export --weights runs/RUN --output model.tflite --precision int8
    smallbig export --weights FILE.keras --output model.tflite --precision int8 \\
        --input-dtype uint8 --videos FOLDER

int8 takes the ranges of its activations from real clips: the training videos of the run, those
of --data-root or --videos. Validation videos would flatter the figures measured on them later.
"""

import dataclasses
import pathlib
import typing

from smallbig_keras.cli.source import (
    ClipOptions,
    SourceOptions,
    VideoOptions,
    check_source,
    load_classifier,
    load_clips,
)
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.export.formats import format_of
from smallbig_keras.files import check_writable
from smallbig_keras.options import flag, option

# The formats, and the options that each has beside the common ones.
FORMATS = {
    "saved_model": ("version", "input_dtype"),
    "tflite": ("precision", "input_dtype"),
    "onnx": ("naive",),
}


@dataclasses.dataclass(frozen=True)
class ArtifactOptions:
    """Artifact"""

    output: str | None = option(None, "file or folder to write", metavar="PATH", required=True)
    format: typing.Literal["saved_model", "tflite", "onnx"] | None = option(
        None, "format of the artifact", shown="by the suffix of --output, else saved_model"
    )
    overwrite: bool = option(False, "replace the artifact at --output")
    precision: typing.Literal["float32", "float16", "dynamic", "int8"] = option(
        "float32", "of tflite"
    )
    input_dtype: typing.Literal["float32", "uint8"] | None = option(
        None,
        "type of the clips: uint8 are RGB values as they are",
        shown="uint8 for saved_model, float32 for tflite",
    )
    version: int | None = option(
        None, "of saved_model: add this version to those at --output", shown="1"
    )
    naive: bool = option(
        False, "of onnx: convert the Keras model as it is, with transpositions, to compare"
    )


@dataclasses.dataclass(frozen=True)
class Options(VideoOptions, ClipOptions, ArtifactOptions, SourceOptions):
    """The options of `smallbig export`."""


def run(args):
    """Writes the artifact; returns its path."""
    from smallbig_keras.export import artifacts
    from smallbig_keras.models import complexity

    kind = args.format
    place = args.output if args.version is None else pathlib.Path(args.output, str(args.version))
    artifacts.check_new(place, args.overwrite)
    classifier = load_classifier(args)
    options = {name: getattr(args, name) for name in FORMATS[kind]}
    options = {name: value for name, value in options.items() if value is not None}
    if kind == "tflite" and args.precision == "int8":
        from smallbig_keras.export.tflite import MIN_REPRESENTATIVE

        options["representative"] = load_clips(args, classifier.clips, "train", MIN_REPRESENTATIVE)
    path = classifier.export(args.output, kind, overwrite=args.overwrite, **options)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    parameters = complexity(classifier.model).parameters
    print(f"{path} ({size / 1e6:.1f} MB, {size / parameters:.2f} bytes a parameter)")
    return path


def check(given):
    """Returns the options with the format filled in; refuses options of another format."""
    args = Options(**given)
    kind = format_of(args.output, args.format)
    for name in {name for names in FORMATS.values() for name in names} - set(FORMATS[kind]):
        if name in given:
            takers = [other for other, names in FORMATS.items() if name in names]
            raise OptionError(
                f"{flag(name)} has no effect on {kind}; it is for {' and '.join(takers)}. "
                f"Received: {given[name]}"
            )
    if kind != "tflite" or args.precision != "int8":
        # The clips of a run's dataset are taken by int8 alone.
        for name in ("videos", "clips", "data_root", "shards", "dataset"):
            if name in given:
                raise OptionError(
                    f"{flag(name)} has no effect here: real clips are for --precision int8. "
                    f"Received: {given[name]}"
                )
    if args.clips < 1:
        raise SmallBigError(f"--clips must be at least 1. Received: {args.clips}")
    check_writable(args.output)
    check_source(args, artifacts=False)
    return dataclasses.replace(args, format=kind)
