"""Files as they come out of downloads, unpacking and cameras: one row a kind.

`FILES` and `FOLDERS` are dicts of a description to `(name, make)`, where `make(path)` writes the
file or the folder of frames. In a class folder `make_dataset` lays all of one of them out beside
good clips, for training and for validation.
"""

import os
import pathlib
import shutil

import av
import cv2
import numpy as np

from tests.data.kinds import KINDS
from tests.data.videos import picture, write_frames, write_video

GOOD = 24
CASES = pathlib.Path(__file__).parent / "cases"
TEMPLATE = "img_{:05d}.jpg"


def _bytes(content):
    return lambda path: path.write_bytes(content)


def _video(count, **options):
    return lambda path: write_video(path, count, **options)


def _changed(change, count=120, **options):
    """A good video whose bytes are changed."""

    def make(path):
        path.write_bytes(change(write_video(path, count, **options).read_bytes()))

    return make


def _sound(path):
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        sound.rate = 8000
        output.mux(stream.encode(sound))
        output.mux(stream.encode())


def _case(name):
    return lambda path: shutil.copy(CASES / name, path)


def _case_of(kind):
    def make(path):
        write_video(path.with_suffix(pathlib.Path(kind).suffix), 12, **KINDS[kind]).rename(path)

    return make


def _playlist(path):
    path.write_text(f"ffconcat version 1.0\nfile '{path.parents[2] / 'good.webm'}'\n")


def _unknown_codec(content):
    return content.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")


def _not_utf8(path):
    write_video(path, 12)
    os.rename(path, os.fsencode(path.parent) + b"/bad\xff.webm")


def _named(path):
    os.rename(write_video(path.with_suffix(".webm"), 12), path)


def _turned(content):
    """A quarter turn in the matrix of `tkhd`, whose numbers are 16.16 bit."""
    content = bytearray(content)
    start = content.index(b"tkhd") + 44
    for offset, value in zip((0, 4, 12, 16), (0, 1, -1, 0), strict=True):
        place = slice(start + offset, start + offset + 4)
        content[place] = (value << 16).to_bytes(4, "big", signed=True)
    return bytes(content)


def _hole(content):
    start, end = len(content) * 35 // 100, len(content) * 70 // 100
    return content[:start] + bytes(end - start) + content[end:]


def _zero_end(content):
    keep = len(content) - 8192
    return content[:keep] + bytes(8192)


def _encoded(kind, size=(96, 64)):
    return cv2.imencode(kind, picture(3, *size))[1].tobytes()


def _frames(count, change=lambda folder: None, **options):
    def make(path):
        change(write_frames(path, count, TEMPLATE, **options))

    return make


def _write(folder, number, content):
    (folder / TEMPLATE.format(number)).write_bytes(content)


def _second(content):
    return lambda folder: _write(folder, 2, content)


