"""The frames that a sampler chooses, whatever the codec and the container."""

import os
import pathlib

import av
import numpy as np
import pytest

from smallbig_keras.data import BadVideoError, FrameTimes, Sampler, probe_video, read_frames
from smallbig_keras.data.decoding import iterate_frames, read_with_times
from smallbig_keras.data.sampling import frames_to_read
from tests.data.kinds import BY_TIME, COUNT, KINDS, TIMES
from tests.data.videos import HEIGHT, WIDTH, numbers, picture, write_video

SUBSETS = 5


def read(video, indices):
    return read_frames(video, lambda count: [i % count for i in indices])


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_exact(tmp_path, name):
    """Random frames are those of the full decode: from a path, bytes and a file, known or not."""
    path = write_video(tmp_path / name, COUNT, **KINDS[name])
    width, height = KINDS[name].get("size", (WIDTH, HEIGHT))
    whole, times = read_with_times(path, range)
    assert whole.shape == (COUNT, height, width, 3) and whole.dtype == np.uint8
    assert numbers(whole) == list(range(COUNT))
    if "interlaced" not in name:
        with av.open(str(path)) as file:
            plain = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert np.array_equal(whole, plain)
    assert bool(times.times) == (name in BY_TIME)
    info = probe_video(path)
    assert (info.num_frames, info.width, info.height) == (COUNT, width, height)
    assert info.times == times and info.error is None
    rng = np.random.default_rng(0)
    for subset in range(SUBSETS):
        wanted = rng.integers(COUNT, size=rng.integers(1, 9))
        for known in (None, times):
            with open(path, "rb") as file:
                video = (path, path.read_bytes(), file)[subset % 3]
                frames, found = read_with_times(video, lambda _, w=wanted: w, known)
            assert np.array_equal(frames, whole[wanted]) and found == times


def test_the_table_of_the_documentation():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "videos.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    tables = {suffix.strip(): row[1:] for row in rows for suffix in row[0].split(",")}
    for name in KINDS:
        stem, suffix = name.split(".")
        cell = tables[suffix][0 if name in BY_TIME else 1]
        assert stem.split("_")[0] in cell, name


@pytest.mark.parametrize("name", ["h264.mp4", "h264_variable_rate.mp4", "vp9.webm", "mpeg2.mpg"])
@pytest.mark.parametrize("sampling", ["segment", "dense"])
@pytest.mark.parametrize("training", [False, True])
def test_every_sampler_gets_its_frames(tmp_path, name, sampling, training):
    path = write_video(tmp_path / name, COUNT, **KINDS[name])
    sampler = Sampler(sampling, 8, stride=5, clips=1 if training else 10, training=training)
    times = None
    for epoch in range(SUBSETS):
        expected = sampler(COUNT, epoch)
        wanted, frame_positions = frames_to_read(expected)
        choose = lambda n, e=epoch: frames_to_read(sampler(n, e))[0]  # noqa: E731
        frames, times = read_with_times(path, choose, times)
        assert len(frames) == len(wanted)
        assert np.array_equal(np.array(numbers(frames))[frame_positions], expected)


def cut_without_encoding(source, path, start):
    """From a key frame on; frames before the cut are hidden by an edit list."""
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(source)) as whole, av.open(str(path), "w", options=options) as cut:
        stream = cut.add_stream_from_template(whole.streams.video[0])
        packets = [packet for packet in whole.demux(video=0) if packet.pts is not None]
        start = start * packets[0].duration
        first = max(i for i, p in enumerate(packets) if p.is_keyframe and p.pts <= start)
        for packet in packets[first:]:
            packet.pts -= start
            packet.dts -= start
            packet.stream = stream
            cut.mux(packet)
    return path


def test_edit_list(tmp_path):
    """As Kinetics is cut."""
    source = write_video(tmp_path / "whole.mp4", 200, codec="libx264", g="30", bf="2")
    path = cut_without_encoding(source, tmp_path / "cut.mp4", 45)
    counts = []
    frames, times = read_with_times(path, lambda n: counts.append(n) or [0, 100, n - 1])
    assert counts == [155] and numbers(frames) == [45, 145, 199]
    assert numbers(read_with_times(path, lambda n: [50, 3], times)[0]) == [95, 48]
    assert numbers(read(path, range(155))) == list(range(45, 200))


def test_stream_that_begins_between_key_frames(tmp_path):
    """A part of a broadcast: frames before the first key frame cannot be decoded."""
    path = write_video(tmp_path / "part.ts", 200, codec="libx264", bf="2", g="40")
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 188 // 3 * 188 :])
    counts = []
    found = numbers(read_frames(path, lambda n: counts.append(n) or range(n)))
    assert found == list(range(200 - counts[-1], 200)) and len(found) > 100


