"""Files that are whole or not there, and folders that one process at a time writes."""

import contextlib
import errno
import hashlib
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
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_LOCK = ".lock"


def replace_file(file, write, keep=None):
    """Writes a file so that a reader sees the old one or the new one, never a part.

    Args:
        file: pathlib.Path. The file.
        write: function that writes a file at the path that it is given.
        keep: pathlib.Path. Where the present `file` is moved first. Defaults to `None`.

    Raises:
        ResourceError: if the disk is full or the folder cannot be written; nothing is left.
    """
    temporary = file.with_name(f".writing-{file.name}")
    try:
        write(temporary)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        if keep is not None and file.exists():
            os.replace(file, keep)
        os.replace(temporary, file)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = disk_error(error)
        if reason is None:
            raise
        raise ResourceError(f"{file} could not be written: {reason}.") from error


def disk_error(error):
    """Returns what a disk did wrong, a str, or `None` if an exception has another cause.

    HDF5 and TensorFlow put the system's words into exceptions of their own.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in DISK_ERRORS else None
    words = (os.strerror(number) for number in _FULL)
    return next((word for word in words if word in str(error)), None)


def make_folder(path):
    """Makes a folder, or checks that one is there, in which files can be written.

    Raises:
        SmallBigError: if it cannot be made or written.
        ResourceError: if the disk is full.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0")
    except OSError as error:
        kind = ResourceError if error.errno in (*_FULL, errno.EIO) else SmallBigError
        raise kind(
            f"The output folder cannot be written: {error.strerror or error}. Received: {path}"
        ) from error
    return path


@contextlib.contextmanager
def folder_lock(path):
    """Keeps a folder to this process; the kernel releases the lock of a killed one.

    Raises:
        SmallBigError: if another process holds it.
    """
    lock = filelock.FileLock(pathlib.Path(path, _LOCK))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise SmallBigError(
            f"Another process is writing this folder. Choose another --output. Received: {path}"
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
