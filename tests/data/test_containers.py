"""Files that are opened as videos, and those that are refused before a decoder sees them."""

import os

import av
import cv2
import numpy as np
import pytest

from smallbig_keras.data import BadVideoError, probe_video, read_frames
from smallbig_keras.data.video_file import check_video_file
from tests.data.odd_files import FILES
from tests.data.test_decoding import read
from tests.data.videos import numbers, picture, write_video


def encoded(suffix, number=0):
    return cv2.imencode(suffix, picture(number, 320, 240))[1].tobytes()


def multi_picture():
    """A JPEG as telephones write it: a marker of more pictures, and another one at the end."""
    content, text = encoded(".jpg"), b"MPF\0" + bytes(20)
    segment = b"\xff\xe2" + (2 + len(text)).to_bytes(2, "big") + text
    return content[:2] + segment + content[2:] + encoded(".jpg", 1)


def every_way(content, folder, suffix):
    """A file of its own name, of that of a video and of none, and the bytes."""
    for name in (f"image{suffix}", "pic.mp4", "pic"):
        (folder / name).write_bytes(content)
        yield folder / name
    yield content


PICTURES = {
    **{suffix: encoded(suffix) for suffix in (".jpg", ".png", ".bmp", ".webp", ".tiff")},
    ".jpeg": multi_picture(),
    ".tif": b"MM\0*" + bytes(99),
    ".heic": b"\0\0\0\x18ftypheic" + bytes(99),
}


@pytest.mark.parametrize("suffix", PICTURES)
def test_pictures_are_refused_by_their_content(tmp_path, suffix):
    for video in every_way(PICTURES[suffix], tmp_path, suffix):
        name = "bytes in memory" if isinstance(video, bytes) else f"{video.name}'"
        with pytest.raises(BadVideoError, match=f"{name}: a picture$"):
            read(video, [0])
        assert probe_video(video).error.endswith(f"{name}: a picture")


def film_of_pictures(suffix, folder, count):
    if suffix == ".mjpeg":
        return b"".join(encoded(".jpg", number) for number in range(count))
    pix_fmt = {".gif": "rgb8", ".apng": "rgb24"}[suffix]
    path = folder / f"film{suffix}"
    return write_video(path, count, suffix[1:], pix_fmt=pix_fmt).read_bytes()


@pytest.mark.parametrize("suffix", [".mjpeg", ".apng", ".gif"])
def test_films_of_pictures_are_videos(tmp_path, suffix):
    for video in every_way(film_of_pictures(suffix, tmp_path, 7), tmp_path, suffix):
        assert numbers(read(video, [0, 3, 6])) == [0, 3, 6]


def test_film_of_one_picture(tmp_path):
    for video in every_way(film_of_pictures(".gif", tmp_path, 1), tmp_path, ".gif"):
        assert numbers(read(video, [0])) == [0]


PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\na=control:{}\nm=video 9 RTP/AVP 96\n",
    "dash": "<?xml version='1.0'?><MPD><Period><BaseURL>{}</BaseURL></Period></MPD>",
    "ism": "<?xml version='1.0'?><SmoothStreamingMedia>{}</SmoothStreamingMedia>",
    "imf": "<?xml version='1.0'?><CompositionPlaylist>{}</CompositionPlaylist>",
    "subtitles": "[Script Info]\n; {}\n",
    "raw name": "{}",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat", "list"])
def test_no_other_file_is_opened(tmp_path, monkeypatch, kind, name):
    """A list of other files is no video, whatever its name and its words."""
    write_video(tmp_path / "secret.mp4", 12, codec="libx264")
    path = tmp_path / name
    path.write_text(PLAYLISTS[kind].format(tmp_path / "secret.mp4"))
    monkeypatch.chdir(tmp_path)
    for video in (path, path.read_bytes()):
        with pytest.raises(BadVideoError, match="not a video: it begins like none of mp4"):
            read(video, [0])


