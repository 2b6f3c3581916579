"""Annotation files in text: lines and tables, with errors that name file and line."""

import csv
import io
import json
from pathlib import Path

from smallbig_keras.data.annotations.video import shorten, warn
from smallbig_keras.errors import ResourceError, SmallBigError

_SKIP_HINT = "\nAdd skip_bad_lines=True (--skip-bad-lines) to leave damaged lines out."


def read_text(path, errors="surrogateescape"):
    """Reads a text file in UTF-8, without its byte order mark."""
    # Bytes that are not UTF-8 become surrogates, as in the file names that Python gives, so that
    # a name in any encoding leads to its file.
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ResourceError(f"{path} must be readable. Received: {error.strerror}") from None
    # PowerShell and some spreadsheets write UTF-16. Decoded as UTF-8 it would fail line by line.
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SmallBigError(f"{path} must be in UTF-8. Received: UTF-16")
    return data.decode("utf-8", errors).removeprefix("\ufeff")


def read_lines(path):
    """Reads the lines of a file that are not blank: `[(number from 1, line), ...]`."""
    # splitlines() would also break names at a dozen rare characters.
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def read_json(path, kind, expected):
    """Reads a JSON file that must hold a value of type `kind`: `(text, value)`."""
    try:
        text = read_text(path, "strict")
        value = json.loads(text)
    except SmallBigError:
        raise
    except (ValueError, RecursionError) as error:
        raise SmallBigError(f"{path} must be a JSON file in UTF-8. Received: {error}") from None
    if not isinstance(value, kind):
        raise SmallBigError(f"{path} must hold {expected}. Received: {type(value).__name__}")
    return text, value


def read_table(path, columns, delimiters=","):
    """Reads a csv file whose header has `columns`: `[(line, row), ...]`.

    A row is a dict by column, or the list of its fields where their number is not the header's.
    """
    text = read_text(path)
    head = text.partition("\n")[0]
    delimiter = next((d for d in delimiters if d in head), delimiters[0])
    # Without `strict`, a quote that is not closed swallows the rest of the file.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header, rows = None, []
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise SmallBigError(
                f"{path}, line {line}: a row must follow the quoting rules of csv. "
                f"Received: {error}"
            ) from None
        if not any(field.strip() for field in fields):
            continue
        if header is None:
            header = [field.strip() for field in fields]
            if not set(columns) <= set(header):
                raise SmallBigError(
                    f"{path}, line {line}: the header must have the columns {','.join(columns)}. "
                    f"Received: {fields!r:.200}"
                )
        elif len(fields) == len(header):
            rows.append((line, dict(zip(header, fields, strict=True))))
        else:
            rows.append((line, fields))
    if header is None:
        raise SmallBigError(
            f"{path} must begin with a header of {','.join(columns)}. Received: no line"
        )
    return rows


def check_row(row):
    """Returns a row of `read_table`, if it has as many fields as the header."""
    if not isinstance(row, dict):
        raise SmallBigError(
            f"a row must have as many fields as the header. Received: {len(row)}: {row!r:.200}"
        )
    return row


class LineParser:
    """Parses the numbered lines of lists; a damaged one is an error, or skipped and counted.

    Args:
        skip_bad_lines: bool. Whether damaged lines are skipped: `warn` counts and names them.
    """

    def __init__(self, skip_bad_lines=False):
        self._skip = skip_bad_lines
        self._totals = {}
        self._skipped = []

    def parse(self, path, rows, parse, place="line {}".format):
        """Parses rows of a list, also those that an earlier pass over it gave.

        Args:
            path: path. The list, for errors.
            rows: list of `(number, row)`.
            parse: callable. Makes a value of a row; a ValueError says that the row is damaged.
            place: callable. Describes the number of a row. Defaults to that of a line.

        Returns:
            list of `(number, value)`.
        """
        parsed, bad = [], []
        for number, row in rows:
            try:
                parsed.append((number, parse(row)))
            except ValueError as error:
                bad.append((number, error))
        if bad and not (self._skip and parsed):
            (number, error), *others = bad
            more = shorten([str(number) for number, _ in others])
            raise SmallBigError(
                f"{path}, {place(number)}: {error}"
                + (f" ({len(others)} more: {more})" if more else "")
                + (_SKIP_HINT if self._skip is False else "")
            )
        if not parsed:
            raise SmallBigError(f"{path} must list at least one video. Received: no line")
        self._totals.setdefault(path, len(rows))
        self._skipped += [(path, place, number, error) for number, error in bad]
        return parsed

    def warn(self):
        """Warns of the lines that were skipped, with their number and the first ten."""
        if self._skipped:
            messages = "\n".join(
                f"{path}, {place(number)}: {error}"
                for path, place, number, error in self._skipped[:10]
            )
            warn(
                f"{len(self._skipped)} of {sum(self._totals.values())} lines were skipped, the "
                f"first of them:\n{messages}"
            )


def parse_rows(path, rows, parse):
    """Parses numbered rows of which none can be left out, such as names of classes."""
    return [value for _, value in LineParser(None).parse(path, rows, parse)]


def parse_number(text, name, lowest=0):
    """Reads a whole number of at least `lowest`; `name` is for the error."""
    # int() also takes "1_000" and digits of other scripts.
    plain = text.strip()
    if not (plain.isascii() and plain.isdecimal()) or int(plain) < lowest:
        raise SmallBigError(f"{name} must be a whole number from {lowest}. Received: {text!r:.200}")
    return int(plain)


def check_class_name(name):
    """Returns the name of a class without spaces around it, if it can be printed and stored."""
    if name.splitlines() not in ([], [name]):
        # Exports write a name a line.
        raise SmallBigError(f"a class name must be one line. Received: {name!r:.200}")
    name = name.strip()
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise SmallBigError(f"a class name must be UTF-8. Received: {name!r:.200}") from None
    if not name:
        raise SmallBigError("a class name must not be empty. Received: ''")
    return name
