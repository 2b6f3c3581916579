"""What a pass over videos has done so far, and its file."""

import dataclasses
import json

import numpy as np

from smallbig_keras.evaluation.scores import read_arrays, write_arrays

PARTIAL = "partial.npz"


@dataclasses.dataclass
class Partial:
    """The scores of the videos up to some place in their list.

    Args:
        places: list of int. Where in the list the scored videos are, in order. Defaults to
            `None`, no video.
        rows: list of float32 arrays `(classes,)`. Their scores. Defaults to `None`.
        skipped: list of str. A line for each video that could not be read. Defaults to `None`.
        seconds: float. How long it took. Defaults to `0.0`.
    """

    places: list | None = None
    rows: list | None = None
    skipped: list | None = None
    seconds: float = 0.0

    def __post_init__(self):
        for name in ("places", "rows", "skipped"):
            setattr(self, name, getattr(self, name) or [])

    @property
    def next(self):
        """int. The place from which to go on."""
        return self.places[-1] + 1 if self.places else 0

    def note_skipped(self, unreadable):
        """Adds the videos that could not be read.

        Args:
            unreadable: `UnreadableVideos`.
        """
        self.skipped = sorted({*self.skipped, *unreadable.report()})

    def save(self, file, protocol, unreadable):
        """Writes what is done, so that a reader sees the old file or the new one.

        Args:
            file: path.
            protocol: dict that JSON can hold. What the scores depend on.
            unreadable: `UnreadableVideos`. What could not be read since.
        """
        self.note_skipped(unreadable)
        write_arrays(
            file,
            places=np.array(self.places, np.int64),
            # Ctrl-C may come between a batch's rows and its places.
            rows=np.stack(self.rows[: len(self.places)]),
            protocol=json.dumps(protocol),
            details=json.dumps({"skipped": self.skipped, "seconds": self.seconds}),
        )


def read_partial(file, protocol, progress):
    """Reads what is done.

    Args:
        file: pathlib.Path. Where `Partial.save` writes.
        protocol: dict. What the scores must depend on.
        progress: callable. Takes a line of text.

    Returns:
        `Partial`, empty if there is no file or its protocol is another one.

    Raises:
        ValueError: the file is damaged.
    """
    if not file.is_file():
        return Partial()
    places, rows, theirs, details = read_arrays(file, ("places", "rows", "protocol", "details"))
    if not is_same(json.loads(str(theirs)), protocol, file, progress):
        return Partial()
    return Partial(places.tolist(), list(rows), **json.loads(str(details)))


def is_same(theirs, ours, file, progress):
    """Compares the protocol of earlier scores, and says in what it differs.

    Args:
        theirs: dict. That of the file.
        ours: dict.
        file: path.
        progress: callable. Takes a line of text.

    Returns:
        bool.
    """
    changed = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
    if changed:
        progress(f"{file} is of another {', '.join(changed)}: scored anew")
    return not changed
