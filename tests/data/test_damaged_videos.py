"""Files that are no whole video: refused with a reason, where anything shows it."""

import os

import av
import numpy as np
import pytest

from smallbig_keras.data.decoding import BadVideoError, read_frames
from smallbig_keras.data.index import VideoInfo, probe_video
from tests.data.odd_files import FILES
from tests.data.test_decoding import TIMES, guard, read
from tests.data.videos import HEIGHT, WIDTH, numbers, picture, write_video

__all__ = ["guard"]


@pytest.mark.parametrize("percent", [40, 70, 85])
@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "vp9_vfr.webm", "h264.mkv", "mpeg4.avi"])
def test_truncated(tmp_path, name, percent):
    codecs = {"vp9": "libvpx-vp9", "h264": "libx264", "mpeg4": "mpeg4"}
    codec = codecs[name.partition(".")[0].partition("_")[0]]
    faststart = {"movflags": "faststart"} if name.endswith("mp4") else None
    times = TIMES if "vfr" in name else None
    path = write_video(tmp_path / name, 120, codec, times, faststart)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * percent // 100])
    with pytest.raises(BadVideoError, match=f"{name}': a (truncated|damaged|file without)"):
        read(path, [0])


@pytest.mark.parametrize("bad", [1, 20, 150])
def test_damaged_in_the_middle(tmp_path, bad):
    """Frames that the decoder refuses must not pass for the end."""
    path = write_video(tmp_path / "damaged.webm", 300)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        packets = [(packet.pos, bytes(packet)) for packet in file.demux() if packet.size]
    for place, packet in packets[100 : 100 + bad]:
        data[data.find(packet, place)] = 0
    path.write_bytes(data)
    with pytest.raises(BadVideoError, match="damaged file, it breaks off after 100 frames and goe"):
        read(path, [0])


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "vp9.webm"])
@pytest.mark.parametrize("start, end", [(35, 70), (40, 45), (70, 95), (60, 100)])
def test_hole_of_zeros(tmp_path, name, start, end):
    """Lost parts are found although the file has its size and other frames follow."""
    codec = "libvpx-vp9" if name.startswith("vp9") else "libx264"
    faststart = {"movflags": "faststart"} if name.endswith("mp4") else None
    noise = np.random.default_rng(0).integers(0, 40, (300, HEIGHT, WIDTH, 3), np.uint8)
    paint = {"paint": lambda i, *_: picture(i) // 2 + noise[i]}
    path = write_video(tmp_path / name, 300, codec, None, faststart, g="60", **paint)
    assert len(read(path, [0, 299])) == 2
    data = path.read_bytes()
    start, end = (len(data) * percent // 100 for percent in (start, end))
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(BadVideoError, match=f"{name}': a (truncated|damaged) file"):
        read(path, [0])


def test_gaps_of_a_variable_rate_are_no_damage(tmp_path):
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([33, 40, 50, 66, 83, 900], 120)).tolist()
    path = write_video(tmp_path / "vfr.webm", 120, times=times)
    assert numbers(read(path, [0, 119])) == [0, 119]


def test_sound_after_the_last_picture_is_no_damage(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as output:
        film, sound = output.add_stream("libx264", rate=25), output.add_stream("pcm_s16le", 8000)
        film.width, film.height, film.pix_fmt, sound.layout = WIDTH, HEIGHT, "yuv420p", "mono"
        for i in range(100):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            output.mux(film.encode(frame))
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * 48 // 10), np.int16), "s16", "mono")
        noise.rate = 8000
        output.mux([*film.encode(), *sound.encode(noise), *sound.encode()])
    assert numbers(read(path, [0, 99])) == [0, 99]


def test_flipped_bits(tmp_path):
    """The frames of the whole file or an error, never those of its first part."""
    path = write_video(tmp_path / "flipped.mp4", 300, codec="libx264", bf="3")
    data = path.read_bytes()
    errors = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        bad = bytearray(data)
        for place in rng.integers(len(data) // 4, len(data) * 3 // 4, 3 << 2 * (seed % 4)):
            bad[place] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        counts = []
        try:
            assert len(read_frames(path, lambda n, c=counts: c.append(n) or [0, n - 1])) == 2
            assert counts[-1] >= 299
        except BadVideoError as error:
            assert "flipped.mp4': " in str(error)
            errors += 1
    assert 0 < errors


REASONS = {
    "FIFO": "not a regular file",
    "link to a device": "not a regular file",
    "link to nothing": "No such file",
    "empty file": "an empty file",
    "web page named .mp4": "not a video",
    "random bytes": "not a video",
    "JPEG named .mp4": "a picture",
    "sound without pictures": "not a video",
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
        assert probe_video(path) == VideoInfo(0, 0, 0, False, str(caught.value))
