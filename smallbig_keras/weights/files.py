"""Gets a weight file to disk: once, whole, and with the hash that it must have.

A download goes to `NAME.part` beside the file, with a note `NAME.part.json` of where it comes
from, and takes the file's name only when it is complete and checked. `NAME.lock` keeps processes
apart; it stays, since to remove a lock that others wait for would let two of them in.
"""

import contextlib
import hashlib
import json
import math
import os
import pathlib
import re
import sys
import time

import filelock

from smallbig_keras.weights.sources import (
    SOURCES,
    Failed,
    Transfer,
    WeightsError,
    WeightsNotFoundError,
    open_source,
    scheme,
)

_BLOCK = 1 << 18
# Seconds before the second attempt, doubled before each further one.
_BACKOFF = 0.5
# Seconds of waiting for a lock after which the user is told.
_PATIENCE = 2


def cache_folder():
    """Returns the folder for downloaded weights, which need not exist yet.

    Returns:
        pathlib.Path: `smallbig_keras` in `$KERAS_HOME`, or in `~/.keras` where that is not set.
    """
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(home).expanduser() / "smallbig_keras"


def sha256(path):
    """Computes the SHA-256 of a file, in blocks.

    Args:
        path: str or pathlib.Path. The file.

    Returns:
        str of 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(path, expected):
    """Checks that a file has a SHA-256.

    Args:
        path: str or pathlib.Path. The file.
        expected: str. The hexadecimal digits, all 64 or at least the first 8, which is what
            names of torchvision's files hold.

    Raises:
        WeightsError: if the file has another one, or `expected` is none.
    """
    _check_digits(expected)
    received = sha256(path)
    if not received.startswith(expected.lower()):
        raise WeightsError(f"{path} must have the SHA-256 {expected}. Received: {received}")


def _check_digits(expected):
    if not re.fullmatch("[0-9a-fA-F]{8,64}", str(expected)):
        raise WeightsError(
            "A SHA-256 must be 64 hexadecimal digits, or at least the first 8 of them. "
            f"Received: {expected!r}"
        )


def fetch(url, path, sha256=None, timeout=30, attempts=4):
    """Downloads a file, unless it is there already.

    A file that is there with the right hash is returned without any use of the network. An
    interrupted download, even one of a killed process, is continued where the server allows it
    and its file is still the same. Of processes that want the same file, one downloads it.

    Args:
        url: str. Where it is: `http:`, `https:`, `gs:` or `file:`, or a local path.
        path: str or pathlib.Path. The file to write; missing folders are made.
        sha256: str. Hexadecimal digits that the file must have, at least the first 8. Defaults
            to `None` for no check but that of the length, where the server states it.
        timeout: float. Seconds without a byte from an HTTP server after which an attempt
            ends; a slow download may take longer. Defaults to `30`.
        attempts: int. How often a failing server is asked. Defaults to `4`.

    Returns:
        pathlib.Path: `path`.

    Raises:
        WeightsNotFoundError: if there is no such file at the URL, or no access to it.
        WeightsError: if the download failed in all attempts or has another hash twice, or an
            argument is invalid. A file at `path` with another hash is then left as it was.
        OSError: if the file cannot be written, with its path.
    """
    url, path = str(url), pathlib.Path(path)
    if scheme(url) not in SOURCES:
        raise WeightsError(
            "A URL must begin with http:, https:, gs: or file:, or be a local path. "
            f"Received: {url}"
        )
    if not timeout > 0 or attempts < 1:
        raise WeightsError(
            "`timeout` must be positive and `attempts` at least 1. "
            f"Received: {timeout=}, {attempts=}"
        )
    if path.exists() and not path.is_file():
        raise WeightsError(f"`path` must be a file or free for one. Received: {path}")
    if sha256 is not None:
        _check_digits(sha256)
    # First without the lock: the folder may be read-only for us.
    if _is_there(path, sha256):
        return path
    with _locked(path):
        if _is_there(path, sha256):
            return path
        try:
            _download(url, path, sha256, timeout, attempts)
        except (WeightsError, WeightsNotFoundError) as error:
            if not path.exists():
                raise
            raise type(error)(
                f"{path} is there without the SHA-256 {sha256} and is not used, and it could not "
                f"be replaced: {error}"
            ) from error
    return path


def _is_there(path, expected):
    if not path.exists():
        return False
    try:
        if expected is not None:
            check_sha256(path, expected)
    except WeightsError:
        return False
    return True


@contextlib.contextmanager
def _locked(path):
    """Holds the lock of a file. The kernel releases that of a killed process."""
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_PATIENCE)
        except filelock.Timeout:
            _say(f"Waiting for another process that holds {lock.lock_file}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _writing(path):
    """Names the file in errors of the disk, many of which come without it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            error.errno, f"A weight file could not be written ({reason}). Received", str(path)
        ) from error