_FAST = {"container": {"movflags": "faststart"}, "codec": "libx264"}
FILES = {
    "FIFO": ("fifo.webm", lambda path: os.mkfifo(path)),
    "link to a device": ("device.webm", lambda path: os.symlink("/dev/zero", path)),
    "link to nothing": ("link.webm", lambda path: os.symlink("nowhere.webm", path)),
    "name that is not UTF-8": ("utf8.webm", _not_utf8),
    "empty file": ("empty.mp4", _bytes(b"")),
    "web page named .mp4": ("page.mp4", _bytes(b"<html>404 Not Found</html>" * 99)),
    "random bytes": ("noise.mp4", _bytes(np.random.default_rng(0).bytes(9999))),
    "playlist named .mp4": ("playlist.mp4", _playlist),
    "JPEG named .mp4": ("picture.mp4", _bytes(_encoded(".jpg"))),
    "sound without pictures": ("sound.mkv", _sound),
    "mp4 of a codec without a decoder": (
        "codec.mp4",
        _changed(_unknown_codec, 12, codec="libx264"),
    ),
    "mp4 cut off before its index": ("index.mp4", _changed(lambda b: b[:-900], codec="libx264")),
    "mp4 cut off in the middle": ("cut.mp4", _changed(lambda b: b[: len(b) * 7 // 10], **_FAST)),
    "webm cut off in the middle": ("cut.webm", _changed(lambda b: b[: len(b) * 7 // 10])),
    "avi cut off in the middle": (
        "cut.avi",
        _changed(lambda b: b[: len(b) * 7 // 10], codec="mpeg4"),
    ),
    "hole of zeros in an mp4": ("hole.mp4", _changed(_hole, 300, **_FAST)),
    "hole of zeros in a webm": ("hole.webm", _changed(_hole, 300)),
    "webm whose end was not downloaded": ("zeros.webm", _changed(_zero_end, 300)),
    "one frame": ("one.webm", _video(1)),
    "fewer frames than a clip": ("three.webm", _video(3)),
    "8192 x 8192 pixels": (
        "huge.mp4",
        _video(2, codec="libx264", size=(8192, 8192), preset="ultrafast"),
    ),
    "odd number of pixels": (
        "odd.mp4",
        _video(12, codec="libx264", size=(95, 63), pix_fmt="yuv444p"),
    ),
    "10 bits a colour": ("ten.mp4", _video(12, codec="libx264", pix_fmt="yuv420p10le")),
    "AV1": ("av1.mp4", _video(12, **KINDS["av1.mp4"])),
    "HEVC of 10 bits, as phones film": ("hevc.mov", _video(12, **KINDS["hevc_10_bit.mp4"])),
    "interlaced h264": ("interlaced.mp4", _case("interlaced.mp4")),
    "transport stream of a camera": ("camera.MTS", _case_of("h264.m2ts")),
    "animated GIF": ("film.gif", _video(12, **KINDS["film.gif"])),
    "sound longer than the pictures": ("sound.webm", _case("long_audio.webm")),
    "pause of a second, as in recordings of browsers": ("pause.webm", _case("pause.webm")),
    "avi written to a pipe": ("piped.avi", _case("piped.avi")),
    "mp4 with an edit list and a box after its end": ("box.mp4", _case("free_box_at_end.mp4")),
    "turned by the container": ("turned.mp4", _changed(_turned, 12, codec="libx264")),
    "variable rate": (
        "rate.webm",
        _video(40, times=np.cumsum(np.random.default_rng(0).integers(20, 200, 40)).tolist()),
    ),
    "webm named .mp4": (
        "named.mp4",
        lambda path: os.rename(write_video(path.with_suffix(".webm"), 12), path),
    ),
    "name with spaces, `#`, `%05d` and an emoji": ("-a # %05d \N{VIDEO CAMERA}.webm", _video(12)),
}
FOLDERS = {
    "folder without frames": ("none", lambda path: path.mkdir()),
    "frame missing in between": ("gap", _frames(9, lambda f: (f / TEMPLATE.format(5)).unlink())),
    "empty JPEG": ("empty", _frames(9, lambda f: [p.write_bytes(b"") for p in f.iterdir()])),
    "JPEG cut off": (
        "cut",
        _frames(9, lambda f: [p.write_bytes(p.read_bytes()[:-200]) for p in f.iterdir()]),
    ),
    "frames of different sizes": (
        "sizes",
        _frames(
            4,
            lambda f: [
                (f / TEMPLATE.format(i)).write_bytes(_encoded(".jpg", (48, 48))) for i in (2, 4)
            ],
        ),
    ),
    "PNG named .jpg": ("png", _frames(4, _second(_encoded(".png")))),
    "WebP named .jpg": ("webp", _frames(4, _second(_encoded(".webp")))),
    "further files in the folder": ("more", _frames(4, lambda f: (f / "flow_x_00001.jpg").touch())),
    "fewer frames than a clip, in a folder": ("two", _frames(2)),
    "frames numbered from 0": ("zero", _frames(4, first=0)),
    "frames numbered from 57": ("later", _frames(4, first=57)),
}


def make_dataset(root, kinds):
    """Lays out kinds of odd files and good clips in the layout of `folder`; returns the root."""
    for split in ("train", "val"):
        for name in ("moving", "odd"):
            (root / split / name).mkdir(parents=True)
        for name, make in kinds.values():
            make(root / split / "odd" / name)
    if kinds is FILES:
        good = write_video(root / "good.webm", 12)
    else:
        good = write_frames(root / "good", 12, TEMPLATE)
    for split in ("train", "val"):
        for i in range(GOOD):
            copy = shutil.copytree if good.is_dir() else shutil.copy
            copy(good, root / split / "moving" / f"{i}{good.suffix}")
    return root
