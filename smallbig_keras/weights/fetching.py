"""Gets a weight file to disk: once, whole, and with the SHA-256 that it must have.

A download goes to `NAME.part` beside the file, with a note `NAME.part.note` of the version that
it belongs to, and takes the file's name when it is complete and checked. Both stay when it is
interrupted, so that another process can resume it. `NAME.lock` keeps processes apart; it stays,
since removing a lock that others wait for would let two of them in.
"""

import contextlib
import json
import math
import os
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import filelock

from smallbig_keras import files
from smallbig_keras.errors import NotFoundError, ResourceError, SmallBigError

# Seconds without a byte after which an attempt ends; a slow download may take longer.
_TIMEOUT = 30
_ATTEMPTS = 4
# Seconds before the second attempt, doubled before each further one.
_BACKOFF = 0.5
# Seconds of waiting for another process after which the user is told.
_PATIENCE = 2
_BLOCK = 1 << 16
_SCHEMES = ("http", "https", "gs", "file", "")


class WeightsError(SmallBigError):
    """Weights are not those that are expected, or cannot be had."""


class WeightsNotFoundError(NotFoundError):
    """A weight file is not where it should be, or may not be read there."""


class DownloadError(WeightsError, ResourceError):
    """A server, a network or a disk failed; what the user gave may be right."""


class _Failed(Exception):
    """An attempt ended early; the next one resumes it."""


def cache_folder():
    """Returns the folder of downloaded weights: in `$KERAS_HOME`, else in `~/.keras`."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(home).expanduser() / "smallbig_keras"


def check_sha256(path, expected):
    """Checks that a file has a SHA-256, whole or its first 8 digits; raises `WeightsError`."""
    _check_digits(path, expected)
    received = files.sha256(path)
    if not received.startswith(expected.lower()):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 must be {expected}. "
            f"Received: {received}"
        )


def _check_digits(path, expected):
    if not re.fullmatch("[0-9a-fA-F]{8,64}", str(expected)):
        raise WeightsError(
            f"The SHA-256 of {path} must be 64 hexadecimal digits, or at least the first 8. "
            f"Received: {expected!r}"
        )


def fetch(url, path, sha256=None, check=None):
    """Downloads a file from http(s), gs, a file: URL or a path, unless it is there already.

    `check` raises `WeightsError` for a wrong file. It is called with the path of one that is there,
    if `sha256` is not given, and with that of a whole download before it gets its name.
    """
    url, path = str(url), pathlib.Path(path)
    if files.scheme(url) not in _SCHEMES:
        raise WeightsError(
            "A URL must begin with http:, https:, gs: or file:, or be a local path. "
            f"Received: {url}"
        )
    if sha256 is not None:
        _check_digits(path, sha256)
    # First without the lock: the folder may be read-only for us.
    if not _is_there(path, sha256, check):
        with locked(path):
            if not _is_there(path, sha256, check):
                _download(url, path, sha256, check)
    return path


def _is_there(path, expected, check):
    """Tells whether a file needs no download."""
    if not path.is_file():
        return False
    try:
        if expected is not None:
            return files.sha256(path).startswith(expected.lower())
        if check is not None:
            check(path)
    except (PermissionError, WeightsError):
        return False
    return True


@contextlib.contextmanager
def locked(path):
    """Keeps a file to this process; the kernel releases the lock of a killed one."""
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_PATIENCE)
        except filelock.Timeout:
            say(f"Waiting for another process that holds {lock.lock_file}")
            lock.acquire()
        yield
    except OSError as error:
        if isinstance(error, SmallBigError):
            raise
        raise DownloadError(
            f"{path} could not be written. Received: {error.strerror or error}\n"
            "Free some space, or set KERAS_HOME to a folder that can be written."
        ) from error
    finally:
        lock.release()


def _download(url, path, expected, check):
    """Downloads to the part, checks it, and gives it the file's name."""
    if path.exists():
        wrong = f"has another SHA-256 than {expected}" if expected else "is damaged or another file"
        say(f"{path} {wrong}: it is not used, but downloaded again")
    part = path.with_name(f"{path.name}.part")
    for last in (False, True):
        _complete(url, part, expected is not None)
        try:
            if expected is not None:
                check_sha256(part, expected)
            if check is not None:
                check(part)
            break
        except WeightsError as error:
            # The resumed bytes may be at fault: once more from the first byte.
            _discard(part)
            if last:
                raise DownloadError(f"{url} gave a wrong file, twice: {error}") from error
    size = part.stat().st_size
    os.replace(part, path)
    _discard(part)
    if not _on_terminal():
        say(f"Downloaded {url} to {path}, {size:,} bytes")


def _complete(url, part, hashed):
    """Downloads until all bytes are there; each attempt resumes the one before."""
    source = _http if files.scheme(url) in ("http", "https") else _gfile
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_BACKOFF * 2 ** (attempt - 1))
        start, note = _left_over(url, part, hashed)
        if start and start == note["length"]:
            return
        try:
            with contextlib.closing(source(url, start, note)) as blocks:
                return _receive(url, part, blocks)
        except _Failed as error:
            failure = error
    hint = f"\nRun the command again to resume {part}." if part.exists() else ""
    raise DownloadError(
        f"{url} could not be downloaded in {_ATTEMPTS} attempts. Received: {failure}{hint}"
    ) from failure


