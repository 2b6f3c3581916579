"""When each frame of a video is shown, read from its packets without decoding them."""

import base64
import re
import zlib
from dataclasses import dataclass

import av
import numpy as np

from smallbig_keras.data.video_file import reason_of
from smallbig_keras.errors import SmallBigError

# Containers whose times are guessed, and guessed otherwise after a seek.
_GUESSED = ("mpeg", "mpegvideo", "yuv4mpegpipe")
# Codecs whose packets in avi tell their times although frames are reordered.
_AVI_CODECS = ("mpeg4",)
# The zeros that make a hole between two packets of a Matroska file.
_HOLE = bytes(4096)
# Frames of a file, six days of them: nothing that is read may ask for more memory.
_MOST = 1 << 24
# MPEG-4: bytes of a picture that is not coded, and the mark of an encoder that packs frames.
_EMPTY, _PACKED = 9, re.compile(rb"\x00\x00\x01\xb2DivX\w+p")
# Seconds by which sound goes on where pictures have ended.
_SLACK = 0.5


@dataclass(frozen=True)
class FrameTimes:
    """The frames of a video file, in the order in which they are shown.

    Args:
        count: int. Number of frames.
        times: bytes. When they are shown, in units of the stream, packed. Defaults to `b""`:
            frames cannot be found by their times and are counted from the first one on.
        keys: bytes. The times of key frames, from which decoding can begin, packed. Defaults to
            `b""`.
    """

    count: int
    times: bytes = b""
    keys: bytes = b""

    @classmethod
    def of(cls, times, keys):
        """Makes it of times and times of key frames, both sorted."""
        return cls(len(times), _pack(times), _pack(keys))

    def unpack(self):
        """Returns the times and those of key frames, two int64 arrays."""
        return _unpack(self.times), _unpack(self.keys)

    def to_list(self):
        """Returns a list that JSON can hold."""
        return [self.count, *(base64.b64encode(b).decode() for b in (self.times, self.keys))]

    @classmethod
    def from_list(cls, values):
        """Makes it of a list that `to_list` gave."""
        try:
            count, *packed = values
            made = cls(int(count), *(base64.b64decode(text, validate=True) for text in packed))
            good = made.count > 0 and (not made.times or len(made.unpack()[0]) == made.count)
        except (TypeError, ValueError, zlib.error):
            good = False
        if not good:
            raise SmallBigError(f"Not the times of frames. Received: {values!r:.200}")
        return made


def _pack(numbers):
    # Steps, which are few different ones: about 50 bytes for a file, up to 2 a frame where the
    # rate varies.
    return zlib.compress(np.diff(numbers, prepend=0).astype("<i8").tobytes(), 9)


def _unpack(packed):
    steps = zlib.decompressobj().decompress(packed, 8 * _MOST)
    return np.cumsum(np.frombuffer(steps, "<i8"))


def scan(file):
    """Reads the times of the frames of an open `VideoFile`.

    Raises:
        BadVideoError: there is no frame, or the file is cut off or has lost a part.
    """
    entries = [(e.timestamp, e.pos + e.size, e.size) for e in file.stream.index_entries]
    packets, others, end = _read_packets(file)
    _check_whole(file, entries, packets, others, end)
    shown = [time for time, *_, hidden in packets if not hidden]
    if file.format == "mjpeg" and len(shown) == 1:
        raise file.bad("a picture")
    if not shown:
        raise file.bad(f"a file without a frame, {file}")
    if _can_seek(file, packets, shown):
        keys = [time for time, _, key, _ in packets if key]
        return FrameTimes.of(sorted(shown), sorted(keys))
    return count_frames(file)


def count_frames(file):
    """Decodes all frames of an open `VideoFile`, for those that have no times of their own."""
    return FrameTimes(sum(1 for _ in file.frames()))


