"""Types of the arguments of the benchmarks: a bad value is told before anything is measured."""

import argparse
import pathlib
import shutil

from smallbig_keras.errors import SmallBigError


def count(text):
    """Returns a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1. Received: {text}")
    return int(text)


def model(text):
    """Returns the name of a network."""
    from smallbig_keras.models import get_model_function

    try:
        get_model_function(text)
    except SmallBigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def output(text):
    """Returns the path of a file whose folder is there."""
    if not pathlib.Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be in a folder that is there. Received: {text}")
    return text


def program(text):
    """Returns a program that can be run."""
    if shutil.which(text) is None:
        raise argparse.ArgumentTypeError(f"must be a program. Received: {text}")
    return text
