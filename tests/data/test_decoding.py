import os
import signal

import numpy as np
import pytest

from smallbig_keras.data.decoding import BadVideoError, check_video_file, read_frames
from tests.data.videos import HEIGHT, WIDTH, numbers, write_video

TIMES = np.cumsum(np.random.default_rng(0).choice([20, 40, 80, 160], 120)).tolist()
KINDS = {
    "h264_b_frames.mp4": dict(codec="libx264", bf="3", g="250"),
    "h264_intra.mkv": dict(codec="libx264", g="1"),
    "h264_vfr.mp4": dict(codec="libx264", bf="2", times=TIMES),
    "mpeg4_b_frames.avi": dict(codec="mpeg4", bf="2", qscale="2"),
    "vp9.webm": {},
    "vp9_vfr.webm": dict(times=TIMES),
    "vp9_live.webm": dict(container={"live": "1"}),
}


@pytest.fixture(autouse=True)
def guard():
    """A read that hangs kills its test, not the run."""

    def stop(*_):
        raise TimeoutError("reading hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def read(path, indices):
    return read_frames(path, lambda count: [i % count for i in indices])


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_exact(tmp_path, name):
    path = write_video(tmp_path / name, 120, **KINDS[name])
    counts = []

    def sampler(count):
        counts.append(count)
        return [3, 0, 57, 57, count - 1]

    frames = read_frames(path, sampler)
    assert frames.shape == (5, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    assert numbers(frames) == [3, 0, 57, 57, 119]
    assert counts[-1] == 120
    assert numbers(read(path, range(120))) == list(range(120))


def test_wrong_frame_count_is_corrected(tmp_path):
    path = write_video(tmp_path / "vfr.webm", 120, times=TIMES)
    counts = []
    read_frames(path, lambda count: counts.append(count) or [0])
    assert counts[0] > 120 and counts[1:] == [120]


def test_colours_are_rgb(tmp_path):
    import av

    path = tmp_path / "red.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        red = np.zeros((48, 64, 3), np.uint8)
        red[..., 0] = 255
        output.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        output.mux(stream.encode())
    mean = read(path, [0]).mean(axis=(0, 1, 2))
    assert np.abs(mean - [255, 0, 0]).max() < 6


def test_one_frame(tmp_path):
    assert numbers(read(write_video(tmp_path / "one.webm", 1), [0, 5])) == [0, 0]


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


def test_damaged_in_the_middle(tmp_path):
    """Decoders hide some damage; what makes them give up must not pass for the end."""
    path = write_video(tmp_path / "damaged.webm", 300)
    data = path.read_bytes()
    reasons = []
    for start, end in ((35, 70), (40, 60), (45, 50), (30, 80)):
        start, end = len(data) * start // 100, len(data) * end // 100
        for middle in (np.random.default_rng(0).bytes(end - start), bytes(end - start)):
            path.write_bytes(data[:start] + middle + data[end:])
            try:
                assert read(path, [0]).shape == (1, HEIGHT, WIDTH, 3)
            except BadVideoError as error:
                reasons.append(str(error))
    assert any("it breaks off after" in reason for reason in reasons)


def odd_files(folder):
    import cv2

    def make(name, data):
        (folder / name).write_bytes(data)
        return folder / name

    os.mkfifo(folder / "fifo.webm")
    os.symlink("/dev/zero", folder / "zero.webm")
    os.symlink("nowhere", folder / "dangling.webm")
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 127, np.uint8))[1].tobytes()
    return {
        "regular (fifo)": (folder / "fifo.webm", "not a regular file"),
        "regular (device)": (folder / "zero.webm", "not a regular file"),
        "regular (folder)": (folder, "not a regular file"),
        "missing": (folder / "missing.webm", "No such file"),
        "dangling": (folder / "dangling.webm", "No such file"),
        "null byte": (str(folder / "a\0.webm"), "null"),
        "empty": (make("empty.webm", b""), "an empty file"),
        "text": (make("text.webm", b"<html>404</html>" * 99), "not a video"),
        "noise": (make("noise.mp4", np.random.default_rng(0).bytes(9999)), "not a video"),
        "picture": (make("picture.webm", picture), "a picture"),
    }


def test_odd_files(tmp_path):
    for kind, (path, reason) in odd_files(tmp_path).items():
        with pytest.raises(BadVideoError, match=reason) as caught:
            read(path, [0])
        assert os.path.basename(path).replace("\0", "\\x00") in str(caught.value), kind


def test_name_that_is_not_utf8(tmp_path):
    good = write_video(tmp_path / "good.webm", 3)
    bad = os.fsencode(tmp_path) + b"/bad\xff.webm"
    os.rename(good, bad)
    with pytest.raises(BadVideoError, match="not UTF-8"):
        check_video_file(os.fsdecode(bad))


def test_names_that_are_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.webm", "-x.webm", "ä %05d #?.webm", "video"):
        os.rename(write_video(tmp_path / "good.webm", 3), name)
        assert check_video_file(name) == str(tmp_path / name)
        assert numbers(read(name, range(3))) == [0, 1, 2]