def _read_packets(file):
    """Reads all packets.

    The demuxer of Matroska passes over what it cannot read: the space between packets is looked
    through for holes.

    Returns:
        list of `(time, decoding time, key, hidden)` of the pictures' packets; of a Matroska file
        also the last time of other streams, in seconds, and the byte where the last packet ends.
    """
    stream = file.stream
    matroska, codec = file.format == "matroska", file.codec
    packets, spaces, others, end = [], [], 0.0, file.size
    try:
        for packet in file.container.demux(*(() if matroska else (stream,))):
            size = packet.size
            if not size:
                continue
            if matroska:
                if packet.pos - end > len(_HOLE):
                    spaces.append((end, packet.pos))
                end = packet.pos + size
                if packet.stream_index != stream.index:
                    others = max(others, float((packet.pts or 0) * packet.time_base))
                    continue
            time, hidden = packet.pts, packet.is_discard
            if codec == "vp8":
                # Pictures that are not shown have packets of their own.
                hidden = hidden or not bytes(packet)[0] & 16
            elif codec == "mpeg4" and (size < _EMPTY or _PACKED.search(bytes(packet))):
                # A packet of two frames, or of none: XviD makes such files.
                time = None
            packets.append((time, packet.dts, packet.is_keyframe, hidden))
    except av.FFmpegError as error:
        raise file.bad(
            f"a damaged file, {file}: it breaks off after {len(packets)} frames "
            f"({reason_of(error)})"
        ) from None
    for space in spaces:
        if _has_hole(file, *space):
            raise file.bad(f"a damaged file, {file}: a hole of zeros from byte {space[0]} on")
    return packets, others, end


def _has_hole(file, start, end):
    file.file.seek(start)
    return _HOLE in file.file.read(end - start)


def _check_whole(file, entries, packets, others, end):
    """Refuses a file that is cut off or has lost a part, by what it says of itself."""
    found = f"a truncated file, {file}: {len(packets)} frames in {file.size} bytes"
    index_end = max((end for _, end, _ in entries), default=0)
    if index_end > file.size:
        raise file.bad(f"{found}, where its index goes to byte {index_end}")
    times = {time for time, *_ in packets}
    if file.format == "matroska":
        # Its index has key frames only. Their times may be rounded.
        lost = sum(not times & {time - 1, time, time + 1} for time, *_ in entries)
    else:
        listed = sum(size > 0 for *_, size in entries)
        lost = listed - len(packets) if file.format in ("mov", "avi") else 0
    if lost > 0:
        raise file.bad(f"{found}, where its index lists {lost} more")
    if not (file.is_cut or _has_hole(file, end, file.size)) or not packets:
        return
    if file.format == "avi" and len(packets) < file.stream.frames:
        raise file.bad(f"{found}, of {file.stream.frames}")
    # Where other streams go on, the pictures may have ended.
    times = np.sort([float(time * file.stream.time_base) for time in times - {None}] or [0])
    last, step = times[-1], np.median(np.diff(times)) if len(times) > 1 else 0
    stated = (file.container.duration or 0) / av.time_base
    if file.format == "matroska" and stated - last > 2 * step and others - last < _SLACK:
        raise file.bad(f"{found}, to {last:.2f} of {stated:.2f} s")


def _can_seek(file, packets, shown):
    """Tells if frames can be found by their times: each has one that is surely its own."""
    if file.format in _GUESSED or any(time is None for time, *_ in packets):
        return False
    context = file.stream.codec_context
    if file.format == "avi" and context.has_b_frames and file.codec not in _AVI_CODECS:
        return False
    # The first frame is a key frame. Others that are shown before it may need what is cut off.
    first = min(time for time, *_ in packets)
    if packets[0][0] != first or not packets[0][2]:
        return False
    decoded = [time for _, time, *_ in packets if time is not None]
    ordered = np.all(np.diff(decoded) > 0)
    return bool(ordered) and len(set(shown)) == len(shown)
