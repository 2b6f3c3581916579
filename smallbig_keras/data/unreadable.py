"""What happens to videos that cannot be read."""

import threading

from smallbig_keras.data.decoding import BadVideoError
from smallbig_keras.errors import SmallBigError

POLICIES = ("replace", "skip", "raise")


class UnreadableVideos:
    """What happens to videos that cannot be read, and which they were.

    May be used from many threads.

    Args:
        policy: str. `"replace"` takes another video (training only), `"skip"` leaves the clip
            out, `"raise"` stops. Defaults to `"raise"`.
        limit: int. Different bad files that are tolerated; one more stops. Defaults to `None`,
            any number.
        hint: str. What the error of `"raise"` adds. Defaults to `None`.

    Raises:
        ValueError: `policy` is another word or `limit` is negative.
    """

    def __init__(self, policy="raise", limit=None, hint=None):
        if policy not in POLICIES:
            raise SmallBigError(f"`policy` must be one of {POLICIES}. Received: policy={policy!r}")
        if limit is not None and limit < 0:
            raise SmallBigError(f"`limit` must be at least 0 or None. Received: limit={limit}")
        self.policy = policy
        self.limit = limit
        self.hint = hint
        self._lock = threading.Lock()
        self._clips = {}

    def add(self, path, reason):
        """Records a bad clip, and stops if the policy or the limit says so.

        Args:
            path: str. The file.
            reason: str. What is wrong with it.

        Raises:
            BadVideoError: the policy is `"raise"` or more than `limit` files are bad.
        """
        with self._lock:
            _, count = self._clips.get(path, (reason, 0))
            self._clips[path] = reason, count + 1
            files = len(self._clips)
        if self.policy == "raise":
            raise BadVideoError(f"{reason}\n{self.hint}" if self.hint else reason)
        if self.limit is not None and files > self.limit:
            lines = "\n".join(self.report())
            raise BadVideoError(
                f"At most {self.limit} bad videos are allowed. Received: {files}:\n{lines}"
            )

    @property
    def num_files(self):
        """int. Different bad files."""
        with self._lock:
            return len(self._clips)

    @property
    def num_clips(self):
        """int. Clips that were replaced or left out; a file counts every time it was met."""
        with self._lock:
            return sum(count for _, count in self._clips.values())

    def report(self):
        """Returns a list of str, one a file: path, reason and how often it was met."""
        with self._lock:
            clips = sorted(self._clips.items())
        return [f"{path!r} ({count}x): {reason}" for path, (reason, count) in clips]
