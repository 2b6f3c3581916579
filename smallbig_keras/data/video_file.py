"""An open video: checked before it is opened, by which demuxer, and the stream that is taken."""

import io
import os
import re
import stat

import av
import av.logging

from smallbig_keras.data.containers import HEAD, NAMES, container_format, is_cut, is_picture
from smallbig_keras.errors import SmallBigError

# Pixels of a frame: a file of a few bytes may ask for any number.
_MAX_PIXELS = 1 << 28
# Nothing but the file itself is opened, whatever it names.
_OPTIONS = {"protocol_whitelist": "file", "enable_drefs": "0"}


class BadVideoError(SmallBigError):
    """A file that does not give the frames of a video."""

    @classmethod
    def about(cls, video, received):
        """Returns the error for a video, see `VideoFile`, with the reason `received`."""
        return cls(
            "A video must be a regular file with frames that can be decoded. "
            f"Received: {_name(video)}: {received}"
        )


def _name(video):
    if isinstance(video, bytes | bytearray | memoryview):
        return f"{len(video)} bytes in memory"
    if not isinstance(video, str | os.PathLike):
        video = getattr(video, "name", None) or f"a {type(video).__name__}"
        return str(video)
    return repr(os.path.abspath(video))


def check_video_file(path):
    """Returns the absolute path of a file that can be opened as a video without harm."""
    # Opening a FIFO waits for ever, and a name that is not UTF-8 cannot be printed or stored.
    try:
        path = os.path.abspath(os.fspath(path))
        path.encode("utf-8")
        status = os.stat(path)
    except UnicodeEncodeError:
        raise BadVideoError.about(path, "a name that is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise BadVideoError.about(path, getattr(error, "strerror", None) or error) from None
    if not stat.S_ISREG(status.st_mode):
        raise BadVideoError.about(path, "not a regular file")
    if status.st_size == 0:
        raise BadVideoError.about(path, "an empty file")
    return path


class VideoFile:
    """An open video, a context manager.

    Only containers that are known by their first bytes are opened, each by its own demuxer: a text
    that begins like a playlist would make FFmpeg open the files that it names.

    Args:
        video: str, path, bytes or binary file. A binary file must be seekable; it is read from
            its beginning and stays open.

    Attributes:
        file: binary file. The bytes.
        size: int. Their number.
        format: str. FFmpeg's name of the container.
        container: `av.container.InputContainer`.
        stream: `av.VideoStream`. The best one; it is decoded by one thread.
        shape: pair of ints. Width and height of its frames as the file states them.

    Raises:
        BadVideoError: the file cannot be opened without harm, is no video, or has no stream of
            pictures for which there is a decoder.
    """

    def __init__(self, video):
        self.video = video
        self.container = None
        if isinstance(video, str | os.PathLike):
            self.video = check_video_file(video)
            try:
                self.file = open(self.video, "rb")
            except OSError as error:
                raise self.bad(error.strerror) from None
        else:
            self.file = self._open_content()
        try:
            self.size = self.file.seek(0, os.SEEK_END)
            self.format = self._find_format()
            self.rewind()
        except BaseException:
            self.close()
            raise

    def _open_content(self):
        if isinstance(self.video, bytes | bytearray | memoryview):
            return io.BytesIO(self.video)
        try:
            self.video.seek(0)
            if isinstance(self.video.read(1), bytes):
                return self.video
        except SmallBigError:
            # Of a file that checks what it reads.
            raise
        except (AttributeError, OSError, ValueError):
            pass
        raise SmallBigError(
            "A video must be a path, bytes, or a file that is open for bytes and can be sought in. "
            f"Received: {self.video!r:.80}, a {type(self.video).__name__}"
        )

    def _find_format(self):
        self.file.seek(0)
        head = self.file.read(HEAD)
        if is_picture(head, self.file):
            raise self.bad("a picture")
        name = container_format(head)
        if name is None:
            begin = f"it begins like none of {NAMES}" if head else "it is empty"
            raise self.bad(f"a file that is not a video: {begin}")
        return name

    def rewind(self):
        """Opens the container, or opens it once more to read it from its beginning."""
        self._close_container()
        self.file.seek(0)
        # The prefix keeps a colon in a name from naming a protocol.
        source = f"file:{self.video}" if isinstance(self.video, str) else self.file
        try:
            self.container = av.open(source, format=self.format, options=_OPTIONS)
        except SmallBigError:
            # Of the file that is read.
            raise
        except (av.FFmpegError, ValueError, OSError) as error:
            reason = f"not a whole file ({reason_of(error)})"
            raise self.bad(f"a file that is not a video: {self.format}, {reason}") from None
        self.stream = self._best_stream()
        context = self.stream.codec_context
        self.shape = context.width, context.height
        # Many files are read at once, a thread each. Threads for frames would hold frames back.
        context.thread_type, context.thread_count = "SLICE", 1

    def open_decoder(self):
        """Opens the decoder, after a seek: some take long to be emptied by one."""
        # Some look at `skip_frame` here, once, and must not skip any.
        try:
            self.stream.codec_context.open(strict=False)
        except (av.FFmpegError, ValueError) as error:
            raise self.bad(f"{self}: the decoder does not open ({reason_of(error)})") from None

    def _best_stream(self):
        """Returns the stream with the largest frames, of equal ones the best by FFmpeg's rule."""
        streams = self.container.streams
        best, cover = streams.best("video"), av.stream.Disposition.attached_pic
        films = [s for s in streams.video if not s.disposition & cover]
        if not films:
            kinds = ", ".join(sorted({s.type for s in streams})) or "nothing"
            raise self.bad(
                f"a file that is not a video: {self.format} without a stream of pictures, "
                f"with {kinds}"
            )
        films = [s for s in films if s.codec_context is not None]
        if not films:
            raise self.bad(f"{self.format} without a decoder for its codec, {self._codec_name()}")

        def area(stream):
            return stream.codec_context.width * stream.codec_context.height

        stream = max(films, key=lambda s: (area(s), s.index == best.index))
        if area(stream) > _MAX_PIXELS:
            context = stream.codec_context
            raise self.bad(f"{self.format}: frames of {context.width}x{context.height} pixels")
        return stream

    def _codec_name(self):
        """Returns the name of a codec that has no decoder: FFmpeg has it in a text alone."""
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            text = self.container.dumps_format()
        finally:
            av.logging.set_level(level)
        return ", ".join(re.findall(r"Video: ([^,\n]*)", text))

    def __str__(self):
        return f"{self.format} of {self.codec}"

    @property
    def codec(self):
        """str. Name of the codec."""
        return self.stream.codec_context.codec.canonical_name

    @property
    def is_cut(self):
        """bool. True if the file ends before the size that it states, or in zeros."""
        return is_cut(self.file, self.format)

    def frames(self):
        """Yields all frames, `av.VideoFrame`, from the first one on; there is at least one."""
        self.rewind()
        self.open_decoder()
        count = 0
        try:
            for packet in self.container.demux(self.stream):
                # A part of a broadcast begins with packets that need earlier ones.
                bad = packet.is_corrupt and count > 0
                for frame in packet.decode():
                    bad |= frame.is_corrupt
                    yield frame
                    count += 1
                if bad:
                    raise self.bad(f"a damaged file, {self}: damaged near frame {count}")
        except av.FFmpegError as error:
            raise self.bad(
                f"a damaged file, {self}: frame {count} cannot be decoded ({reason_of(error)})"
            ) from None
        if not count:
            raise self.bad(f"a file without a frame that can be decoded, {self}")

    def bad(self, received):
        """Returns the `BadVideoError` for this video."""
        return BadVideoError.about(self.video, received)

    def close(self):
        """Closes what was opened here."""
        self._close_container()
        if self.file is not self.video:
            self.file.close()

    def _close_container(self):
        if self.container is not None:
            self.container.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def reason_of(error):
    """Returns the words of an error of FFmpeg."""
    return getattr(error, "strerror", None) or str(error)