def _receive(url, part, blocks):
    """Appends blocks to the part; its note is written before the first one."""
    start, note = next(blocks)
    with part.open("ab" if start else "wb") as file:
        if not start:
            _note(part).write_text(json.dumps({**note, "url": url}))
        for block in _shown(url, start, note["length"], blocks):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    size = part.stat().st_size
    if note["length"] not in (None, size):
        raise _Failed(f"the connection ended after {size} of {note['length']} bytes")


def _note(part):
    """Returns the path of a part's note; `.json` is for records."""
    return part.with_name(f"{part.name}.note")


def _discard(part):
    for path in (part, _note(part)):
        path.unlink(missing_ok=True)


def _left_over(url, part, hashed):
    """Returns size and note of an earlier attempt's part, `(0, {})` if it is of no use."""
    try:
        note = json.loads(_note(part).read_text())
        size = part.stat().st_size
        # Without a version only the hash can tell that both parts are of one file.
        useful = note["url"] == url and (hashed or any(note["version"]))
        return (size, note) if useful and size <= (note["length"] or math.inf) else (0, {})
    except (OSError, ValueError, KeyError, TypeError):
        return 0, {}


def _http(url, start, note):
    """Yields where the download starts and the note of the file, then blocks of bytes."""
    import requests
    import urllib3

    # A compressed transfer cannot be resumed.
    headers = {"User-Agent": "smallbig-keras", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={start}-"} if start else {}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            code, status = response.status_code, f"{response.status_code} {response.reason}"
            if start and (code == 416 or (code == 206 and not _continues(response, start, note))):
                yield from _http(url, 0, {})
                return
            if code in (403, 404, 410):
                raise _not_found(url, f"HTTP status {status}")
            if 400 <= code < 500 and code not in (408, 429):
                raise DownloadError(f"The server refuses {url}. Received: HTTP status {status}")
            if code == 200:
                length, start = response.raw.length_remaining, 0
                note = {"length": length, "version": _version(response)}
            elif code != 206 or not start:
                raise _Failed(f"HTTP status {status}")
            yield start, note
            while block := response.raw.read(_BLOCK, decode_content=False):
                yield block
    except SmallBigError:
        raise
    except (requests.exceptions.InvalidURL, UnicodeError) as error:
        raise WeightsError(f"A URL must be valid ({error}). Received: {url}") from error
    except (OSError, urllib3.exceptions.HTTPError) as error:
        # The words of the innermost one: requests wraps urllib3's, which wraps the system's.
        while error.args and isinstance(error.args[-1], Exception):
            error = error.args[-1]
        raise _Failed(getattr(error, "reason", error)) from error


def _continues(response, start, note):
    """Tells whether a response is the rest of the same file."""
    place = re.fullmatch(rf"bytes {start}-\d+/(\d+)", response.headers.get("Content-Range", ""))
    same = place and _version(response) == note["version"]
    return same and note["length"] in (None, int(place[1]))


def _version(response):
    return [response.headers.get(name) for name in ("ETag", "Last-Modified")]


def _not_found(url, reason):
    return WeightsNotFoundError(f"There are no weights at {url}. Received: {reason}")


def _gfile(url, start, note):
    """Does what `_http` does for files on disks and in buckets."""
    import tensorflow as tf

    if files.scheme(url) == "file":
        url = urllib.request.url2pathname(urllib.parse.urlsplit(url).path)
    try:
        status = tf.io.gfile.stat(url)
        found = {"length": status.length, "version": [status.mtime_nsec]}
        start = start if found.items() <= note.items() else 0
        with tf.io.gfile.GFile(url, "rb") as file:
            file.seek(start)
            yield start, found
            while block := file.read(_BLOCK):
                yield block
    except tf.errors.OpError as error:
        gone = (tf.errors.NotFoundError, tf.errors.PermissionDeniedError)
        if isinstance(error, (*gone, tf.errors.FailedPreconditionError)):
            raise _not_found(url, error) from error
        raise _Failed(error) from error


def _shown(url, start, length, blocks):
    """Passes blocks on, with a progress bar where someone looks at it."""
    if not _on_terminal():
        yield from blocks
        return
    import keras

    print(f"Downloading {url}")
    bar = keras.utils.Progbar(length and math.ceil(length / 1000), unit_name="kB")
    try:
        for block in blocks:
            yield block
            start += len(block)
            bar.update(math.ceil(start / 1000), finalize=False)
    finally:
        bar.update(math.ceil(start / 1000), finalize=True)


def _on_terminal():
    return sys.stdout is not None and sys.stdout.isatty()


def say(text):
    """Prints a line to the user beside the results."""
    # Not to stdout, where commands put results.
    print(text, file=sys.stderr)
