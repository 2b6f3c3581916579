"""Files that are no whole video are refused where anything shows it, and whole ones are not."""

import pathlib

import av
import numpy as np
import pytest

from smallbig_keras.data import BadVideoError, probe_video, read_frames
from tests.data.kinds import TIMES
from tests.data.test_decoding import read
from tests.data.videos import HEIGHT, WIDTH, numbers, picture, write_video

CASES = pathlib.Path(__file__).parent / "cases"
FASTSTART = {"container": {"movflags": "faststart"}}
KINDS = {
    "h264.mp4": dict(codec="libx264", **FASTSTART),
    "h264.mov": dict(codec="libx264", **FASTSTART),
    "h264.mkv": dict(codec="libx264"),
    "vp9.webm": {},
    "vp9_variable_rate.webm": dict(times=TIMES),
    "mpeg4.avi": dict(codec="mpeg4"),
}


@pytest.mark.parametrize("percent", [40, 70, 85, 95])
@pytest.mark.parametrize("name", KINDS)
def test_truncated(tmp_path, name, percent):
    path = write_video(tmp_path / name, 120, **KINDS[name])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * percent // 100])
    with av.open(str(path)) as file:
        left = sum(packet.size > 0 for packet in file.demux(video=0))
    if left == 120:
        # Only an index at the end was cut off.
        assert percent == 95 and numbers(read(path, range(120))) == list(range(120))
        return
    with pytest.raises(BadVideoError, match=f"{name}': a (truncated|damaged) file"):
        read(path, [0])


def test_mp4_whose_table_is_cut_off(tmp_path):
    path = write_video(tmp_path / "index.mp4", 120, codec="libx264")
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(BadVideoError, match="index.mp4': a file that is not a video: mov, not a w"):
        read(path, [0])


@pytest.mark.parametrize("count", [1, 20, 150])
def test_packets_that_the_decoder_refuses(tmp_path, count):
    """Frames before them are read; those that need them are an error, and so is the file's info."""
    path = write_video(tmp_path / "damaged.webm", 300, g="60")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        packets = [(packet.pos, bytes(packet)) for packet in file.demux() if packet.size]
    for place, packet in packets[100 : 100 + count]:
        data[data.find(packet, place)] = 0
    path.write_bytes(data)
    assert numbers(read(path, [3, 99])) == [3, 99]
    with pytest.raises(BadVideoError, match="damaged.webm': a damaged file, matroska of vp9: "):
        read(path, [3, 100])
    assert "a damaged file, matroska of vp9: frame 100 cannot" in probe_video(path).error
    if count == 1:
        # From the next key frame on all is well.
        assert numbers(read(path, [250])) == [250]


def with_hole(path, start, end):
    data = path.read_bytes()
    start, end = (len(data) * percent // 100 for percent in (start, end))
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    return path


def write_noisy(path, **options):
    """A video whose frames are of a size that makes holes of it."""
    noise = np.random.default_rng(0).integers(0, 40, (300, HEIGHT, WIDTH, 3), np.uint8)
    return write_video(path, 300, paint=lambda i, *_: picture(i) // 2 + noise[i], **options)


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "vp9.webm", "mpeg4.avi"])
@pytest.mark.parametrize("start, end", [(35, 70), (40, 45), (70, 95), (60, 100)])
def test_hole_of_zeros(tmp_path, name, start, end):
    """Lost parts are found although the file has its size and other frames follow."""
    path = write_noisy(tmp_path / name, g="60", **KINDS[name])
    assert len(read(path, [0, 299])) == 2
    with_hole(path, start, end)
    with pytest.raises(BadVideoError, match=f"{name}': a (truncated|damaged) file"):
        read(path, range(300))
    assert "file" in probe_video(path).error


def test_only_the_frames_of_a_clip_must_be_good(tmp_path):
    """The table of an mp4 file tells where its frames are, whatever is in others."""
    path = write_noisy(tmp_path / "hole.mp4", g="30", **KINDS["h264.mp4"])
    whole = read(path, [3, 9, 280, 299])
    with_hole(path, 40, 60)
    assert np.array_equal(read(path, [3, 9, 280, 299]), whole)
    with pytest.raises(BadVideoError, match="a damaged file, mov of h264"):
        read(path, [3, 150])


def test_transport_stream_with_a_lost_part(tmp_path):
    path = write_video(tmp_path / "lost.ts", 300, codec="libx264", g="30")
    data = path.read_bytes()
    keep, lost = len(data) // 188 // 2 * 188, 188 * 40
    path.write_bytes(data[:keep] + data[keep + lost :])
    assert numbers(read(path, [2, 20])) == [2, 20]
    assert "a damaged file, mpegts of h264" in probe_video(path).error


def sound(stream, seconds):
    for part in range(10 * seconds):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate, frame.pts = 8000, 800 * part
        yield from stream.encode(frame)


def test_sound_after_the_last_picture_is_no_damage(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as output:
        film, audio = output.add_stream("libx264", rate=25), output.add_stream("pcm_s16le", 8000)
        film.width, film.height, film.pix_fmt, audio.layout = WIDTH, HEIGHT, "yuv420p", "mono"
        for i in range(100):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            output.mux(film.encode(frame))
        output.mux([*film.encode(), *sound(audio, 9)])
    assert numbers(read(path, [0, 99])) == [0, 99]
    # Cut off where there is nothing but sound: the pictures are all there.
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 20000])
    assert numbers(read(path, [0, 99])) == [0, 99]


def test_gaps_of_a_variable_rate_are_no_damage(tmp_path):
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([33, 40, 50, 66, 83, 900], 120)).tolist()
    path = write_video(tmp_path / "vfr.webm", 120, times=times)
    assert numbers(read(path, [0, 119])) == [0, 119]


@pytest.mark.parametrize(
    "name, count",
    [
        ("interlaced.mp4", 25),
        ("long_audio.webm", 50),
        ("pause.webm", 72),
        ("piped.avi", 50),
        ("free_box_at_end.mp4", 82),
    ],
)
def test_whole_files_that_looked_damaged(name, count):
    counts = []
    for video in (CASES / name, (CASES / name).read_bytes()):
        frames = read_frames(video, lambda n: counts.append(n) or range(n))
        assert len(frames) == counts[-1] == count
    info = probe_video(CASES / name)
    assert info.error is None and info.num_frames == count


@pytest.mark.parametrize("name", KINDS)
def test_rubbish_after_the_end_is_no_damage(tmp_path, name):
    path = write_video(tmp_path / name, 120, **KINDS[name])
    path.write_bytes(path.read_bytes() + b"rubbish" * 9)
    assert numbers(read(path, [0, 119])) == [0, 119]


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
            assert len(read_frames(path, lambda n, c=counts: c.append(n) or range(n))) == counts[-1]
            assert counts[-1] == 300
        except BadVideoError as error:
            assert "flipped.mp4': " in str(error)
            errors += 1
    assert 0 < errors
