"""The files of a folder of shards."""

import json
import os

import tensorflow as tf

from smallbig_keras.data.frame_folders import graph_reason
from smallbig_keras.data.shards.remote import ensure_scheme
from smallbig_keras.errors import NotFoundError, ResourceError, SmallBigError

MANIFEST = "shards.json"
_KEYS = {"options", "class_names", "splits", "videos"}


def join(folder, name):
    """Returns the path of a file of a folder.

    Args:
        folder: str or path. Local, or the beginning of a URL.
        name: str.

    Returns:
        str.
    """
    return f"{os.fspath(folder).rstrip('/')}/{name}"


def read_manifest(folder):
    """Reads what a folder of shards holds.

    Args:
        folder: str or path. Local, or the beginning of a URL.

    Returns:
        dict, see `docs/preparation.md`.

    Raises:
        FileNotFoundError: there is no manifest.
        OSError: it cannot be read.
        ValueError: it is none.
        ImportError: the URL needs tensorflow-io, see `ensure_scheme`.
    """
    ensure_scheme(folder)
    path = join(folder, MANIFEST)
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = file.read()
    except tf.errors.NotFoundError:
        raise NotFoundError(
            f"A finished folder of shards holds a file {MANIFEST}. Received: {folder}"
        ) from None
    except tf.errors.OpError as error:
        raise ResourceError(
            f"A manifest must be readable. Received: {path}: {graph_reason(error)}"
        ) from None
    try:
        manifest = json.loads(content)
        if not _KEYS <= set(manifest):
            raise SmallBigError(f"no {', '.join(sorted(_KEYS - set(manifest)))}")
    except (ValueError, TypeError) as error:
        raise SmallBigError(
            f"A manifest must be a whole JSON file. Received: {path}: {error}"
        ) from None
    return manifest
