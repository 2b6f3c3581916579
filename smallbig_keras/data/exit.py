"""The end of a process whose loaders still read ahead.

Python keeps its lock from the threads of others when it ends, and TensorFlow waits for such
threads: a process whose loader reads at that moment would wait for ever.
"""

import atexit
import threading
import time

# Seconds without a read after which the loaders are still, and most that are waited for it.
_STILL, _MOST = 0.05, 10


class _Reads:
    """Counts the reads in progress, as a context; none begins once the process ends."""

    def __init__(self):
        self._lock = threading.Lock()
        self._number = 0
        self._ending = False

    def __enter__(self):
        if self._ending:
            # The one exception that TensorFlow does not print.
            raise StopIteration
        with self._lock:
            self._number += 1

    def __exit__(self, *_):
        with self._lock:
            self._number -= 1

    def wait(self):
        """Lets no read begin, and waits for those that have begun."""
        self._ending = True
        still, end = 0.0, time.monotonic() + _MOST
        while still < _STILL and time.monotonic() < end:
            time.sleep(_STILL / 5)
            still = 0.0 if self._number else still + _STILL / 5


reads = _Reads()
atexit.register(reads.wait)
