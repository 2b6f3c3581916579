"""Videos that are listed but not there."""

import os

from smallbig_keras.data.annotations.listing import Listing
from smallbig_keras.data.annotations.video import DatasetNotFoundError, shorten, warn
from smallbig_keras.errors import SmallBigError

POLICIES = ("raise", "skip")


def find_missing(videos):
    """Finds the videos whose file, or folder of frames, does not exist.

    Each folder is listed once; what a file or folder holds is not looked at.

    Args:
        videos: list of `Video`.

    Returns:
        list of `Video`, in the same order.
    """
    listing = Listing()
    return [video for video in videos if not _is_there(video.path, listing)]


def drop_missing(videos, policy="raise"):
    """Leaves out the videos that are not there, and says how many and which.

    Args:
        videos: list of `Video`.
        policy: str. `"raise"` stops at missing videos, `"skip"` warns of them with an
            `AnnotationWarning`. Either counts them and names the first ten. Defaults to
            `"raise"`.

    Returns:
        list of `Video`, in the same order: those that are there.

    Raises:
        DatasetNotFoundError: none is there, or the policy is `"raise"` and some are not.
        ValueError: `policy` is another word.
    """
    if policy not in POLICIES:
        raise SmallBigError(f"`policy` must be one of {POLICIES}. Received: policy={policy!r}")
    missing = find_missing(videos)
    if not missing:
        return list(videos)
    if len(missing) == len(videos):
        path = os.path.abspath(missing[0].path)
        raise DatasetNotFoundError(
            f"None of the {len(videos)} listed videos is there. The first is expected at {path!r}. "
            f"Received: {_what_is_there(os.path.dirname(path))}"
        )
    names = shorten([repr(video.path) for video in missing])
    message = f"{len(missing)} of {len(videos)} listed videos are missing"
    if policy == "raise":
        raise DatasetNotFoundError(
            f"Every listed video must be there, or missing ones be skipped. "
            f"Received: {message}: {names}"
        )
    warn(f"{message} and left out: {names}")
    gone = set(missing)
    return [video for video in videos if video not in gone]


def _is_there(path, listing):
    folder, name = os.path.split(path.rstrip(os.sep))
    found = listing.find(folder or os.curdir, name)
    # Another case or another form of the accents: the file system knows whether that matters.
    return found is not None and (found == name or os.path.lexists(path))


def _what_is_there(folder):
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        names = [repr(name) for name in sorted(os.listdir(folder))]
    except OSError as error:
        return f"{folder!r}: {error.strerror}"
    return f"{folder!r} holds {shorten(names) or 'nothing'}"