def test_a_container_that_names_another_file(tmp_path):
    """The data of a QuickTime track is said to be in another file: it is not looked up there."""
    source = write_video(tmp_path / "secret.mov", 12, codec="libx264")
    data = bytearray(source.read_bytes())
    entry = data.index(b"url \0\0\0\1")
    name = b"secret.mov\0\0"
    alias = b"".join([(12 + len(name)).to_bytes(4, "big"), b"url ", bytes(4), name])
    grown = len(alias) - 12
    data[entry - 4 : entry + 8] = alias
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rindex(box, 0, entry) - 4
        size = int.from_bytes(data[place : place + 4], "big") + grown
        data[place : place + 4] = size.to_bytes(4, "big")
    # The samples of this file are gone.
    start = data.index(b"mdat") + 4
    path = tmp_path / "names.mov"
    path.write_bytes(
        data[:start] + bytes(data.index(b"moov") - 4 - start) + data[data.index(b"moov") - 4 :]
    )
    with pytest.raises(BadVideoError, match="names.mov"):
        read(path, [0])


REASONS = {
    "FIFO": "not a regular file",
    "link to a device": "not a regular file",
    "link to nothing": "No such file",
    "empty file": "an empty file",
    "web page named .mp4": "not a video: it begins like none of mp4",
    "random bytes": "not a video",
    "JPEG named .mp4": "a picture",
    "sound without pictures": "not a video: matroska without a stream of pictures, with audio",
}


def test_odd_files(tmp_path):
    paths = {"No such file": tmp_path / "missing.webm", "not a regular file": tmp_path}
    paths["null"] = str(tmp_path / "a\0.webm")
    cases = [(path, reason) for reason, path in paths.items()]
    for kind, reason in REASONS.items():
        name, make = FILES[kind]
        make(tmp_path / name)
        cases.append((tmp_path / name, reason))
    for path, reason in cases:
        with pytest.raises(BadVideoError, match=reason) as caught:
            read(path, [0])
        assert os.path.basename(path).replace("\0", "\\x00") in str(caught.value)
        # The info of an unreadable file is its error, and none is raised.
        info = probe_video(path)
        assert info.error == str(caught.value) and info.num_frames == 0


def test_sound_with_a_cover_picture(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=8000)
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound.layout = "mono"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        silence.rate = 8000
        picture_ = av.VideoFrame.from_ndarray(picture(1, 64, 48), format="rgb24")
        output.mux([*cover.encode(picture_), *cover.encode(), *sound.encode(silence)])
        output.mux(sound.encode())
    with pytest.raises(BadVideoError, match="without a stream of pictures"):
        read(path, [0])


def test_codec_without_a_decoder(tmp_path):
    path = write_video(tmp_path / "odd.mp4", 12, codec="libx264")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(BadVideoError, match=r"mov without a decoder for its codec, none \(zzzz"):
        read(path, [0])


def test_absurd_size(tmp_path):
    """A header of 60000 x 60000 pixels takes no memory."""
    path = tmp_path / "huge.y4m"
    path.write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(999))
    with pytest.raises(BadVideoError, match="huge.y4m': .*60000x60000 pixels|not a whole file"):
        read(path, [0])


def test_header_that_lies_about_the_size(tmp_path):
    path = write_video(tmp_path / "lies.avi", 30, codec="mpeg4")
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 8 + 32), (b"strf", 8 + 4)):
        place = data.index(mark) + offset
        data[place : place + 8] = (65000).to_bytes(4, "little") * 2
    path.write_bytes(data)
    frames = read(path, [0, 29])
    assert frames.shape == (2, 64, 96, 3) and numbers(frames) == [0, 29]


def test_videos_in_memory(tmp_path):
    data = write_video(tmp_path / "a.webm", 120).read_bytes()
    for bad, reason in (
        (b"", "0 bytes in memory: a file that is not a video: it is empty"),
        (b"text" * 99, "396 bytes in memory: a file that is not a video"),
        (data[: len(data) * 7 // 10], "in memory: a truncated file"),
    ):
        with pytest.raises(BadVideoError, match=reason):
            read(bad, [0])
    assert numbers(read(data, [5])) == [5]


def test_name_that_is_not_utf8(tmp_path):
    good = write_video(tmp_path / "good.webm", 3)
    bad = os.fsencode(tmp_path) + b"/bad\xff.webm"
    os.rename(good, bad)
    with pytest.raises(BadVideoError, match="not UTF-8"):
        read_frames(os.fsdecode(bad), lambda n: [0])


def test_names_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.webm", 3)
    assert check_video_file("a.webm") == str(tmp_path / "a.webm")
