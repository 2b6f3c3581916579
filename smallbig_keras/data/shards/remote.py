"""Paths on other machines, as far as TensorFlow can read them."""

import atexit
import ctypes
import importlib.metadata
import platform
import warnings

import tensorflow as tf

from smallbig_keras.errors import MissingPackageError, SmallBigError
from smallbig_keras.files import scheme

# What tensorflow-io adds; Google's buckets are TensorFlow's own.
_ADDED = ("az", "har", "hdfs", "http", "https", "oss", "s3", "viewfs")


def ensure_scheme(url):
    """Makes sure that TensorFlow can read a path, loading tensorflow-io if that is needed.

    Args:
        url: str or path. `gs://`, `s3://`, `http://`, `https://`, `az://`, `hdfs://`, or a local
            path.

    Raises:
        ValueError: nothing reads paths that begin like this.
        ImportError: tensorflow-io is needed and not installed, or does not go with this
            TensorFlow; the message says what does.
    """
    name = scheme(str(url))
    if name in tf.io.gfile.get_registered_schemes():
        return
    if name not in _ADDED:
        allowed = ", ".join(f"{other}://" for other in ("gs", *_ADDED))
        raise SmallBigError(f"A path must be local or begin with {allowed}. Received: {url}")
    try:
        # A library that cannot be loaded is a mere warning there.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_io  # noqa: F401
    except ImportError:
        pass
    if name not in tf.io.gfile.get_registered_schemes():
        raise MissingPackageError(
            f"{name}:// needs tensorflow-io, whose last release goes with TensorFlow 2.16 and 2.17 "
            'and Python 3.10 to 3.12: pip install "smallbig-keras[io]" "tensorflow==2.17.*". '
            f"Received: {url} with TensorFlow {tf.__version__}, {_installed('tensorflow-io')}, "
            f"Python {platform.python_version()}"
        )
    atexit.register(_skip_destructors)


def _installed(package):
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {package}"


def _skip_destructors():
    """Ends the process before the destructors of the plugins, one of which aborts it.

    Whoever reads a bucket ends in "pure virtual method called" and code 134, all work done. This
    is for the end of Python: what it has to flush and to remove comes next, then `exit` in C is
    called with the true code and hands it to what was registered last, which is `_exit`.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "on_exit"):
        library.on_exit(ctypes.cast(library._exit, ctypes.c_void_p), None)
