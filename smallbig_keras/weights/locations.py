"""Files of weights that a path or an address names."""

import hashlib
import os
import pathlib
import re
import urllib.parse
from typing import NamedTuple

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.weights import fetching
from smallbig_keras.weights.description import (
    FILE as DESCRIPTION,
    WEIGHTS,
    Description,
    is_classifier,
    read_description,
)
from smallbig_keras.weights.fetching import WeightsError, WeightsNotFoundError
from smallbig_keras.weights.keras_files import KERAS_SUFFIXES
from smallbig_keras.weights.records import read_record
from smallbig_keras.weights.state_dicts import SUFFIXES

HUB_VARIABLE = "HF_ENDPOINT"
_HUB = "https://huggingface.co"
FILES = (*KERAS_SUFFIXES, ".npz", *SUFFIXES)
_ARTIFACTS = (".tflite", ".onnx")
# Files that publishers name by the beginning of their SHA-256, as torchvision does.
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.\w+")


class Found(NamedTuple):
    """A file of weights on this machine, verified, and their description, if there is one."""

    path: pathlib.Path
    description: Description | None


def local_source(source):
    """Returns a name or path as it is, and of a URL the path that it was downloaded to."""
    if isinstance(source, str) and "://" in source:
        return _fetch_url(source)
    return source


def is_bare(source):
    """Tells whether a source is one word: `./WORD` and a `pathlib.Path` are always paths."""
    return isinstance(source, str) and not {"/", os.sep} & set(source)


def find_path(path):
    """Finds the weights of a path and their description."""
    if not path.exists():
        raise WeightsNotFoundError(
            "Weights must be a file that is there, a run or a saved classifier."
            f"{_nearest(path)}Received: {path}, which is not there"
        )
    if path.is_dir():
        if not is_classifier(path):
            raise SmallBigError(
                f"A folder of weights is a run or a saved classifier, with {DESCRIPTION}. "
                f"Received: {path}, which has none"
            )
        description, file = read_description(path), runs.find_checkpoint(path)
        if description.sha256:
            fetching.check_sha256(file, description.sha256)
        return Found(file, description)
    if path.suffix in _ARTIFACTS:
        raise WeightsError(
            "An artifact has no weights of a Keras model: take the run that it was exported from. "
            f"Received: {path}"
        )
    if path.name in runs.CHECKPOINTS and is_classifier(path.parent):
        return Found(path, read_description(path.parent))
    notes = path.with_name(f"{path.name.removesuffix('.weights.h5')}.json")
    if path.name.endswith(".weights.h5") and notes.is_file():
        record = read_record(notes)
        fetching.check_sha256(path, record.sha256)
        return Found(path, record.description)
    return Found(path, None)


def _fetch_url(url):
    """Downloads a file, or the folder of a classifier, into the cache; returns its path."""
    if url.startswith("hf://"):
        name = url.removeprefix("hf://").strip("/")
        if len(name.split("/")) != 2:
            raise SmallBigError(
                f"A classifier on the Hugging Face Hub is hf://owner/name. Received: {url}"
            )
        url = f"{os.environ.get(HUB_VARIABLE) or _HUB}/{name}/resolve/main"
    url = url.rstrip("/")
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    folder = fetching.cache_folder() / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if name.endswith((*FILES, *_ARTIFACTS)):
        digits = _DIGITS.search(name)
        return fetching.fetch(url, folder / name, digits and digits[1])
    _fetch_json(f"{url}/{DESCRIPTION}", folder / DESCRIPTION)
    description = read_description(folder)
    fetching.fetch(f"{url}/{WEIGHTS}", folder / WEIGHTS, description.sha256)
    return folder


def _fetch_json(url, file):
    """Downloads a small file anew; without a network, the one from before is taken."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        fetching.fetch(url, fresh)
        os.replace(fresh, file)
    except fetching.DownloadError:
        if not file.is_file():
            raise


def _nearest(path):
    """Offers the nearest name beside a path that is not there."""
    names = os.listdir(path.parent) if path.parent.is_dir() else []
    return f"{did_you_mean(path.name, names)} "
