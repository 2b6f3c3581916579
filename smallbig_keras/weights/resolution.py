"""From what `weights=` is given to a file on this machine."""

import contextlib
import os
import pathlib
import re

from smallbig_keras.errors import SmallBigError, did_you_mean
from smallbig_keras.weights import fetching
from smallbig_keras.weights.catalogue import (
    FOLDER_VARIABLE,
    IMAGENET,
    builtin_record,
    find_here,
    folders,
    list_weights,
    names_of,
    networks_of,
    only_model,
    stand_in,
)
from smallbig_keras.weights.digests import check_file, fetch_file
from smallbig_keras.weights.fetching import DownloadError, WeightsError, WeightsNotFoundError
from smallbig_keras.weights.locations import FILES, Found, find_path, is_bare, local_source
from smallbig_keras.weights.records import read_record, record_stem
from smallbig_keras.weights.state_dicts import convert

MIRROR_VARIABLE = "SMALLBIG_WEIGHTS_URL"
# Networks that start from ImageNet's weights.
_RESNET = re.compile(r"R\d+$")


def find_weights(weights, model=None, weights_dir=None):
    """Finds the file of a name, path or address, and downloads it if need be.

    The name of a record comes before a file or folder of that name; `./NAME` is always a path. A
    record is looked for in `weights_dir`, in the folder that the environment's
    `SMALLBIG_WEIGHTS` names, in the cache below `KERAS_HOME`, and at the mirror that
    `SMALLBIG_WEIGHTS_URL` names (http(s), file: or gs:) or the address in the record. `"k400"`
    and `"sthv2"` of a network for which none is found mean its best published trunk.

    Args:
        weights: str or path. Name of a record, a file, the folder of a run or of a saved
            classifier, `hf://owner/name`, or the URL of a file or of such a folder.
        model: str. Model function that the weights are for. Defaults to `None` for the one that
            the name means alone.
        weights_dir: str. Folder with published files. Defaults to `None`.

    Returns:
        `Found(path, description)`: the file, verified, and its Description, or `None`.

    Raises:
        NotFoundError: there is no such file, or none is published under that name.
        DownloadError: a download failed.
        WeightsError: a file is damaged.
        SmallBigError: `weights` is none of these; the message has the nearest name.
    """
    weights = local_source(weights)
    text, bare = os.fspath(weights), is_bare(weights)
    if text == IMAGENET and bare:
        if model is None:
            raise SmallBigError(
                "Weights of ImageNet classify pictures: name the network that starts from them. "
                f"Received: {text!r} without a model"
            )
        return Found(_find_imagenet(model, weights_dir), None)
    if bare and text in {row["name"] for row in list_weights(weights_dir)}:
        return _find_named(text, model or only_model(text, weights_dir), weights_dir)
    path = pathlib.Path(text)
    if path.exists() or not bare or text.endswith(FILES):
        return find_path(path)
    return _fetch_named(text, model, weights_dir)


def is_name(source, weights_dir=None):
    """Tells whether a source is the name of a record, which comes before a path of that name."""
    names = (row["name"] for row in list_weights(weights_dir))
    return is_bare(source) and source in (IMAGENET, *names)


def _find_named(name, model, weights_dir):
    """Finds weights of a name, or those of the trunk that stands for them."""
    trunk = stand_in(name, model)
    try:
        return _find_here(name, model, weights_dir) or _fetch_named(name, model, weights_dir)
    except WeightsNotFoundError:
        if trunk is None:
            raise
    except DownloadError:
        # Without a network the trunk of an earlier download does.
        found = trunk and _find_here(trunk.name, model, weights_dir)
        if not found:
            raise
        return found
    try:
        return _find_named(trunk.name, model, weights_dir)
    except (WeightsError, WeightsNotFoundError) as error:
        raise type(error)(
            f"There is no trained {model} of the name {name!r}, and the weights that stand for it, "
            f"{trunk.name}, cannot be had. {error}"
        ) from error


def _find_here(name, model, weights_dir):
    """Finds weights in the folders, by the record beside them or by ours, else returns `None`."""
    known = builtin_record(name, model)
    for folder in folders(weights_dir):
        note = folder / f"{record_stem(model, name)}.json"
        record = read_record(note) if note.is_file() else known
        if record and record.file and (path := find_here(record, folder)):
            try:
                check_file(path, record)
            except WeightsError:
                if folder != fetching.cache_folder():
                    raise
                # It is downloaded again.
                return None
            return Found(path, record.description)
    return None


