"""Types of the arguments of the benchmarks: a bad value is told before anything is measured."""

import argparse
import shutil

from smallbig_keras.errors import SmallBigError
from smallbig_keras.files import check_writable


def count(text):
    """Returns a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1. Received: {text}")
    return int(text)


def model(text):
    """Returns the name of a network."""
    from smallbig_keras.models import get_model_function

    return _checked(get_model_function, text)


def add_output(parser):
    """Adds the path that `reports.write` takes."""
    note = "also write PATH.json, PATH.md and PATH.png"
    parser.add_argument("--output", type=output, metavar="PATH", help=note)


def output(text):
    """Returns the path of a file that can be written; its folder need not be there."""
    return _checked(check_writable, text)


def program(text):
    """Returns a program that can be run."""
    if shutil.which(text) is None:
        raise argparse.ArgumentTypeError(f"must be a program. Received: {text}")
    return text


def _checked(check, text):
    """Returns the text; argparse tells the error of a check."""
    try:
        check(text)
    except SmallBigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
