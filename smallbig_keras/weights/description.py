"""The description of a classifier: all of it but its numbers, as `classifier.json` holds it."""

import dataclasses
import importlib.metadata
import json
import pathlib
import platform

from smallbig_keras import runs
from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.files import replace_file
from smallbig_keras.version import __version__

FILE = "classifier.json"
WEIGHTS = runs.BEST
ACTIVATIONS = ("softmax", "sigmoid", "linear")
# Descriptions are a few kilobytes.
_MAX_BYTES = 50_000_000


@dataclasses.dataclass(frozen=True)
class Description:
    """A network, the clips that it takes and the names that it gives.

    Args:
        model: str. Model function.
        variant: str. Its variant.
        options: dict. Options that differ from those of the variant.
        classes: int. Classes of the head; 0 without one.
        clips: ClipConfig. The clip.
        class_names: list of str in label order, or `None` where nobody tells. Defaults to `None`.
        activation: str. Activation of the head, one of `ACTIVATIONS`. Defaults to `"softmax"`.
        sha256: str. SHA-256 of the weights, or `None` where it is not kept. Defaults to `None`.
        origin: str. Whose weights they are, where another published them. Defaults to `None`.
    """

    model: str
    variant: str
    options: dict
    classes: int
    clips: ClipConfig
    class_names: list | None = None
    activation: str = "softmax"
    sha256: str | None = None
    origin: str | None = None

    def __post_init__(self):
        # Keras would build whatever a dictionary in its place names.
        if self.activation not in ACTIVATIONS:
            raise SmallBigError(
                f"The activation of a head must be one of {', '.join(ACTIVATIONS)}. "
                f"Received: {self.activation!r:.80}"
            )


def versions():
    """Returns the versions of the packages that a result depends on, a dict."""
    names = ("keras", "tensorflow", "numpy")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"smallbig_keras": __version__, **found, "python": platform.python_version()}


def is_classifier(folder):
    """Tells whether a path is the folder of a run or of a saved classifier."""
    folder = pathlib.Path(folder)
    return any((folder / name).is_file() for name in (FILE, runs.CONFIG))


def write_description(description, folder):
    """Writes the description into a folder."""
    values = {**dataclasses.asdict(description), "versions": versions()}
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    file = pathlib.Path(folder) / FILE
    replace_file(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_description(folder):
    """Reads the description in a folder, also in that of a run of an older version.

    Raises:
        NotFoundError: the folder has none.
        SmallBigError: it is damaged.
    """
    file = pathlib.Path(folder) / FILE
    if not file.is_file():
        config = runs.read_config(folder)
        try:
            values = {**dataclasses.asdict(of_training(config)), "sha256": None}
        except (TypeError, ValueError) as error:
            raise SmallBigError(
                f"{file.with_name(runs.CONFIG)} describes no run: {error}"
            ) from None
        return _description(values, file.with_name(runs.CONFIG))
    values = read_json(file)
    values.pop("versions", None)
    return _description(values, file)


def read_json(file):
    """Reads a JSON object of moderate size, a dict."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{file.stat().st_size:,} bytes")
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SmallBigError(f"{file} must be a whole JSON file. Received: {error}") from None
    if not isinstance(values, dict):
        raise SmallBigError(f"{file} must hold a JSON object. Received: {type(values).__name__}")
    return values


def training_clips(config):
    """Returns the ClipConfig of the options of a training."""
    return ClipConfig().replace(
        short_side=config["test_short_side"],
        **{name: config.get(name) for name in ("frames", "sampling", "stride", "size")},
        **{name: config.get(name) for name in ("mean", "std", "channel_order", "keep_aspect")},
    )


def of_training(config):
    """Returns the description of the network that a training's configuration tells."""
    names = list(config["class_names"])
    network = config["model"], config["variant"], dict(config["options"])
    return Description(*network, len(names), training_clips(config), names)


def _description(values, file):
    fields = {field.name: field for field in dataclasses.fields(Description)}
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if not needed <= set(values) <= set(fields):
        raise SmallBigError(
            f"{file} must have the fields {', '.join(fields)}. Received: {', '.join(values)}"
        )
    names = values.get("class_names")
    checks = {
        "model": isinstance(values["model"], str),
        "variant": isinstance(values["variant"], str),
        "options": isinstance(values["options"], dict),
        "classes": isinstance(values["classes"], int) and values["classes"] >= 0,
        "class_names": names is None
        or (
            isinstance(names, list)
            and len(names) == values["classes"]
            and all(isinstance(name, str) for name in names)
        ),
        **{
            name: values.get(name) is None or isinstance(values[name], str)
            for name in ("sha256", "origin")
        },
    }
    wrong = [name for name, good in checks.items() if not good]
    if wrong:
        received = ", ".join(f"{name}={values[name]!r:.80}" for name in wrong)
        raise SmallBigError(f"{file} describes no classifier. Received: {received}")
    try:
        return Description(**{**values, "clips": ClipConfig.from_dict(values["clips"])})
    except (SmallBigError, TypeError) as error:
        raise SmallBigError(f"{file}: {error}") from None
