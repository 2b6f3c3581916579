"""Where weight files come from: servers, buckets and folders, as streams of blocks."""

import contextlib
import dataclasses
import http.client
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from smallbig_keras.errors import NotFoundError, SmallBigError

_BLOCK = 1 << 18
_GONE = (403, 404, 410)
_PASSING = (408, 429)


class WeightsError(SmallBigError):
    """A weight file cannot be had, or is not the one that is expected."""


class WeightsNotFoundError(NotFoundError):
    """A weight file is not where it should be, or nobody may read it there."""


class Failed(Exception):
    """An attempt ended early; what arrived is kept, and another attempt may go on."""


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Where a download stands.

    Args:
        start: int. Bytes that are there.
        length: int or None. Bytes of the whole, if known.
        marks: dict. Marks of the version, ETag and the like.
        blocks: iterator of bytes to come. Defaults to `None`.
    """

    start: int
    length: int | None
    marks: dict
    blocks: Iterator | None = None


def scheme(url):
    """Returns what a URL begins with, in small letters; empty for a local path.

    Args:
        url: str.

    Returns:
        str.
    """
    # Two letters at least: `C:` is a drive.
    match = re.match(r"([a-z][a-z0-9+.-]+):(?=//)|(file):", url, re.IGNORECASE)
    return (match[1] or match[2]).lower() if match else ""


@contextlib.contextmanager
def _local(url, _found, _timeout):
    source = pathlib.Path(url)
    if scheme(url) == "file":
        source = pathlib.Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    if not source.is_file():
        raise WeightsNotFoundError(f"There is no weight file at this place. Received: {url}")
    try:
        file = source.open("rb")
    except OSError as error:
        raise WeightsError(f"{url} must be a file that can be read. Received: {error}") from error
    with file:
        yield Transfer(0, source.stat().st_size, {}, _blocks(file.read, OSError))


@contextlib.contextmanager
def _gfile(url, found, _timeout):
    # The time limits of this source are TensorFlow's own.
    import tensorflow as tf

    try:
        status = tf.io.gfile.stat(url)
        marks = {"mtime_nsec": status.mtime_nsec}
        same = found and (found.length, found.marks) == (status.length, marks)
        start = found.start if same else 0
        file = tf.io.gfile.GFile(url, "rb")
        file.seek(start)
    except (tf.errors.NotFoundError, tf.errors.PermissionDeniedError) as error:
        raise WeightsNotFoundError(f"There are no weights at {url}. Received: {error}") from error
    except tf.errors.OpError as error:
        raise Failed(_reason(error)) from error
    with file:
        yield Transfer(start, status.length, marks, _blocks(file.read, tf.errors.OpError))


@contextlib.contextmanager
def _http(url, found, timeout):
    response = length = None
    if found:
        headers = {"Range": f"bytes={found.start}-"}
        etag = found.marks.get("ETag", "W/")
        # A weak ETag must not be sent: it may stand for other bytes of the same meaning.
        mark = found.marks.get("Last-Modified") if etag.startswith("W/") else etag
        response = _request(url, headers | ({"If-Range": mark} if mark else {}), timeout)
        length = _length_if_continued(response, found)
        if response and response.status == 206 and length is None:
            response.close()
            response = None
    response = response or _request(url, {}, timeout)
    with response:
        blocks = _blocks(response.read1, (OSError, http.client.HTTPException))
        if length is not None:
            yield Transfer(found.start, length, found.marks, blocks)
        elif response.status == 200:
            names = [n for n in ("ETag", "Last-Modified") if response.headers.get(n)]
            marks = {name: response.headers[name] for name in names}
            yield Transfer(0, response.length, marks, blocks)
        else:
            raise Failed(f"HTTP status {response.status} {response.reason}")


def _request(url, headers, timeout):
    """Sends a request; returns the response, or `None` for 416, no such range."""
    request = urllib.request.Request(url, headers={"User-Agent": "smallbig-keras", **headers})
    # An opener of its own, as it reads the proxies of the environment when it is made.
    opener = urllib.request.build_opener()
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and headers:
            return None
        status = f"HTTP status {error.code} {error.reason}"
        if error.code in _GONE:
            raise WeightsNotFoundError(
                f"There are no weights at {url}. Received: {status}"
            ) from None
        if error.code < 500 and error.code not in _PASSING:
            raise WeightsError(f"The server refuses {url}. Received: {status}") from None
        raise Failed(status) from None
    except (http.client.InvalidURL, UnicodeError) as error:
        raise WeightsError(
            f"A URL must be one that can be sent ({error}). Received: {url}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(_reason(error)) from error


def _length_if_continued(response, found):
    """Returns the length of the whole if a response is the rest of the same file, else `None`.

    Some servers send the rest of another version, as they do not heed If-Range.
    """
    if response is None or response.status != 206:
        return None
    stated = response.headers.get("Content-Range", "")
    match = re.fullmatch(rf"bytes {found.start}-\d+/(\d+)", stated)
    length = int(match[1]) if match else None
    same = found.length in (None, length) and all(
        response.headers.get(name, mark) == mark for name, mark in found.marks.items()
    )
    return length if same else None


def _blocks(read, errors):
    # An HTTP response is read by `read1`, which gives what arrived and does not wait for more:
    # a slow server is none that hangs, and nothing is lost when it does.
    while True:
        try:
            block = read(_BLOCK)
        except errors as error:
            raise Failed(_reason(error)) from error
        if not block:
            return
        yield block


def _reason(error):
    error = getattr(error, "reason", error)
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error)


SOURCES = {"": _local, "file": _local, "gs": _gfile, "http": _http, "https": _http}


def open_source(url, found, timeout):
    """Opens what is at a URL for reading.

    Args:
        url: str. `http:`, `https:`, `gs:` or `file:`, or a local path.
        found: Transfer of an earlier attempt that is to be continued, or `None`.
        timeout: float. Seconds without a byte from an HTTP server.

    Returns:
        Context manager of a Transfer; reading its blocks raises Failed where another attempt
        may go on.

    Raises:
        WeightsNotFoundError: if there is no such file, or no access to it.
        WeightsError: if the source refuses for good.
    """
    return SOURCES[scheme(url)](url, found, timeout)