def _fetch_named(name, model, weights_dir):
    """Downloads weights of a name from the mirror, or from the address in the record."""
    known = builtin_record(name, model)
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    asked = f"{MIRROR_VARIABLE} is not set"
    if mirror and model:
        try:
            with _hint_for_offline(known):
                return _from_mirror(mirror, name, model, known)
        except WeightsNotFoundError as error:
            if known and known.file:
                raise
            asked = str(error)
    if known is None or known.url is None:
        missing = _unknown if known is None else _unpublished
        raise WeightsNotFoundError(missing(name, model, weights_dir, asked))
    with _hint_for_offline(known):
        return _fetch(known.url, known)


def _unknown(name, model, weights_dir, asked):
    """Returns the message for a name that no weights of a network have."""
    names = _names_for(model, weights_dir)
    others = networks_of(name, weights_dir) - {model}
    hint = f" {name!r} is of {', '.join(sorted(others))}." if others else did_you_mean(name, names)
    of = f" of {model}" if model else ""
    known = f"a path, a URL, or one of {', '.join(names)}" if names else "a path or a URL"
    return f"Weights{of} must be {known}.{hint} Received: {name}, which is not there ({asked})"


def _unpublished(name, model, weights_dir, asked):
    """Returns the message for a name that is kept for weights which nobody has published."""
    looked = ", ".join(str(folder) for folder in folders(weights_dir))
    starts = [other for other in _names_for(model, weights_dir) if other != name]
    return (
        f"No {name!r} weights of {model} are published. Received: weights={name!r}, and no "
        f"{record_stem(model, name)}.json in {looked}; {asked}\n"
        f"Train them (smallbig fit, smallbig publish RUN --name {name} --out DIR) and set "
        f"{FOLDER_VARIABLE}=DIR.\n"
        f"Or start from {', '.join(starts)}, a checkpoint of the authors' code, FILE.pth, or "
        "random weights: weights=None, --weights none."
    )


def _names_for(model, weights_dir):
    """Returns the names of weights that can be had for a network, or for any, sorted."""
    imagenet = {IMAGENET} if model is None or _RESNET.search(model) else set()
    return sorted(names_of(model, weights_dir) | imagenet)


def _from_mirror(mirror, name, model, known):
    """Downloads a record and its file from a mirror, or a publisher's file without a record."""
    note = f"{record_stem(model, name)}.json"
    try:
        record = _fetch_record(f"{mirror}/{note}", fetching.cache_folder() / note)
    except WeightsNotFoundError:
        if known is None or not known.file:
            raise
        record = known
    name = pathlib.PurePath(record.file).name
    if name != record.file:
        with contextlib.suppress(WeightsNotFoundError):
            return _fetch(f"{mirror}/{record.file}", record)
    return _fetch(f"{mirror}/{name}", record)


def _fetch(url, record):
    """Downloads the file of a record into the cache."""
    path = fetch_file(url, fetching.cache_folder() / record.file, record)
    return Found(path, record.description)


@contextlib.contextmanager
def _hint_for_offline(record):
    """Adds to an error how a publisher's file gets here without a network."""
    try:
        yield
    except (WeightsError, WeightsNotFoundError) as error:
        if record is None or not record.publisher:
            raise
        start = record.name == IMAGENET
        raise type(error)(
            f"{error}\nWithout a network: put {record.file} into a folder and set "
            f"{FOLDER_VARIABLE} to it"
            + ", or start from random weights: weights=None, --weights none."
            * start
        ) from error


def _fetch_record(url, file):
    """Downloads a record; one that is there without its file may be an old one."""
    new = file.with_suffix(".new")
    # Others read the old one meanwhile.
    with fetching.locked(file.with_suffix("")):
        new.unlink(missing_ok=True)
        fetching.fetch(url, new)
        try:
            record = read_record(new)
            if not record.file:
                raise SmallBigError(f"A published record must name its file. Received: {new}")
        except SmallBigError as error:
            # A proxy's page of HTML, for one, must not stay in the cache.
            new.unlink(missing_ok=True)
            raise WeightsError(f"{error}, from {url}") from error
        os.replace(new, file)
        return record


def _find_imagenet(model, weights_dir):
    """Finds the file of torchvision's ResNet, converted; the download is not kept beside it."""
    depth = "C2DR101" if "R101" in model else "C2DR50"
    record = builtin_record(IMAGENET, depth)
    for folder in folders(weights_dir):
        for path in (folder / f"{record.stem}.npz", folder / record.file):
            if path.is_file():
                if path.suffix == ".pth":
                    fetching.check_sha256(path, record.sha256)
                return path
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    url = f"{mirror}/{record.file}" if mirror else record.url
    target = fetching.cache_folder() / f"{record.stem}.npz"
    # Not the name above: another process would take the file while this one removes it.
    download = target.with_suffix(".pth")
    with fetching.locked(target):
        if not target.is_file():
            with _hint_for_offline(record):
                fetching.fetch(url, download, record.sha256)
            convert(download, target)
        download.unlink(missing_ok=True)
    return target
