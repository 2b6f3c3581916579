import os
import signal

import av
import cv2
import numpy as np
import pytest

from smallbig_keras.data.decoding import BadVideoError, check_video_file, read_frames
from smallbig_keras.data.index import VideoInfo, probe_video
from smallbig_keras.data.sampling import Sampler, frames_to_read
from tests.data.videos import HEIGHT, WIDTH, numbers, picture, write_video

TIMES = np.cumsum(np.random.default_rng(0).choice([20, 40, 80, 160], 120)).tolist()
KINDS = {
    "h264_b_frames.mp4": dict(codec="libx264", bf="3", g="250"),
    "h264_intra.mkv": dict(codec="libx264", g="1"),
    "h264_lossless.mp4": dict(codec="libx264", qp="0"),
    "h264_vfr.mp4": dict(codec="libx264", bf="2", times=TIMES),
    "h264_10_bit.mp4": dict(codec="libx264", pix_fmt="yuv420p10le"),
    "h264_odd.mp4": dict(codec="libx264", pix_fmt="yuv444p", size=(97, 65)),
    "h264.ts": dict(codec="libx264", bf="2"),
    "ffv1.mkv": dict(codec="ffv1"),
    "ffv1_10_bit.mkv": dict(codec="ffv1", pix_fmt="yuv420p10le"),
    "mpeg4_b_frames.avi": dict(codec="mpeg4", bf="2", qscale="2"),
    "vp9.webm": {},
    "vp9_odd.webm": dict(size=(97, 65)),
    "vp9_vfr.webm": dict(times=TIMES),
    "vp9_live.webm": dict(container={"live": "1"}),
}
# Where seeking misses some frame: by the mean rate, to the wrong key frame, or without an index.
INEXACT = {"h264_vfr.mp4", "h264.ts", "vp9_live.webm"}


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
    """Every way to the same frames: to the end, up to the last one, by seeking, from memory."""
    path = write_video(tmp_path / name, 120, **KINDS[name])
    width, height = KINDS[name].get("size", (WIDTH, HEIGHT))
    info = probe_video(path)
    assert info == VideoInfo(120, width, height, name not in INEXACT, None)
    ways = [{}, {"num_frames": 120}]
    if info.exact_seek:
        ways.append({"num_frames": 120, "exact_seek": True})
    for options in ways:
        for video in (path, path.read_bytes()):
            counts = []

            def sampler(count, counts=counts):
                counts.append(count)
                return [30, 21, 57, 57, count - 1]

            frames = read_frames(video, sampler, **options)
            assert frames.shape == (5, height, width, 3) and frames.dtype == np.uint8
            assert numbers(frames) == [30, 21, 57, 57, 119]
            assert counts[-1] == 120
    assert numbers(read(path, range(120))) == list(range(120))


@pytest.mark.parametrize("name", ["h264_b_frames.mp4", "h264_vfr.mp4", "vp9.webm", "vp9_vfr.webm"])
@pytest.mark.parametrize("sampling", ["segment", "dense"])
@pytest.mark.parametrize("training", [False, True])
def test_every_sampler_gets_its_frames(tmp_path, name, sampling, training):
    path = write_video(tmp_path / name, 120, **KINDS[name])
    info = probe_video(path)
    sampler = Sampler(sampling, 8, stride=5, clips=1 if training else 10, training=training)
    for epoch in range(3):
        expected = sampler(120, epoch)
        wanted, frame_positions = frames_to_read(expected)
        for options in ({}, {"num_frames": 120, "exact_seek": info.exact_seek}):
            frames = read_frames(
                path, lambda n, e=epoch: frames_to_read(sampler(n, e))[0], **options
            )
            assert len(frames) == len(wanted)
            assert np.array_equal(np.array(numbers(frames))[frame_positions], expected)


def test_cut_without_encoding(tmp_path):
    """As Kinetics is cut: from a key frame, and the frames before the cut are hidden by times."""

    source = write_video(tmp_path / "whole.mp4", 200, codec="libx264", g="30", bf="2")
    path = tmp_path / "cut.mp4"
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(source)) as whole, av.open(str(path), "w", options=options) as cut:
        stream = cut.add_stream_from_template(whole.streams.video[0])
        packets = [packet for packet in whole.demux(video=0) if packet.pts is not None]
        start = 45 * packets[0].duration
        first = max(i for i, p in enumerate(packets) if p.is_keyframe and p.pts <= start)
        for packet in packets[first:]:
            packet.pts -= start
            packet.dts -= start
            packet.stream = stream
            cut.mux(packet)
    assert probe_video(path) == VideoInfo(155, WIDTH, HEIGHT, True, None)
    counts = []
    frames = read_frames(path, lambda n: counts.append(n) or [0, 100, n - 1])
    assert counts == [168, 155] and numbers(frames) == [45, 145, 199]
    assert numbers(read_frames(path, lambda n: [50], 155, exact_seek=True)) == [95]


