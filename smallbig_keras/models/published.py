"""Sizes and accuracies that others published for networks of the tables; none is measured here."""

import dataclasses
import importlib.resources
import json


@dataclasses.dataclass(frozen=True)
class Published:
    """A row that somebody printed.

    Args:
        model: str. Model function.
        variant: str. Its variant.
        source: str. Where it is printed.
        frames: int. Frames of a clip.
        size: int. Height and width in pixels that the multiply-adds are of.
        parameters: str. Millions, as printed. Defaults to `None` where they are not.
        gmac: str. Billions of multiply-adds, as printed. Defaults to `None` where they are not.
        dataset: str. Where the accuracy is measured. Defaults to `None` without one.
        top1: float. In percent. Defaults to `None`.
        top5: float. In percent. Defaults to `None`.
        views: str. Clips x crops of a video, and the size of a crop. Defaults to `None`.
        options: dict. Options beside those of the variant. Defaults to none.
        note: str. How the figure came about, where ours is another. Defaults to `""`.
    """

    model: str
    variant: str
    source: str
    frames: int
    size: int
    parameters: str | None = None
    gmac: str | None = None
    dataset: str | None = None
    top1: float | None = None
    top5: float | None = None
    views: str | None = None
    options: dict = dataclasses.field(default_factory=dict)
    note: str = ""


def read_published():
    """Returns the rows of `published.json`, a list of Published."""
    file = importlib.resources.files("smallbig_keras.models") / "published.json"
    return [Published(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
