"""An index: the result of decoding every video of a dataset once, a JSON line a video.

A path is relative to the folder of the index where it is below it, so that a dataset moves
together with its index.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from smallbig_keras.data.annotations.video import as_videos
from smallbig_keras.data.decoding import read_with_times
from smallbig_keras.data.frame_folders import find_frames, read_frame_folder
from smallbig_keras.data.scanning import FrameTimes, scan
from smallbig_keras.data.video_file import BadVideoError, VideoFile, check_video_file
from smallbig_keras.errors import NotFoundError, ResourceError, SmallBigError
from smallbig_keras.files import replace_file
from smallbig_keras.machine import num_processors

_KEYS = ("path", "bytes", "mtime", "digest", "num_frames", "width", "height", "times", "error")
_BEGIN = b'{"path": '
# Bytes of the beginning and of the end of a file that its digest is made of.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The result of reading a video before.

    Args:
        num_frames: int. Frames that decoding gives, 0 if there is an error.
        width: int. Pixels, upright.
        height: int. Pixels, upright.
        times: FrameTimes. Defaults to `None`, for a folder or where there is an error.
        error: str. The reason why the video cannot be read. Defaults to `None`.
        stamp: FileStamp. The file that it is about. Defaults to `None`, for a folder.
    """

    num_frames: int
    width: int
    height: int
    times: FrameTimes | None = None
    error: str | None = None
    stamp: tuple | None = field(default=None, compare=False)


class FileStamp(NamedTuple):
    """Bytes, time and ends of a file: another one that takes its name has others."""

    bytes: int
    # Nanoseconds.
    mtime: int
    # Hash of the first and the last 4096 bytes.
    digest: str


def file_stamp(path):
    """Returns the `FileStamp` of a file, None where there is none that can be read."""
    try:
        status = os.stat(check_video_file(path))
        with open(path, "rb") as file:
            content = file.read(_BLOCK)
            file.seek(max(len(content), status.st_size - _BLOCK))
            content += file.read(_BLOCK)
    except (BadVideoError, OSError):
        return None
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return FileStamp(status.st_size, status.st_mtime_ns, digest)


def probe_video(video):
    """Decodes a video from its first frame to its last, and finds any damage.

    Args:
        video: str, path, bytes or binary file. The file, or its content.

    Returns:
        `VideoInfo`. A file with a frame that cannot be decoded has an `error` and no frames; none
        is raised. Where frames come at other times than the packets say, they have no times.
    """
    stamp = file_stamp(video) if isinstance(video, str | os.PathLike) else None
    try:
        with VideoFile(video) as file:
            times = scan(file)
            met = [frame.pts for frame in file.frames()]
            if met != times.unpack()[0].tolist():
                times = FrameTimes(len(met))
        (first,), _ = read_with_times(video, lambda _: [0], times)
        width, height = first.shape[1::-1]
        return VideoInfo(times.count, width, height, times, None, stamp)
    except BadVideoError as error:
        return VideoInfo(0, 0, 0, None, str(error), stamp)


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
        infos = _read_infos(path)
        file.truncate(_whole_bytes(path))
    with path.open("ab") as file, ThreadPool(workers or num_processors()) as pool:
        stamps = dict(zip(videos, pool.imap(_stamp, videos.values(), 64), strict=True))
        todo = [
            (video, stamps[key])
            for key, video in videos.items()
            if key not in infos or stamps[key] != infos[key].stamp
        ]
        for done, (key, info) in enumerate(pool.imap_unordered(_examine, todo), start=1):
            infos[key] = info
            file.write(_line(key, info, path.parent))
            file.flush()
            if progress:
                progress(done, len(todo))
    order = [*videos, *(key for key in infos if key not in videos)]
    lines = b"".join(_line(key, infos[key], path.parent) for key in order)
    replace_file(path, lambda file: file.write_bytes(lines))
    return {key: infos[key] for key in videos}


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
    return _read_infos(path)


def _read_infos(path):
    infos = {}
    lines = path.read_bytes()[: _whole_bytes(path)].splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            key = os.path.normpath(os.path.join(path.parent, entry["path"]))
            if "exact_seek" not in entry:
                infos[key] = _from_entry(entry)
            # Version 0.1.0 knew no times: its videos are decoded once more.
        except (ValueError, KeyError, TypeError):
            raise SmallBigError(
                f"{path}, line {number}: a line of an index must be a JSON object of "
                f"{', '.join(_KEYS)}. Delete a damaged file and make it again: smallbig "
                f"prepare index. Received: {line[:200]!r}"
            ) from None
    return infos


def _from_entry(entry):
    stamp = FileStamp(entry["bytes"], entry["mtime"], entry["digest"])
    times = None if entry["times"] is None else FrameTimes.from_list(entry["times"])
    size = entry["num_frames"], entry["width"], entry["height"]
    return VideoInfo(*size, times, entry["error"], None if stamp.mtime is None else stamp)


def _line(key, info, folder):
    name = key.removeprefix(os.path.join(folder, "")).replace(os.sep, "/")
    stamp = info.stamp or FileStamp(None, None, None)
    times = info.times and info.times.to_list()
    size = info.num_frames, info.width, info.height
    entry = dict(zip(_KEYS, (name, *stamp, *size, times, info.error), strict=True))
    # Escapes keep names that are not UTF-8.
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"


def _whole_bytes(path):
    """Returns where the last whole line ends: a process may be killed while it writes one."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    rest = content[end:]
    if not rest.startswith(_BEGIN[: len(rest)]):
        raise SmallBigError(f"{path} must be an index. Received: a line that begins {rest[:50]!r}")
    return end


def _stamp(video):
    """Returns what tells that a file changed, or the names in a folder."""
    if video.template is None:
        return file_stamp(video.path)
    try:
        return FileStamp(None, os.stat(video.path).st_mtime_ns, None)
    except (OSError, ValueError):
        return None


def _examine(work):
    video, stamp = work
    info = probe_video(video.path) if video.template is None else _probe_folder(video)
    return os.path.abspath(video.path), replace(info, stamp=stamp)


def _probe_folder(video):
    """Counts the frames of a folder and reads the first one."""
    try:
        count, _ = find_frames(video.path, video.template)
        first = read_frame_folder(video.path, video.template, lambda _: [0], count)
    except BadVideoError as error:
        return VideoInfo(0, 0, 0, error=str(error))
    _, height, width, _ = first.shape
    return VideoInfo(count, width, height)
