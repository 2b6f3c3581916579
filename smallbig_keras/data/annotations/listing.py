"""Files that are there, and listed videos that are not.

Each folder is listed once: to ask for each of 240,000 files takes minutes.
"""

import os
import unicodedata

from smallbig_keras.data.annotations.video import (
    DatasetNotFoundError,
    check_template,
    frame_numbers,
    shorten,
    warn,
)
from smallbig_keras.errors import SmallBigError, did_you_mean

VIDEO_SUFFIXES = (
    *(".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts"),
    *(".mts", ".m2ts", ".vob", ".3gp", ".3g2", ".f4v", ".mxf", ".ogv", ".gif"),
)
# Something-Something V1; TSM; TSN, mmaction2 and the SmallBigNet authors' scripts; their defaults.
FRAME_TEMPLATES = (
    *("{:05d}.jpg", "{:06d}.jpg", "img_{:05d}.jpg", "image_{:06d}.jpg", "image_{:05d}.jpg"),
    *("frame_{:06d}.jpg", "frame_{:05d}.jpg", "{:04d}.jpg"),
)
# Any large dataset has a few empty folders, but not this many in a row.
_PROBES = 10
_POLICIES = ("raise", "skip")


def is_video(name):
    """Tells from the ending of a file name if it is a video."""
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


class Listing:
    """Names in folders; each folder is read once."""

    def __init__(self):
        self._names = {}
        self._folded = {}

    def names(self, folder):
        """Returns the set of names in a folder, empty where no folder can be read."""
        folder = os.fspath(folder)
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder))
            except (OSError, ValueError):
                self._names[folder] = set()
        return self._names[folder]

    def find(self, folder, name):
        """Finds a name, else one that differs only in case or in the form of its accents."""
        names = self.names(folder)
        if name in names or not names:
            return name if names else None
        folder = os.fspath(folder)
        if folder not in self._folded:
            self._folded[folder] = {_fold(other): other for other in sorted(names)}
        return self._folded[folder].get(_fold(name))

    def find_video(self, folder, name):
        """Finds a video file, else one that differs only in case or in its ending."""
        stem = os.path.splitext(name)[0]
        others = (stem + suffix for suffix in VIDEO_SUFFIXES)
        found = (self.find(folder, other) for other in (name, *others))
        return next((other for other in found if other), None)

    def find_template(self, folders, template=None):
        """Returns how frames are named in the first ten folders; checks a given template."""
        templates = FRAME_TEMPLATES if template is None else (check_template(template),)
        seen = []
        for folder in folders:
            names = self.names(folder)
            # Beyond the digits of a template, the names of several look alike: most names tell.
            counts = {t: len(frame_numbers(names, t)) for t in templates}
            found = max(counts, key=counts.get)
            if counts[found]:
                return found
            seen.append(f"{folder!r} holds {sorted(names)[:3]!r}")
            if len(seen) == _PROBES:
                break
        if seen:
            allowed = " or ".join(repr(t.format(1)) for t in templates)
            raise SmallBigError(
                f"Frames must be named like {allowed}; image_template tells another name. "
                f"Received: {seen[0]}"
            )
        return template


def find_missing(videos):
    """Finds the videos whose file, or folder of frames, does not exist.

    Each folder is listed once. Files and folders of frames are not opened.

    Args:
        videos: list of `Video`.

    Returns:
        list of `Video`, in the same order.
    """
    listing = Listing()
    return [video for video in videos if not _is_there(video.path, listing)]


def drop_missing(videos, policy="raise"):
    """Leaves out the videos that are not there, counts them and names the first ten.

    Args:
        videos: list of `Video`.
        policy: str. `"raise"` stops at missing videos, `"skip"` warns of them with an
            `AnnotationWarning`. Defaults to `"raise"`.

    Returns:
        list of `Video` that are there, in the same order.

    Raises:
        DatasetNotFoundError: none is there, or the policy is `"raise"` and some are not.
        SmallBigError: `policy` is another word.
    """
    if policy not in _POLICIES:
        raise SmallBigError(
            f"`policy` must be one of {_POLICIES}.{did_you_mean(policy, _POLICIES)} "
            f"Received: policy={policy!r}"
        )
    missing = find_missing(videos)
    if not missing:
        return list(videos)
    if len(missing) == len(videos):
        path = os.path.abspath(missing[0].path)
        raise DatasetNotFoundError(
            f"None of the {len(videos)} listed videos is there. The first is expected at {path!r}. "
            f"Received: {_describe_nearest(os.path.dirname(path))}"
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
    folder, name = os.path.split(path.rstrip(os.sep + (os.altsep or "")))
    found = listing.find(folder or os.curdir, name)
    # Another case or another form of the accents: the file system knows if that matters.
    return found is not None and (found == name or os.path.lexists(path))


def _describe_nearest(folder):
    """Describes the content of a folder, else of the nearest one above it."""
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        names = [repr(name) for name in sorted(os.listdir(folder))]
    except OSError as error:
        return f"{folder!r}: {error.strerror}"
    return f"{folder!r} holds {shorten(names) or 'nothing'}"


def _fold(name):
    return unicodedata.normalize("NFC", name).casefold()
