"""Which weights exist: one JSON file a publisher, and one beside every file of a user's own."""

import dataclasses
import importlib.resources
import json
import pathlib
import typing

from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.labels.predictions import class_names
from smallbig_keras.weights.description import Description


@dataclasses.dataclass(frozen=True)
class WeightsRecord:
    """Weights that exist, or that a name is kept for.

    Args:
        name: str. What `weights=` is given, as `"k400"`.
        model: str. Model function.
        variant: str. Its variant.
        options: dict. Its further options.
        classes: int. Classes of the head.
        input_shape: list `[frames, height, width, 3]` that `macs` are counted at.
        file: str. Name of the file, or `None` if none is published.
        url: str. Where it is published, or `None`.
        sha256: str. Digest of the file, or its beginning where that is what is published.
        bytes: int. Size of the file, or `None` where nobody here has seen it.
        parameters: int. Trained parameters.
        macs: int. Multiply-adds of one clip of `input_shape`.
        labels: str or list of str. Dataset whose class names they are, or the names.
        clips: dict. The fields of `smallbig_keras.data.ClipConfig`.
        accuracy: dict of `top1`, `top5`, `protocol` as frames x clips x crops, `dataset` and
            `run`, which is `None` for a publisher's figure; of that, `clips` may hold the fields of
            ClipConfig that differ in the protocol. `None` where there is none.
        licence: str. Licence of the file.
        source: str. Where the weights come from.
        publisher: str. Who trained them and measured the accuracy. Defaults to `None` for us, or
            the user.
        stands_for: str. The name that means these weights for a network that has none of its own
            under that name. Defaults to `None`.
        sha256_is_certain: bool. Whether a file of another digest is refused; else a warning.
            Defaults to `True`.
    """

    name: str
    model: str
    variant: str
    options: dict
    classes: int
    input_shape: list
    file: str | None
    url: str | None
    sha256: str | None
    bytes: int | None
    parameters: int
    macs: int
    labels: str | list | None
    clips: dict
    accuracy: dict | None
    licence: str | None
    source: str
    publisher: str | None = None
    stands_for: str | None = None
    sha256_is_certain: bool = True

    @property
    def description(self):
        """Description. Network, clip and names."""
        labels = self.labels
        return Description(
            self.model,
            self.variant,
            self.options,
            self.classes,
            ClipConfig.from_dict(self.clips),
            class_names(labels) if isinstance(labels, str) else labels,
            sha256=self.sha256,
            origin=self.publisher and str(self),
        )

    @property
    def protocol(self):
        """tuple. How the accuracy was measured: a ClipConfig, clips of a video, crops of a clip."""
        frames, clips, crops = map(int, self.accuracy["protocol"].split("x"))
        changes = {"frames": frames, **self.accuracy.get("clips", {})}
        return self.description.clips.replace(**changes), clips, crops

    @property
    def figures(self):
        """str. The accuracy with its protocol, empty without one."""
        if not self.accuracy:
            return ""
        # A publisher's figures with the digits that it prints.
        form = "{:.5g}%" if self.publisher else "{:.1f}%"
        top1, top5 = (form.format(100 * self.accuracy[name]) for name in ("top1", "top5"))
        return f"{top1} / {top5} ({self.accuracy['protocol']})"

    def __str__(self):
        whose = f"{self.publisher}'s {self.name}" if self.publisher else self.name
        measured = f", top-1 / top-5 {self.figures} as {self.publisher} measured"
        return whose + (measured if self.publisher and self.accuracy else "")

    @property
    def stem(self):
        """Name of the published files without suffix, a str."""
        return record_stem(self.model, self.name)


FIELDS = tuple(field.name for field in dataclasses.fields(WeightsRecord))
_TYPES = typing.get_type_hints(WeightsRecord)
_NEEDED = {
    field.name
    for field in dataclasses.fields(WeightsRecord)
    if field.default is dataclasses.MISSING
}


def record_stem(model, name):
    """Returns the name of published files without suffix, as `"SmallBigR50-k400"`."""
    return f"{model}-{name}"


def read_record(path):
    """Reads the record beside a published file; raises `SmallBigError` if it is damaged."""
    path = pathlib.Path(path)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"A record must be a file that can be read ({error.strerror}). Received: {path}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SmallBigError(
            f"A record must be a whole JSON file. Received: {path} ({error})"
        ) from None
    return _record(fields, path)


def write_record(record, path):
    """Writes a record to a JSON file."""
    text = json.dumps(dataclasses.asdict(record), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def builtin_records():
    """Returns the records that come with the package, a list of WeightsRecord."""
    folder = importlib.resources.files("smallbig_keras.weights") / "publishers"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return [_record(row, file) for file in files for row in _rows(file)]


def _rows(file):
    """Yields a record's fields for each network of each file of a publisher.

    Files share the fields under `common`, of their clips too; `networks` are those that a file
    fits.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    common = content["common"]
    for row in content["weights"]:
        clips = {**common["clips"], **row.get("clips", {})}
        for network in row["networks"]:
            fields = {**common, **row, **network, "clips": clips}
            del fields["networks"]
            yield fields


def _is_beside(file):
    """Tells whether a file is one beside its record, or in a folder there."""
    parts = pathlib.PureWindowsPath(file).parts
    return "/".join(parts) == file and ".." not in parts and len(parts) <= 2


def _record(fields, path):
    """Checks the fields of a record."""
    if not isinstance(fields, dict) or not _NEEDED <= set(fields) <= set(_TYPES):
        found = sorted(fields) if isinstance(fields, dict) else type(fields).__name__
        raise SmallBigError(
            f"A record must have the fields {', '.join(_TYPES)}. Received: {path} with {found}"
        )
    wrong = [name for name, value in fields.items() if not isinstance(value, _TYPES[name])]
    if wrong:
        raise SmallBigError(f"A field of a record is of another type. Received: {path}, {wrong}")
    if fields["file"] is not None and not _is_beside(fields["file"]):
        raise SmallBigError(
            f"A record's file must lie beside it. Received: {path}, {fields['file']!r}"
        )
    record = WeightsRecord(**fields)
    try:
        names = record.description.class_names
    except (SmallBigError, TypeError) as error:
        raise SmallBigError(f"A record is damaged: {error} In {path}") from None
    if names is not None and len(names) != record.classes:
        raise SmallBigError(
            f"A record must name its {record.classes} classes. Received: {path}, {len(names)} names"
        )
    return record