def _download(url, path, expected, timeout, attempts):
    part = path.with_name(f"{path.name}.part")
    for last in (False, True):
        _complete(url, part, expected is not None, timeout, attempts)
        try:
            if expected is not None:
                check_sha256(part, expected)
            break
        except WeightsError as error:
            # What was continued may be the fault, so that once more all is downloaded.
            _discard(part)
            if last:
                raise WeightsError(
                    f"What was downloaded from {url}, twice, is another file: {error}"
                ) from error
    size = part.stat().st_size
    with _writing(path):
        os.replace(part, path)
    _discard(part)
    if not _on_terminal():
        _say(f"Downloaded {url} to {path}, {size:,} bytes")


def _complete(url, part, hashed, timeout, attempts):
    """Downloads until all is there, in as many attempts as allowed."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(_BACKOFF * 2 ** (attempt - 1))
        found = _left_over(url, part, hashed)
        if found and found.start == found.length:
            return
        try:
            with open_source(url, found, timeout) as transfer:
                _receive(url, transfer, part)
            return
        except Failed as error:
            failure = error
    raise WeightsError(
        f"{url} could not be downloaded in {attempts} attempts, of which the last ended with what "
        f"follows. Received: {failure}"
    ) from failure


def _receive(url, transfer, part):
    size = transfer.start
    with _writing(part), part.open("ab" if size else "wb") as file:
        if not size:
            # After the old bytes are gone, and before the first new one.
            note = {"url": url, "length": transfer.length, "marks": transfer.marks}
            _note(part).write_text(json.dumps(note))
        with contextlib.closing(_shown(url, transfer)) as blocks:
            for block in blocks:
                size += file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if transfer.length not in (None, size):
        raise Failed(f"the connection ended after {size} of {transfer.length} bytes")


def _note(part):
    return part.with_name(f"{part.name}.json")


def _discard(part):
    for path in (part, _note(part)):
        path.unlink(missing_ok=True)


def _left_over(url, part, hashed):
    """Returns the `Transfer` of an earlier attempt, or `None` if it is of no use."""
    try:
        note = json.loads(_note(part).read_text())
        found = Transfer(part.stat().st_size, note["length"], note["marks"])
        # Without a mark only the hash can tell that both parts are of one file.
        useful = note["url"] == url and (found.marks or hashed)
        return found if useful and 0 < found.start <= (found.length or math.inf) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _shown(url, transfer):
    """Passes blocks on, with a progress bar where someone looks at it."""
    if not _on_terminal():
        yield from transfer.blocks
        return
    import keras

    print(f"Downloading {url}")
    target = None if transfer.length is None else _kilobytes(transfer.length)
    bar = keras.utils.Progbar(target, unit_name="kB")
    size = transfer.start
    try:
        for block in transfer.blocks:
            yield block
            size += len(block)
            bar.update(_kilobytes(size), finalize=False)
    finally:
        bar.update(_kilobytes(size), finalize=True)


def _kilobytes(size):
    return math.ceil(size / 1000)


def _on_terminal():
    return sys.stdout is not None and sys.stdout.isatty()


def _say(text):
    # Not to stdout, where scripts put results.
    print(text, file=sys.stderr, flush=True)
