"""Errors in what a user gave, and the messages that they share."""

import difflib
import importlib
import sys
import warnings


class SmallBigError(ValueError):
    """A value, file or folder that the user gave cannot be used.

    Commands print it without a traceback and end with `exit_code`. Any other exception is a fault
    of this package and keeps its traceback.
    """

    exit_code = 2


class OptionError(SmallBigError, TypeError):
    """An option that does not exist, or has no effect here."""


class NotFoundError(SmallBigError, FileNotFoundError):
    """A file or folder that the user named is not there."""


class AlreadyThereError(SmallBigError, FileExistsError):
    """A file or folder would be overwritten."""


class MissingPackageError(SmallBigError, ImportError):
    """An optional package is not installed, or of a version that does not work here."""


class ResourceError(SmallBigError, OSError):
    """A disk, a network or a server failed; what the user gave may be right."""

    exit_code = 1


class NotFiniteError(SmallBigError, ArithmeticError):
    """A training has met a loss that is infinite or no number."""

    exit_code = 1


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM, and has kept what it had done."""


def did_you_mean(word, allowed):
    """Returns the sentence that offers the nearest of the allowed words, or an empty string."""

    def fold(name):
        # Case and dashes are what people get wrong most often.
        return str(name).casefold().replace("-", "_").strip("_")

    folded = {fold(name): name for name in allowed}
    close = difflib.get_close_matches(fold(word), folded, 1, 0.6)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def warn_caller(message):
    """Warns with a `UserWarning` at the line outside this package that led here."""
    package = __name__.partition(".")[0]
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def optional_import(module, extra):
    """Imports a module of an extra, or raises `MissingPackageError` with the command to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f'This needs a package of the extra {extra!r}: pip install "smallbig-keras[{extra}]". '
            f"Received: {error}"
        ) from error
