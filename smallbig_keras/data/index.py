"""What is known of every video of a dataset, in a file of one JSON line a video.

A path is relative to the folder of the index where it is below it, so that a dataset moves
together with its index.
"""

import json
import os
from dataclasses import asdict
from multiprocessing.pool import ThreadPool
from pathlib import Path

from smallbig_keras.data.decoding import BadVideoError
from smallbig_keras.data.frame_folders import count_frames, read_frame_folder
from smallbig_keras.data.probing import VideoInfo, probe_video
from smallbig_keras.errors import NotFoundError, SmallBigError
from smallbig_keras.files import replace_file
from smallbig_keras.machine import num_processors

_KEYS = ("path", "bytes", "mtime", "num_frames", "width", "height", "exact_seek", "error")
_BEGIN = b'{"path": '


def make_index(videos, path, workers=None, progress=None):
    """Decodes every video once and notes what it found.

    The line of a video is written when it is done, so that a process that was killed is
    continued by calling it again. Then only videos are decoded that are not in the index, or
    whose file has another size or time by now. Lines of other videos are kept.

    Args:
        videos: list of `Video`, files or folders of frames.
        path: str or path. The index to make or to continue.
        workers: int. Videos decoded at once. Defaults to `None`, one a processor.
        progress: callable. It is given how many videos are done, and of how many that had to be
            decoded. Defaults to `None`.

    Returns:
        dict of `VideoInfo` by absolute path, one for each of `videos`. What cannot be read has
        an `error`; none is raised.

    Raises:
        ValueError: `path` is a file that is no index.
        OSError: the index cannot be written.
    """
    path = Path(path).absolute()
    videos = {os.path.abspath(video.path): video for video in videos}
    try:
        file = path.open("ab")
    except OSError as error:
        raise type(error)(
            f"An index is written beside its videos, or where it can be. "
            f"Received: {path}: {error.strerror}"
        ) from None
    with file:
        entries = _read_entries(path)
        file.truncate(_whole_bytes(path))
    with path.open("ab") as file, ThreadPool(workers or num_processors()) as pool:
        stamps = dict(zip(videos, pool.imap(_stamp, videos.values(), 64), strict=True))
        todo = [
            (video, stamps[key])
            for key, video in videos.items()
            if key not in entries or stamps[key] != _stamp_of(entries[key])
        ]
        for done, (key, entry) in enumerate(pool.imap_unordered(_examine, todo), start=1):
            entries[key] = entry
            file.write(_line(key, entry, path.parent))
            file.flush()
            if progress:
                progress(done, len(todo))
    order = [*videos, *(key for key in entries if key not in videos)]
    lines = b"".join(_line(key, entries[key], path.parent) for key in order)
    replace_file(path, lambda file: file.write_bytes(lines))
    return {key: _facts(entries[key]) for key in videos}


def read_index(path):
    """Reads an index, also one that is not finished.

    Args:
        path: str or path. The file that `make_index` wrote.

    Returns:
        dict of `VideoInfo` by absolute path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no index.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise NotFoundError(f"An index is a file that `prepare.py index` wrote. Received: {path}")
    return {key: _facts(entry) for key, entry in _read_entries(path).items()}


def _read_entries(path):
    entries = {}
    lines = path.read_bytes()[: _whole_bytes(path)].splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            key = os.path.normpath(os.path.join(path.parent, entry["path"]))
            entries[key] = {name: entry[name] for name in _KEYS[1:]}
        except (ValueError, KeyError, TypeError):
            raise SmallBigError(
                f"{path}, line {number}: a line of an index must be a JSON object of "
                f"{', '.join(_KEYS)}. Received: {line[:200]!r}"
            ) from None
    return entries


def _whole_bytes(path):
    """Where the last whole line ends: a process may be killed while it writes one."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    rest = content[end:]
    if not rest.startswith(_BEGIN[: len(rest)]):
        raise SmallBigError(f"{path} must be an index. Received: a line that begins {rest[:50]!r}")
    return end


def _line(key, entry, folder):
    folder = os.path.join(folder, "")
    entry = {"path": key.removeprefix(folder), **entry}
    # Escapes keep names that are not UTF-8.
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"


def _facts(entry):
    return VideoInfo(**{name: value for name, value in entry.items() if name != "mtime"})


def _stamp_of(entry):
    return entry["bytes"], entry["mtime"]


def _stamp(video):
    """What shows that a file, or the list of names in a folder, is another one by now."""
    try:
        status = os.stat(video.path)
    except (OSError, ValueError):
        return None, None
    return None if video.template is not None else status.st_size, status.st_mtime_ns


def _examine(work):
    video, (size, time) = work
    facts = probe_video(video.path) if video.template is None else _probe_folder(video)
    known = {**asdict(facts), "bytes": size, "mtime": time}
    return os.path.abspath(video.path), {name: known[name] for name in _KEYS[1:]}


def _probe_folder(video):
    """A folder's frames are counted; the first one is looked at."""
    try:
        count = count_frames(video.path, video.template)
        first = read_frame_folder(video.path, video.template, lambda _: [0], count)
    except BadVideoError as error:
        return VideoInfo(0, 0, 0, False, str(error))
    _, height, width, _ = first.shape
    return VideoInfo(count, width, height, True, None)
