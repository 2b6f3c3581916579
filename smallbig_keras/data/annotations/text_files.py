"""Annotation files in text: lines and tables, with errors that name file and line."""

import csv
import io
from pathlib import Path

from smallbig_keras.data.annotations.video import shorten, warn
from smallbig_keras.errors import SmallBigError


def read_text(path):
    """Reads a text file.

    Bytes that are not UTF-8 become surrogates, as in the file names that Python gives, so that a
    name in any encoding leads to its file.

    Args:
        path: path.

    Returns:
        str, without a byte order mark.

    Raises:
        ValueError: the file is in UTF-16.
    """
    data = Path(path).read_bytes()
    # What PowerShell and some spreadsheets write. Decoded as UTF-8 it would fail line by line.
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SmallBigError(f"{path} must be in UTF-8. Received: UTF-16")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def read_lines(path):
    """Reads the lines of a file that are not blank.

    Args:
        path: path.

    Returns:
        list of `(number, line)`, from 1, without the line's end.
    """
    # Not splitlines(), which also breaks names at a dozen rare characters.
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def read_table(path, columns, delimiters=","):
    """Reads a table with a header, quoted by the rules of csv.

    Args:
        path: path.
        columns: tuple of str. Columns that the header must have.
        delimiters: str. The one found in the header separates; the first, if none is.
            Defaults to `","`.

    Returns:
        list of `(number, row)`: the line on which a row begins, and a dict of column to str, or
        the list of its fields where their number is not that of the header.

    Raises:
        ValueError: the header lacks a column, or quotes are damaged.
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
    """Checks that a row of `read_table` has as many fields as the header.

    Args:
        row: dict or list.

    Returns:
        The row.

    Raises:
        ValueError: it is a list.
    """
    if not isinstance(row, dict):
        raise SmallBigError(
            f"a row must have as many fields as the header. Received: {len(row)}: {row!r:.200}"
        )
    return row


def parse_rows(path, rows, parse, skip_bad_lines=False):
    """Parses numbered rows.

    Args:
        path: path. The file, for errors.
        rows: list of `(number, row)`.
        parse: callable. Takes a row; its ValueErrors get file and line.
        skip_bad_lines: bool. Whether rows that cannot be parsed are left out, with an
            `AnnotationWarning` that counts them and names the first ten. Defaults to `False`.

    Returns:
        list of what `parse` returned.

    Raises:
        ValueError: a row cannot be parsed, or none is left.
    """
    parsed, bad = [], []
    for number, row in rows:
        try:
            parsed.append(parse(row))
        except ValueError as error:
            bad.append((number, f"{path}, line {number}: {error}"))
    if bad and not (skip_bad_lines and parsed):
        more = shorten([str(number) for number, _ in bad[1:]])
        raise SmallBigError(
            bad[0][1] + (f" ({len(bad) - 1} more bad lines: {more})" if more else "")
        )
    if bad:
        messages = "\n".join(message for _, message in bad[:10])
        warn(f"{len(bad)} of {len(rows)} lines were skipped, the first of them:\n{messages}")
    if not parsed:
        raise SmallBigError(f"{path} must list at least one video. Received: no line")
    return parsed


def parse_number(text, what, lowest=0):
    """Reads a whole number.

    Args:
        text: str.
        what: str. What it is, for the error.
        lowest: int. Defaults to `0`.

    Returns:
        int.

    Raises:
        ValueError: it is not a whole number of at least `lowest`.
    """
    # int() also takes "1_000" and digits of other scripts.
    plain = text.strip()
    if not (plain.isascii() and plain.isdecimal()) or int(plain) < lowest:
        raise SmallBigError(f"{what} must be a whole number from {lowest}. Received: {text!r:.200}")
    return int(plain)


def check_class_name(name):
    """Checks the name of a class.

    Args:
        name: str.

    Returns:
        The name, without spaces around it.

    Raises:
        ValueError: it is empty or was not UTF-8: class names are printed and stored.
    """
    name = name.strip()
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise SmallBigError(f"a class name must be UTF-8. Received: {name!r:.200}") from None
    if not name:
        raise SmallBigError("a class name must not be empty. Received: ''")
    return name