def from_key_frame(source, path, number):
    """A copy of the packets from a key frame on."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as part:
        stream, met = part.add_stream_from_template(whole.streams.video[0]), 0
        for packet in whole.demux(video=0):
            met += packet.is_keyframe
            if packet.size and met >= number:
                packet.stream = stream
                part.mux(packet)
    return path


@pytest.mark.parametrize(
    "name", ["mpeg2.ts", "mpeg2.mkv", "hevc_open_gop.mkv", "h264_open_gop.mkv"]
)
def test_open_group_at_the_beginning(tmp_path, name):
    """Frames that are shown before the first key frame need those that were cut off."""
    source = write_video(tmp_path / name, COUNT, **KINDS[name])
    path = from_key_frame(source, tmp_path / f"part_{name}", 3)
    with av.open(str(path)) as file:
        expected = numbers([f.to_ndarray(format="rgb24") for f in file.decode(video=0)])
    assert expected[-1] == COUNT - 1 and len(expected) < COUNT - 20
    rng = np.random.default_rng(0)
    known = probe_video(path).times
    for _ in range(SUBSETS):
        wanted = rng.integers(len(expected), size=4)
        for times in (None, known):
            counts = []
            frames = read_frames(path, lambda n, w=wanted, c=counts: c.append(n) or w, times)
            assert numbers(frames) == [expected[i] for i in wanted]
            assert counts[-1] == len(expected)


def test_pictures_of_mpeg4_that_are_not_coded(tmp_path):
    """XviD writes them where nothing changes: a packet that gives no frame."""
    path = tmp_path / "empty.avi"
    source = write_video(tmp_path / "full.avi", 60, codec="mpeg4", g="20", qscale="2")
    with av.open(str(source)) as whole, av.open(str(path), "w") as changed:
        stream = changed.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(video=0)):
            if packet.size and number in (25, 26):
                # Start code, P picture, time in 5 bits, `vop_coded` 0.
                empty = av.Packet(
                    b"\x00\x00\x01\xb6" + (0x5000 | (number % 20) << 7 | 0x4F).to_bytes(2, "big")
                )
                empty.pts, empty.dts, empty.time_base = packet.pts, packet.dts, packet.time_base
                packet = empty
            if packet.size:
                packet.stream = stream
                changed.mux(packet)
    with av.open(str(path)) as file:
        expected = numbers([f.to_ndarray(format="rgb24") for f in file.decode(video=0)])
    assert len(expected) == 58
    for wanted in ([3, 30, 50], [40], [57]):
        counts = []
        frames = read_frames(path, lambda n, w=wanted, c=counts: c.append(n) or w)
        assert numbers(frames) == [expected[i] for i in wanted] and counts[-1] == len(expected)


def test_a_sampler_of_several_clips(tmp_path):
    path = write_video(tmp_path / "a.webm", 60, g="20")
    sampler = Sampler("dense", 4, stride=3, clips=5)
    frames = read_frames(path, sampler)
    assert frames.shape == (5, 4, HEIGHT, WIDTH, 3)
    assert [numbers(clip) for clip in frames] == sampler(60).tolist()


@pytest.mark.parametrize("wrong", [[], [-1], [3, 30], [0.5], None])
def test_what_a_sampler_must_not_choose(tmp_path, wrong):
    path = write_video(tmp_path / "a.webm", 30)
    with pytest.raises(ValueError, match="of the frames 0 to 29, as whole numbers. Rec"):
        read_frames(path, lambda _: wrong)


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with open(tmp_path / "a.txt") as text:
        for wrong in (text, 5, None, object()):
            with pytest.raises(
                ValueError, match="A video must be a path, bytes, or a file that is"
            ):
                read(wrong, [0])


def test_times_that_begin_anew(tmp_path):
    """Two transport streams, one after the other: frames are counted."""
    path = write_video(tmp_path / "two.ts", 60, codec="libx264", bf="2", g="20")
    path.write_bytes(2 * path.read_bytes())
    frames, times = read_with_times(path, lambda n: [0, 59, 60, n - 1])
    assert numbers(frames) == [0, 59, 0, 59] and times == FrameTimes(120)


def test_no_frame_is_decoded_in_vain(tmp_path, monkeypatch):
    """A seek, and no pictures of use to no one: few of 300 frames are decoded for 8."""
    from smallbig_keras.data import decoding

    path = write_video(tmp_path / "long.mp4", 300, codec="libx264", g="12", bf="3")
    _, times = read_with_times(path, lambda _: [0])
    taken = []
    original = decoding._Frames.take
    monkeypatch.setattr(
        decoding._Frames, "take", lambda *args: taken.append(args[1]) or original(*args)
    )
    assert numbers(read_frames(path, lambda _: np.arange(8) * 40, times)) == list(range(0, 320, 40))
    assert len(taken) < 8 * 12


def test_times_in_few_bytes(tmp_path):
    for name in ("h264.mp4", "vp9.webm", "h264_variable_rate.mp4"):
        path = write_video(tmp_path / name, COUNT, **KINDS[name])
        _, times = read_with_times(path, lambda _: [0])
        listed = times.to_list()
        assert FrameTimes.from_list(listed) == times
        assert len(str(listed)) < (80 if "rate" not in name else 2 * COUNT + 80)
    for bad in (None, [], [3, "", "x"], [0, "", ""], [7, listed[1], listed[2]], [2, 5, 6]):
        with pytest.raises(ValueError, match="Not the times of frames. Received: "):
            FrameTimes.from_list(bad)


@pytest.mark.parametrize("degrees, matrix", [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1))])
def test_turned_by_the_container(tmp_path, degrees, matrix):
    path = write_video(tmp_path / "turned.mp4", 40, codec="libx264")
    data = bytearray(path.read_bytes())
    # The first four numbers that are not 0 by definition in the matrix of `tkhd`, 16.16 bit.
    start = data.index(b"tkhd") + 4 + 40
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[start + offset : start + offset + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    frames = read(path, [20, 39])
    upright = np.rot90(frames, degrees // 90, axes=(1, 2))
    assert upright.shape == (2, HEIGHT, WIDTH, 3) and numbers(upright) == [20, 39]
    info = probe_video(path)
    assert (info.height, info.width) == frames.shape[1:3]
    assert [frame.shape for frame in iterate_frames(path)] == [frames.shape[1:]] * 40


@pytest.mark.parametrize("change", [{"size": (2 * WIDTH, 2 * HEIGHT)}, {"pix_fmt": "yuv444p"}])
def test_size_or_format_that_changes_in_the_stream(tmp_path, change):
    """Every frame has the size of the first one, whichever are read."""
    parts = []
    for options in ({}, change):
        part = write_video(tmp_path / f"{len(parts)}.ts", 60, codec="libx264", g="20", **options)
        parts.append(part.read_bytes())
    path = tmp_path / "changes.ts"
    path.write_bytes(b"".join(parts))
    for indices in ([0, 59, 60, 119], [119], [70, 3]):
        frames = read(path, indices)
        assert frames.shape[1:3] == (HEIGHT, WIDTH)
        assert numbers(frames) == [index % 60 for index in indices]


def test_the_best_of_several_streams(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, size in zip(streams, (48, 192), strict=True):
            stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for number in range(30):
            for stream, size in zip(streams, (48, 192), strict=True):
                frame = av.VideoFrame.from_ndarray(picture(number, size, size), format="rgb24")
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode())
    frames = read(path, [0, 17])
    assert frames.shape == (2, 192, 192, 3) and numbers(frames) == [0, 17]


def test_fewer_frames_than_expected(tmp_path):
    path = write_video(tmp_path / "short.mpg", 30, codec="mpeg1video")
    with pytest.raises(
        BadVideoError, match="short.mpg': a file of 30 frames where 40 are expected"
    ):
        read_frames(path, lambda n: [n - 1], FrameTimes(40))


def test_times_of_another_file(tmp_path):
    """Frames that are not met at their times are counted, and so is their number."""
    path = write_video(tmp_path / "a.webm", 50)
    other = write_video(tmp_path / "b.webm", 60, times=TIMES[:60])
    _, times = read_with_times(other, lambda _: [0])
    frames, found = read_with_times(path, lambda n: [n - 1], times)
    assert numbers(frames) == [49] and found == FrameTimes(50)


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


def test_one_frame(tmp_path):
    assert numbers(read(write_video(tmp_path / "one.webm", 1), [0, 5])) == [0, 0]


def test_a_file_is_read_from_its_beginning_and_stays_open(tmp_path):
    path = write_video(tmp_path / "a.webm", 30)
    with open(path, "rb") as file:
        file.seek(100)
        assert numbers(read(file, [5])) == numbers(read(file, [5])) == [5]


def test_names_that_are_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.webm", "-x.webm", "ä %05d #?.webm", "video", "file:c.webm"):
        os.rename(write_video(tmp_path / "good.webm", 3), name)
        assert numbers(read(name, range(3))) == [0, 1, 2]