def test_exact_seek_needs_the_number_of_frames(tmp_path):
    with pytest.raises(ValueError, match="Received: num_frames=None"):
        read_frames(tmp_path / "a.webm", lambda n: [0], exact_seek=True)


def test_fewer_frames_than_expected(tmp_path):
    path = write_video(tmp_path / "short.webm", 30)
    with pytest.raises(
        BadVideoError, match="short.webm': a file of 30 frames where 40 are expected"
    ):
        read_frames(path, lambda n: [n - 1], num_frames=40)


@pytest.mark.parametrize("degrees, matrix", [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1))])
def test_turned_by_the_container(tmp_path, degrees, matrix):
    path = write_video(tmp_path / "turned.mp4", 40, codec="libx264")
    data = bytearray(path.read_bytes())
    # The first four numbers that are not 0 by definition in the matrix of `tkhd`, 16.16 bit.
    start = data.index(b"tkhd") + 4 + 40
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[start + offset : start + offset + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    for options in ({}, {"num_frames": 40, "exact_seek": True}):
        frames = read_frames(path, lambda n: [20, 39], **options)
        upright = np.rot90(frames, degrees // 90, axes=(1, 2))
        assert upright.shape == (2, HEIGHT, WIDTH, 3) and numbers(upright) == [20, 39]
    height, width = frames.shape[1:3]
    assert probe_video(path) == VideoInfo(40, width, height, True, None)


def test_huge_pictures(tmp_path):
    """Only the frames that are wanted are held."""
    path = write_video(
        tmp_path / "wide.mp4", 40, codec="libx264", size=(8192, 64), preset="ultrafast"
    )
    frames = read(path, [7])
    assert frames.shape == (1, 64, 8192, 3) and numbers(frames) == [7]


def test_pictures_that_cannot_be_held(tmp_path, monkeypatch):
    def refuse(*_):
        raise MemoryError("no memory")

    path = write_video(tmp_path / "a.webm", 3)
    monkeypatch.setattr("smallbig_keras.data.decoding.np.empty", refuse)
    with pytest.raises(BadVideoError, match="a.webm': a file whose frames cannot be held"):
        read(path, [0])


def test_wrong_frame_count_is_corrected(tmp_path):
    path = write_video(tmp_path / "vfr.webm", 120, times=TIMES)
    counts = []
    read_frames(path, lambda count: counts.append(count) or [0])
    assert counts[0] > 120 and counts[1:] == [120]


def test_colours_are_rgb(tmp_path):

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
}


@pytest.mark.parametrize("suffix", PICTURES)
def test_pictures_are_refused_by_their_content(tmp_path, suffix):
    for video in every_way(PICTURES[suffix], tmp_path, suffix):
        name = "bytes in memory" if isinstance(video, bytes) else f"{video.name}'"
        with pytest.raises(BadVideoError, match=f"{name}: a picture$"):
            read(video, [0])
        with pytest.raises(BadVideoError, match=f"{name}: a picture$"):
            read_frames(video, lambda n: [0], num_frames=1)
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


def test_one_frame(tmp_path):
    assert numbers(read(write_video(tmp_path / "one.webm", 1), [0, 5])) == [0, 0]


def test_videos_in_memory(tmp_path):
    data = write_video(tmp_path / "a.webm", 120).read_bytes()
    for bad, reason in (
        (b"", "0 bytes in memory: a file that is not a video"),
        (b"text" * 99, "396 bytes in memory: a file that is not a video"),
        (data[: len(data) * 7 // 10], "in memory: a truncated file"),
    ):
        with pytest.raises(BadVideoError, match=reason):
            read(bad, [0])
    # OpenCV crashes when a stream is gone before its capture.
    for _ in range(20):
        assert numbers(read(bytes(bytearray(data)), [5])) == [5]


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


def test_seeking_in_a_still_is_not_proven(tmp_path):
    still = {"codec": "ffv1", "paint": lambda *_: picture(5)}
    path = write_video(tmp_path / "still.mkv", 40, **still)
    assert probe_video(path) == VideoInfo(40, WIDTH, HEIGHT, False, None)
    # So near to the start nothing is sought.
    path = write_video(tmp_path / "short.mkv", 17, **still)
    assert probe_video(path.read_bytes()) == VideoInfo(17, WIDTH, HEIGHT, True, None)
