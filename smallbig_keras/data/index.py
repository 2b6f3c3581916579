"""An index: the result of decoding every video of a dataset once, a JSON line a video.

A path is relative to the folder of the index where it is below it, so that a dataset moves
together with its index.
"""

import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import numpy as np

from smallbig_keras.data.annotations.video import as_videos
from smallbig_keras.data.decoding import SHORT_WAY, BadVideoError, VideoReader
from smallbig_keras.data.frame_folders import find_frames, read_frame_folder
from smallbig_keras.errors import NotFoundError, ResourceError, SmallBigError
from smallbig_keras.files import replace_file
from smallbig_keras.machine import num_processors

# Seeks that are tried in a video.
_SEEKS = 8
_KEYS = ("path", "bytes", "mtime", "num_frames", "width", "height", "exact_seek", "error")
_BEGIN = b'{"path": '


@dataclass(frozen=True)
class VideoInfo:
    """The result of decoding a video from its first frame to its last.

    Two are equal if they say the same of the frames.

    Args:
        num_frames: int. Frames that decoding gives, 0 if there is an error.
        width: int. Pixels, upright.
        height: int. Pixels, upright.
        exact_seek: bool. True if seeking gave the same frames as decoding in order, at several
            frames.
        error: str or None. The reason why the video cannot be read.
        bytes: int. Size of the file, by which the info of an older file of that name is known.
            Defaults to `None`: there is no file, or it is a folder.
    """

    num_frames: int
    width: int
    height: int
    exact_seek: bool
    error: str | None
    bytes: int | None = field(default=None, compare=False)


def probe_video(video):
    """Counts the frames of a video and tries if seeking finds them.

    Frames are told apart by a hash of their pixels. Where too few of them differ from all others,
    as in a still, nothing shows that seeking is exact, and it counts as not exact.

    Args:
        video: str, path or bytes. The file, or its content.

    Returns:
        `VideoInfo`. A file that `read_frames` would refuse has an `error` and no frames; none
        is raised.
    """
    size = len(video) if isinstance(video, bytes) else file_bytes(video)
    try:
        hashes = []
        with VideoReader(video) as reader:
            for _, frame in reader.walk():
                height, width = frame.shape[:2]
                hashes.append(_hash(frame))
            count = reader.check_whole()
        return VideoInfo(count, width, height, _seeks_exactly(video, hashes), None, size)
    except BadVideoError as error:
        return VideoInfo(0, 0, 0, False, str(error), size)
    except (cv2.error, MemoryError) as error:
        bad = BadVideoError.about(video, f"a file whose frames cannot be held ({error})")
        return VideoInfo(0, 0, 0, False, str(bad), size)


def make_index(videos, path, workers=None, progress=None):
    """Decodes every video once and writes the results.

    The line of a video is written when it is done, so that calling it again continues after a
    process that was killed. Only videos are decoded that are not in the index, or whose file has
    another size or time by now. Lines of other videos are kept.

    Args:
        videos: list of `Video`, files or folders of frames, or of paths of files.
        path: str or path. The index to make or to continue.
        workers: int. Videos decoded at once. Defaults to `None`, one a processor.
        progress: callable. It is given how many videos are done, and of how many that had to be
            decoded. Defaults to `None`.

    Returns:
        dict of `VideoInfo` by absolute path, one for each of `videos`. An unreadable video has
        an `error`; none is raised.

    Raises:
        SmallBigError: `path` is a file that is no index, or `videos` is no list of these.
        ResourceError: the index cannot be written.
    """
    path = Path(path).absolute()
    videos = {os.path.abspath(video.path): video for video in as_videos(videos)}
    try:
        file = path.open("ab")
    except OSError as error:
        raise ResourceError(
            "An index is written beside its videos, or to a file that can be written. "
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
    return {key: _info(entries[key]) for key in videos}


def read_index(path):
    """Reads an index, also one that is not finished.

    Args:
        path: str or path. The file that `make_index` wrote.

    Returns:
        dict of `VideoInfo` by absolute path.

    Raises:
        NotFoundError: there is no such file.
        SmallBigError: it is no index.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise NotFoundError(
            f"There is no such index. Make it: smallbig prepare index. Received: {path}"
        )
    return {key: _info(entry) for key, entry in _read_entries(path).items()}


def file_bytes(path):
    """Returns the size of a file, or None where there is no file."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None


def _seeks_exactly(video, hashes):
    times = Counter(hashes)
    sought = range(SHORT_WAY + 1, len(hashes))
    alone = [index for index in sought if times[hashes[index]] == 1]
    if len(alone) < min(_SEEKS, len(sought)):
        return False
    if not alone:
        return True
    # The last frame is one of them: a wrong rate shows there most.
    for position in np.unique(np.linspace(0, len(alone) - 1, _SEEKS).astype(int)):
        index = alone[position]
        try:
            with VideoReader(video) as reader:
                reader.seek(index)
                found = [_hash(frame) for _, frame in reader.walk([index], index + 1)]
        except BadVideoError:
            return False
        if found != [hashes[index]]:
            return False
    return True


def _hash(frame):
    return hashlib.blake2b(frame.tobytes(), digest_size=16).digest()


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
    """Returns where the last whole line ends: a process may be killed while it writes one."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    rest = content[end:]
    if not rest.startswith(_BEGIN[: len(rest)]):
        raise SmallBigError(f"{path} must be an index. Received: a line that begins {rest[:50]!r}")
    return end


def _line(key, entry, folder):
    name = key.removeprefix(os.path.join(folder, ""))
    entry = {"path": name.replace(os.sep, "/"), **entry}
    # Escapes keep names that are not UTF-8.
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"


def _info(entry):
    return VideoInfo(**{name: value for name, value in entry.items() if name != "mtime"})


def _stamp_of(entry):
    return entry["bytes"], entry["mtime"]


def _stamp(video):
    """Returns size and time: other ones mean another file, or other names in a folder."""
    try:
        status = os.stat(video.path)
    except (OSError, ValueError):
        return None, None
    return None if video.template is not None else status.st_size, status.st_mtime_ns


def _examine(work):
    video, (size, time) = work
    info = probe_video(video.path) if video.template is None else _probe_folder(video)
    entry = {**asdict(info), "bytes": size, "mtime": time}
    return os.path.abspath(video.path), {name: entry[name] for name in _KEYS[1:]}


def _probe_folder(video):
    """Counts the frames of a folder and reads the first one."""
    try:
        count, _ = find_frames(video.path, video.template)
        first = read_frame_folder(video.path, video.template, lambda _: [0], count)
    except BadVideoError as error:
        return VideoInfo(0, 0, 0, False, str(error))
    _, height, width, _ = first.shape
    return VideoInfo(count, width, height, True, None)
