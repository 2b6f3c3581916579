"""The scores of videos and their file."""

import dataclasses
import json
import pathlib
import zipfile

import numpy as np

from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.files import make_folder, replace_file

_SHOWN = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """The scores that a model gave to videos.

    Args:
        ids: list of str. Names of the videos in their dataset.
        labels: int array of shape `(videos,)`. Class ids, -1 where there is no label.
        scores: float32 array of shape `(videos, classes)`. Probabilities.
        class_names: list of str, in label order.
        protocol: dict that JSON can hold. Everything that the scores depend on.
        details: dict that JSON can hold. Further facts: versions, seconds, skipped videos.

    Raises:
        SmallBigError: the numbers of videos or classes differ, or a score is not finite.
    """

    ids: list
    labels: np.ndarray
    scores: np.ndarray
    class_names: list
    protocol: dict
    details: dict

    def __post_init__(self):
        shape = (len(self.ids), len(self.class_names))
        if self.scores.shape != shape or self.labels.shape != shape[:1]:
            raise SmallBigError(
                "Scores must have one row a video and one column a class. Received: "
                f"{shape[0]} videos, {shape[1]} classes, labels of shape {self.labels.shape}, "
                f"scores of shape {self.scores.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(self.scores).all(axis=1))
        if bad.size:
            raise SmallBigError(
                "Scores must be finite. Received: NaN or infinity for "
                f"{bad.size} videos, the first of them {self.ids[bad[0]]!r}"
            )

    @property
    def has_labels(self):
        """bool. True if all videos have labels."""
        return bool((self.labels >= 0).all())

    def save(self, file):
        """Writes the scores, to be read by `load_scores` or, without pickle, by `numpy.load`.

        Args:
            file: path. Its folder is made.

        Raises:
            ResourceError: the disk is full or fails; nothing is left.
        """
        arrays = {
            "ids": np.array(self.ids, str),
            "labels": self.labels.astype(np.int32),
            "scores": self.scores.astype(np.float32),
            "class_names": np.array(self.class_names, str),
            "protocol": json.dumps(self.protocol),
            "details": json.dumps(self.details),
        }

        def write(temporary):
            with temporary.open("wb") as stream:
                np.savez(stream, **arrays)

        file = pathlib.Path(file)
        make_folder(file.parent)
        replace_file(file, write)


def load_scores(file):
    """Reads the file of `Scores.save`.

    Args:
        file: path.

    Returns:
        `Scores`.

    Raises:
        NotFoundError: there is no such file.
        SmallBigError: it is damaged or of another kind.
    """
    if not pathlib.Path(file).is_file():
        raise NotFoundError(f"Scores are a file that evaluation wrote. Received: {file}")
    names = ("ids", "labels", "scores", "class_names", "protocol", "details")
    try:
        # NumPy leaves a damaged file open that it opened itself.
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            ids, labels, scores, class_names, *texts = (arrays[name] for name in names)
        protocol, details = (json.loads(str(text)) for text in texts)
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, EOFError, AttributeError) as error:
        raise SmallBigError(
            f"Scores must be a whole file that evaluation wrote ({error!r:.200}). Received: {file}"
        ) from None
    return Scores(ids.tolist(), labels, scores, class_names.tolist(), protocol, details)


def fuse_scores(members):
    """Fuses models by the mean of their scores (SmallBigNet, CVPR 2020, section 6).

    Videos are those of the first member, in its order, and found in the others by their id.

    Args:
        members: list of `Scores`, two or more.

    Returns:
        `Scores`.

    Raises:
        SmallBigError: the members have other videos, classes or labels, or one has an id twice
            and another order.
    """
    members = list(members)
    if len(members) < 2:
        raise SmallBigError(f"An ensemble has two members or more. Received: {len(members)}")
    first = members[0]
    rows = []
    for number, member in enumerate(members, start=1):
        if member.class_names != first.class_names:
            raise SmallBigError(
                "Members of an ensemble must know the same classes in the same order. Received: "
                f"{len(first.class_names)} classes of member 1 and {len(member.class_names)} of "
                f"member {number}, which differ"
            )
        order = _order(first.ids, member.ids, number)
        if not np.array_equal(member.labels[order], first.labels):
            raise SmallBigError(
                "Members of an ensemble must have the same labels. Received: other labels of "
                f"{int(np.sum(member.labels[order] != first.labels))} videos in member {number}"
            )
        rows.append(member.scores[order])
    return Scores(
        first.ids,
        first.labels,
        np.mean(rows, axis=0, dtype=np.float32),
        first.class_names,
        {"ensemble": [member.protocol for member in members]},
        {"ensemble": [member.details for member in members]},
    )


def _order(wanted, ids, number):
    """Where the wanted videos are in `ids`."""
    if ids == wanted:
        return np.arange(len(ids))
    missing, more = (_differing(*pair) for pair in ((wanted, ids), (ids, wanted)))
    if missing or more or len(ids) != len(wanted):
        raise SmallBigError(
            "Members of an ensemble must have scored the same videos. Received: "
            f"member {number} with {len(ids)} videos where member 1 has {len(wanted)}, "
            f"without {missing or 'none'} of them, with {more or 'no'} others"
        )
    places = {name: place for place, name in enumerate(ids)}
    if len(places) != len(ids):
        raise SmallBigError(
            "Videos are matched by their ids, each of which must be there once. "
            f"Received: {len(ids) - len(places)} ids more than once in member {number}"
        )
    return np.array([places[name] for name in wanted])


def _differing(names, others):
    """The number of names that others lack, with the first of them."""
    names = sorted(set(names) - set(others))
    shown = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} ({shown})" if names else ""
