"""What the scripts share."""

import argparse
import functools
import json
import os
import re
import sys
import warnings

# Messages about what the user gave end in one of these, by the rule of this package.
_READABLE = ("Received: ", "pip install")
# What shells report of a process that Ctrl-C ended.
_INTERRUPTED = 130
_IN_GRAPH = re.compile(r"BadVideoError: (.*?)(?=\nTraceback|\n\n\t|\Z)", re.DOTALL)


def readable_errors(main):
    """Makes a script's `main` end with the message of an error in its input, no traceback.

    Errors of other kinds, which are faults of the program, keep their traceback. Warnings are
    lines, and an interruption from the keyboard ends the process at once.

    Args:
        main: function.

    Returns:
        function that raises `SystemExit` with the message.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        warnings.formatwarning = _one_line
        try:
            return main(*args, **kwargs)
        except KeyboardInterrupt:
            print("\nstopped; what is done is kept", file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            # Threads that decode would abort a process that ends in any other way.
            os._exit(_INTERRUPTED)
        except (OSError, ImportError, TypeError, ValueError) as error:
            if not any(sign in str(error) for sign in _READABLE):
                raise
            raise SystemExit(f"error: {error}") from error
        except Exception as error:
            # TensorFlow reports an error of the loader in words of its own around ours.
            message = _IN_GRAPH.search(str(error))
            if message is None:
                raise
            raise SystemExit(f"error: {message[1]}") from error

    return wrapped


def _one_line(message, *_, **__):
    return f"warning: {message}\n"


def make_parser(documentation):
    """Makes the parser of a script.

    Args:
        documentation: str. The script's own, printed as it is written.

    Returns:
        `argparse.ArgumentParser` that takes no abbreviated flags.
    """
    return argparse.ArgumentParser(
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def json_object(text):
    """Reads the value of a flag that takes a JSON object.

    Args:
        text: str. What the command line holds.

    Returns:
        dict.

    Raises:
        argparse.ArgumentTypeError: if it is not a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be JSON ({error}). Received: {text}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON object. Received: {text}")
    return value
