"""The formats of artifacts, told by name and content; nothing heavy is imported for it."""

import pathlib

from smallbig_keras.errors import OptionError, did_you_mean

# Formats that are one file, by suffix; the other is a folder.
BY_SUFFIX = {".tflite": "tflite", ".onnx": "onnx"}
FILE_SUFFIXES = tuple(BY_SUFFIX)
FOLDER = "saved_model"


def format_of(path, format=None):
    """Returns the format that is given, else that of the suffix; `OptionError` if there is none."""
    formats = (FOLDER, *BY_SUFFIX.values())
    if format is not None and format not in formats:
        raise OptionError(
            f"The format must be one of {', '.join(formats)}.{did_you_mean(format, formats)} "
            f"Received: {format!r}"
        )
    suffix = pathlib.Path(path).suffix
    if format is None and suffix and suffix not in BY_SUFFIX and not suffix[1:].isdigit():
        raise OptionError(
            f"No format has the suffix {suffix}.{did_you_mean(suffix, BY_SUFFIX)} Name the "
            f"format: {', '.join(formats)}. Received: {path}"
        )
    return format or BY_SUFFIX.get(suffix, FOLDER)


def is_artifact(path):
    """Tells whether a path is that of an artifact, by its name or what the folder holds."""
    path = pathlib.Path(path)
    if path.is_dir():
        return (newest_version(path) / "saved_model.pb").is_file()
    return path.suffix in FILE_SUFFIXES


def newest_version(path):
    """Returns the folder of the highest number in that of a SavedModel, or the folder itself."""
    versions = [p for p in path.iterdir() if p.name.isdigit() and p.is_dir()]
    return max(versions, key=lambda p: int(p.name)) if versions else path
