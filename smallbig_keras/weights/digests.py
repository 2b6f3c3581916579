"""Files of publishers, whose digest may be known in part, doubtful, or not at all.

A file without a digest is checked by its content when it is downloaded, and its SHA-256 is kept
beside it, `NAME.sha256` as `sha256sum` writes it. From then on, or where somebody put such a note
there before, no other file of that name is taken.
"""

from smallbig_keras import files
from smallbig_keras.errors import SmallBigError, warn_caller
from smallbig_keras.weights import fetching
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.layouts import find_layout
from smallbig_keras.weights.state_dicts import read_state_dict


def check_file(path, record):
    """Checks a file that is there by all that is known of its digest.

    Args:
        path: pathlib.Path. The file.
        record: WeightsRecord.

    Raises:
        WeightsError: it is another file than the record's, or than the one seen before.
    """
    known = _known(path, record)
    if known is not None:
        fetching.check_sha256(path, known)
        return
    _check_content(path, record)
    if record.sha256:
        _compare(files.sha256(path), path, record)


def fetch_file(url, path, record):
    """Downloads a file unless it is there; returns its path. Arguments and errors as above."""
    known = _known(path, record)
    if known is None:
        fetching.fetch(url, path, check=lambda file: _keep_first(file, path, record))
    else:
        fetching.fetch(url, path, known)
    return path


def _note(path):
    return path.with_name(f"{path.name}.sha256")


def _known(path, record):
    """Returns the digest that a file must have, or `None`."""
    if record.sha256_is_certain and (record.sha256 or not record.publisher):
        return record.sha256
    try:
        return next(iter(_note(path).read_text(encoding="utf-8").split()), "")
    except FileNotFoundError:
        return None


def _compare(digest, path, record):
    if not digest.startswith(record.sha256):
        warn_caller(
            f"{path} has the SHA-256 {digest}, and {record.publisher} prints {record.sha256} for "
            f"it, which it also prints for another file. Names and shapes of its tensors decide."
        )


def _keep_first(file, path, record):
    """Checks the content of the first download, and keeps its digest."""
    _check_content(file, record)
    digest = files.sha256(file)
    if _known(path, record) == digest:
        return
    files.replace_file(
        _note(path), lambda file: file.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    )
    if record.sha256:
        _compare(digest, path, record)
    fetching.say(
        f"{record.publisher} prints no SHA-256 to rely on for {path.name}. This download "
        f"has {digest}: it is kept in {_note(path)} and demanded from now on. Compare it with "
        "another copy, and report it, so that the record can have it."
    )


def _check_content(path, record):
    """Refuses a file that is no checkpoint of the record's number of classes."""
    try:
        state = read_state_dict(path)
    except SmallBigError as error:
        raise WeightsError(str(error)) from error
    layout = find_layout(state)
    kernel = state.get(f"{layout.classifier}.weight") if layout else None
    if kernel is None or kernel.shape[0] != record.classes:
        found = f"{kernel.shape[0]} classes" if kernel is not None else "no known classifier"
        raise WeightsError(
            f"{record.name} must be a checkpoint of {record.classes} classes. "
            f"Received: {path}, with {found}"
        )
