"""A row of a table of networks, and how it reads."""

import dataclasses

from smallbig_keras.data.clips import ClipConfig


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of a table: a network, what it is, and its size.

    Args:
        spec: the network, one of `smallbig_keras.models.specs`.
        clips: ClipConfig. The clips that it takes where weights say nothing else.
        parameters: int. Its trained parameters; a test counts them.
        gmac: float. Billions of multiply-adds of one of its clips; a test counts them.
        note: str. What tells it from its neighbours. Defaults to `""`.
    """

    spec: object
    clips: ClipConfig
    parameters: int
    gmac: float
    note: str = ""

    def __str__(self):
        shape = " x ".join(map(str, self.clips.shape[:3]))
        size = f"{self.parameters:,} parameters, {self.gmac:.2f} GMAC at {shape}"
        return "; ".join(filter(None, (self.note, *self.spec.parts(), size)))
