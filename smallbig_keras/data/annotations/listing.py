"""Which files there are, by a listing a folder: asking for each of 240,000 files takes minutes."""

import os
import unicodedata

from smallbig_keras.data.annotations.video import check_template
from smallbig_keras.errors import SmallBigError

VIDEO_SUFFIXES = (
    *(".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts"),
    *(".3gp", ".ogv", ".gif"),
)
# Something-Something V1; TSM; TSN, mmaction2 and the SmallBigNet authors' scripts; their defaults.
FRAME_TEMPLATES = (
    *("{:05d}.jpg", "{:06d}.jpg", "img_{:05d}.jpg", "image_{:06d}.jpg", "image_{:05d}.jpg"),
    *("frame_{:06d}.jpg", "frame_{:05d}.jpg", "{:04d}.jpg"),
)
# Folders that are empty by an accident are among any large set; all of so many are not.
_PROBES = 10


def is_video(name):
    """Whether a file name has the ending of a video.

    Args:
        name: str.

    Returns:
        bool.
    """
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


class Listing:
    """Names in folders; a folder is read once."""

    def __init__(self):
        self._names = {}
        self._folded = {}

    def names(self, folder):
        """Returns the names in a folder.

        Args:
            folder: str or path.

        Returns:
            set of str, empty where no folder can be read.
        """
        folder = os.fspath(folder)
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder))
            except (OSError, ValueError):
                self._names[folder] = set()
        return self._names[folder]

    def find(self, folder, name):
        """Finds a name, else one that differs in case or in the form of its accents only.

        Args:
            folder: str or path.
            name: str.

        Returns:
            str or None. The name as it is in the folder.
        """
        names = self.names(folder)
        if name in names or not names:
            return name if names else None
        folder = os.fspath(folder)
        if folder not in self._folded:
            self._folded[folder] = {_fold(other): other for other in sorted(names)}
        return self._folded[folder].get(_fold(name))

    def find_video(self, folder, name):
        """Finds a video file, else one that differs in case or in the ending only.

        Args:
            folder: str or path.
            name: str. Name with its ending.

        Returns:
            str or None. The name as it is in the folder.
        """
        stem = os.path.splitext(name)[0]
        others = (stem + suffix for suffix in VIDEO_SUFFIXES)
        found = (self.find(folder, other) for other in (name, *others))
        return next((other for other in found if other), None)

    def find_template(self, folders, template=None):
        """Checks, or finds, how frames are named, in the first ten folders.

        Args:
            folders: iterable of str. Folders of frames.
            template: str. A `str.format` template of the number. Defaults to `None`, which looks
                for the usual ones.

        Returns:
            str: the template; None if none was given and there are no folders.

        Raises:
            ValueError: no folder has a first frame of that name, or of a usual one.
        """
        templates = FRAME_TEMPLATES if template is None else (check_template(template),)
        seen = []
        for folder in folders:
            names = self.names(folder)
            found = next((t for t in templates if t.format(1) in names), None)
            if found:
                return found
            seen.append(f"{folder!r} holds {sorted(names)[:3]!r}")
            if len(seen) == _PROBES:
                break
        if seen:
            allowed = " or ".join(repr(t.format(1)) for t in templates)
            raise SmallBigError(
                f"The first frame of a folder must be named {allowed}; image_template tells "
                f"another name. Received: {seen[0]}"
            )
        return template


def _fold(name):
    return unicodedata.normalize("NFC", name).casefold()
