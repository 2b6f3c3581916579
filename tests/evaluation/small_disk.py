"""A disk that is full."""

import contextlib
import resource


@contextlib.contextmanager
def small_disk(size):
    """No file of the process can grow beyond `size` bytes."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
