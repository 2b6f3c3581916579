"""Files that are whole or not there, and folders that one process at a time writes."""

import contextlib
import errno
import hashlib
import io
import os
import pathlib
import re
import tempfile

import filelock

from smallbig_keras.errors import ResourceError, SmallBigError

_BLOCK = 1 << 20
# Errors of a disk or a file system, not of the program.
DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EACCES),
    *(errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG),
)
# Of these, the ones that libraries report in words alone.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCK = ".lock"


class PositionedReader(io.RawIOBase):
    """A file of `size` bytes that is read from a position; `readinto` is the class's own."""

    def __init__(self, size):
        super().__init__()
        self._size = size
        self._position = 0

    def readable(self):
        """Returns True."""
        return True

    def seekable(self):
        """Returns True."""
        return True

    def tell(self):
        """Returns the position."""
        return self._position

    def seek(self, offset, whence=io.SEEK_SET):
        """Changes the position, and returns it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position


def replace_file(file, write, keep=None, size=0):
    """Writes a file by `write(path)`: a reader sees the old one or the new one, never a part.

    `size` bytes are reserved first, so that a full disk shows before a library begins to write.
    """
    with write_aside(file, write, size):
        if keep is not None and file.exists():
            os.replace(file, keep)


@contextlib.contextmanager
def write_aside(file, write, size=0):
    """Writes a file by `write(path)` under another name, gives that, and renames it at the end.

    It may have been renamed by then.
    """
    temporary = file.with_name(f".writing-{file.name}")
    try:
        if size and hasattr(os, "posix_fallocate"):
            with temporary.open("wb") as reserved:
                os.posix_fallocate(reserved.fileno(), 0, size)
        write(temporary)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        yield temporary
        if temporary.exists():
            os.replace(temporary, file)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = disk_error(error)
        if reason is None or isinstance(error, SmallBigError):
            raise
        raise _kind(error)(f"{file} could not be written: {reason}.") from error


def _kind(error):
    """The class of an error: a full disk failed, a path that cannot be written was given."""
    given = isinstance(error, OSError) and error.errno not in (None, errno.EIO, *_FULL)
    return SmallBigError if given else ResourceError


def disk_error(error):
    """Returns what a disk did wrong, a str, or `None` if an exception has another cause.

    HDF5 and TensorFlow put the system's words into exceptions of their own.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in DISK_ERRORS else None
    words = (os.strerror(number) for number in _FULL)
    return next((word for word in words if word in str(error)), None)


def make_folder(path):
    """Makes a folder in which files can be written, or checks that one is there."""
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0")
    except OSError as error:
        raise _unwritable(error, path) from error
    return path


def check_writable(path):
    """Checks that a file or folder can be made, and makes nothing."""
    path = pathlib.Path(path).absolute()
    try:
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        if there.is_file() and there != path:
            raise NotADirectoryError(errno.ENOTDIR, f"{there} is no folder")
        there = there.parent if there.is_file() else there
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
    except OSError as error:
        raise _unwritable(error, path) from error


def _unwritable(error, path):
    return _kind(error)(f"This cannot be written: {error.strerror or error}. Received: {path}")


@contextlib.contextmanager
def folder_lock(path):
    """Keeps a folder to this process; the kernel releases the lock of a killed one."""
    lock = filelock.FileLock(pathlib.Path(path, _LOCK))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise SmallBigError(
            f"Another process is writing this folder: wait, or choose another. Received: {path}"
        ) from None
    try:
        yield
    finally:
        # Before the release, so that it is nobody else's.
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def sha256(path):
    """Computes the SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def scheme(url):
    """Returns what a URL begins with, in small letters; empty for a local path."""
    # Two letters at least: `C:` is a drive.
    match = re.match(r"([a-z][a-z0-9+.-]+):(?=//)|(file):", url, re.IGNORECASE)
    return (match[1] or match[2]).lower() if match else ""
