"""The policy for videos that cannot be read."""

import threading

from smallbig_keras.data.annotations.video import warn
from smallbig_keras.data.video_file import BadVideoError
from smallbig_keras.errors import SmallBigError, did_you_mean

_POLICIES = ("replace", "skip", "raise")


class UnreadableVideos:
    """A policy for videos that cannot be read, and the list of those that were met.

    May be used from many threads.

    Args:
        policy: str. `"replace"` takes another video (training only), `"skip"` leaves the clip
            out, `"raise"` stops. Defaults to `"raise"`.
        limit: int. Different unreadable files that are tolerated; one more stops. Defaults to
            `None`, any number.
        hint: str. A line that the error of `"raise"` adds. Defaults to `None`.
        warns: bool. True to warn of each file once, with an `AnnotationWarning`. Defaults to
            `False`.

    Raises:
        SmallBigError: `policy` is another word or `limit` is negative.
    """

    def __init__(self, policy="raise", limit=None, hint=None, warns=False):
        if policy not in _POLICIES:
            raise SmallBigError(
                f"`policy` must be one of {_POLICIES}.{did_you_mean(policy, _POLICIES)} "
                f"Received: policy={policy!r}"
            )
        if limit is not None and limit < 0:
            raise SmallBigError(f"`limit` must be at least 0 or None. Received: limit={limit}")
        self.policy = policy
        self.limit = limit
        self.hint = hint
        self.warns = warns
        self._lock = threading.Lock()
        self._clips = {}

    def add(self, path, reason):
        """Notes a clip that cannot be read, and stops if the policy or the limit says so.

        Args:
            path: str. The file.
            reason: str. The error message.

        Raises:
            BadVideoError: the policy is `"raise"`, or more than `limit` files are unreadable.
        """
        with self._lock:
            _, count = self._clips.get(path, (reason, 0))
            self._clips[path] = reason, count + 1
            files = len(self._clips)
        if self.policy == "raise":
            raise BadVideoError(f"{reason}\n{self.hint}" if self.hint else reason)
        self.check_limit(files)
        if self.warns and not count:
            done = "replaced by another" if self.policy == "replace" else "left out"
            warn(
                f"A video that cannot be read is {done}. unreadable=UnreadableVideos("
                f"{self.policy!r}) lists all of them. Received: {path!r}: {reason}"
            )

    def check_limit(self, files=None):
        """Stops with `BadVideoError` if more than `limit` files are unreadable."""
        files = self.num_files if files is None else files
        if self.limit is not None and files > self.limit:
            raise BadVideoError(
                f"At most {self.limit} unreadable videos are allowed. "
                f"Received: {files}:\n{self.summary()}"
            )

    @property
    def num_files(self):
        """int. Different unreadable files."""
        with self._lock:
            return len(self._clips)

    @property
    def num_clips(self):
        """int. Clips that were replaced or left out; a file counts every time it was met."""
        with self._lock:
            return sum(count for _, count in self._clips.values())

    def reasons(self):
        """Returns a dict of str, the reason by path."""
        with self._lock:
            return {path: reason for path, (reason, _) in self._clips.items()}

    def report(self):
        """Returns a list of str, one a file: path, how often it was met, and the reason."""
        with self._lock:
            clips = sorted(self._clips.items())
        return [f"{path!r} ({count}x): {reason}" for path, (reason, count) in clips]

    def summary(self):
        """Returns the first line of the report and counts the others, a str for errors."""
        first, *others = self.report()
        more = f"\nand {len(others)} more. Find all: smallbig prepare index, for shards check."
        return first + (more if others else "")
