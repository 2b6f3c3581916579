"""Classes of lists: labels are names, or numbers from 0 or 1."""

import re

from smallbig_keras.data.annotations.text_files import check_class_name, parse_number
from smallbig_keras.data.annotations.video import shorten
from smallbig_keras.errors import SmallBigError

# Of one label of 20,000,000 the names of the classes took 3 GB.
MAX_CLASSES = 100_000
_FROM_1 = "first_label=1 (--first-label 1) reads labels that count from 1"


class ClassIds:
    """The ids of labels.

    Labels that are numbers are ids, padded or not: those of training are without a gap. In a table
    with names of classes, numbers may be names as well.

    Args:
        path: path. The list of the training videos.
        labels: list of `(line, label)`, str. Those of the training videos.
        known: `(names, source)` or None. The names of the classes, and where they come from.
        first: int. The label of the first class, 0 or 1.
        allow_empty: bool. Whether classes may have no training video.
        numbers: bool. Whether labels must be numbers. Defaults to `False`.
    """

    def __init__(self, path, labels, known, first, allow_empty, numbers=False):
        if first not in (0, 1):
            raise SmallBigError(f"`first_label` must be 0 or 1. Received: {first}")
        self.names, self._source = known or (None, path)
        values = {label for _, label in labels}
        named = known and values <= set(self.names)
        self._numbers = numbers or (not named and all(map(_is_number, values)))
        self._first = first
        # A label that counts from 1 is one too high: the error says so where no label is 0.
        self._from_1 = first == 0 and not any(map(_is_zero, values))
        if not self._numbers and (first or allow_empty):
            raise SmallBigError(
                "`first_label` (--first-label) and `allow_empty_classes` (--allow-empty-classes) "
                "are for labels that are numbers. "
                f"Received: {path} with {shorten([repr(v) for v in sorted(values)])}"
            )
        if not known:
            self.names = self._count(path, labels, allow_empty) if self._numbers else sorted(values)
        self._ids = {name: i for i, name in enumerate(self.names)}

    def __call__(self, label):
        """Returns the id of a label."""
        if not self._numbers:
            if check_class_name(label) not in self._ids:
                raise SmallBigError(
                    f"a label must be one of the {len(self.names)} classes of {self._source}. "
                    f"Received: {label!r:.200}"
                )
            return self._ids[label]
        number = parse_label(label)
        if not 0 <= number - self._first < len(self.names):
            last = self._first + len(self.names) - 1
            hint = f"; {_FROM_1}" if self._from_1 else ""
            raise SmallBigError(
                f"a label must be from {self._first} to {last}, as in {self._source}{hint}. "
                f"Received: {number}"
            )
        return number - self._first

    def _count(self, path, labels, allow_empty):
        lines = {}
        for line, label in labels:
            # Other labels are errors of their lines.
            if _is_number(label) and int(label) < MAX_CLASSES:
                lines.setdefault(int(label), line)
        first, last = self._first, max(lines, default=-1)
        gaps = [number for number in range(first, last) if number not in lines]
        if gaps == [0] and not allow_empty:
            raise SmallBigError(
                f"{path}: labels must count from 0; {_FROM_1}. Received: 1 to {last}, none is 0"
            )
        if gaps and not allow_empty:
            hint = f"; {_FROM_1}" if gaps[0] == 0 and 1 in lines else ""
            missing = shorten([str(number) for number in gaps])
            raise SmallBigError(
                f"{path}: labels must be {first} to {last}, each of a video; "
                "allow_empty_classes=True (--allow-empty-classes) allows classes without "
                f"one{hint}. "
                f"Received: no video of {missing}; line {lines[last]} has {last}"
            )
        return [str(number) for number in range(first, last + 1)]


def parse_label(text):
    """Reads a label that is a number, below `MAX_CLASSES`."""
    number = parse_number(text, "a label")
    if number >= MAX_CLASSES:
        raise SmallBigError(f"a label must be below {MAX_CLASSES}. Received: {text!r:.200}")
    return number


def _is_number(label):
    return re.fullmatch("[0-9]{1,99}", label) is not None


def _is_zero(label):
    return re.fullmatch("0+", label) is not None
