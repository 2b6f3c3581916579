"""Colours are those that were encoded, by the matrix and the range that the stream states."""

import pathlib

import av
import cv2
import numpy as np
import pytest

from smallbig_keras.data import read_frames

CASES = pathlib.Path(__file__).parent / "cases"
# Luma weights of red and blue, and FFmpeg's numbers of matrix, primaries and transfer. That of
# bt2020 is PQ, as phones film HDR.
MATRICES = {
    "bt601": (0.299, 0.114, 6, 6, 6),
    "bt709": (0.2126, 0.0722, 1, 1, 1),
    "bt2020": (0.2627, 0.0593, 9, 9, 16),
}
COLOURS = np.array(
    [
        *([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [128, 128, 128]),
        *([200, 60, 40], [40, 180, 90], [30, 80, 200], [240, 200, 170], [90, 60, 20], [12, 30, 60]),
    ],
    np.uint8,
)


def patches():
    return np.kron(COLOURS.reshape(3, 4, 3), np.ones((16, 16, 1), np.uint8))


def to_planes(rgb, matrix, full, bits):
    """Y'CbCr by the definition of ITU-R BT.601, 709 and 2020."""
    red, blue, *_ = MATRICES[matrix]
    r, g, b = np.moveaxis(rgb / 255, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    chroma = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    unit = 1 << bits - 8
    if full:
        planes = [y * (256 * unit - 1), *(c * (256 * unit - 1) + 128 * unit for c in chroma)]
    else:
        planes = [(16 + 219 * y) * unit, *((128 + 224 * c) * unit for c in chroma)]
    return [np.rint(p).clip(0, 256 * unit - 1).astype("<u2" if bits > 8 else "u1") for p in planes]


def write(path, matrix, full, chroma, bits, codec):
    y, *others = to_planes(patches().astype(float), matrix, full, bits)
    step = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}[chroma]
    planes = [y, *(plane[:: step[0], :: step[1]] for plane in others)]
    pix_fmt = f"yuv{chroma}p{'' if bits == 8 else f'{bits}le'}"
    _, _, space, primaries, transfer = MATRICES[matrix]
    # Of one frame alone x265 does not know the delay of B-frames, and its time is what memory held.
    x265 = {"x265-params": "lossless=1:bframes=0:log-level=none"}
    lossless = {"libx264": {"qp": "0"}, "libx265": x265}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *y.shape, pix_fmt
        stream.options = lossless.get(codec, {})
        context = stream.codec_context
        context.colorspace, context.color_range = space, 2 if full else 1
        context.color_primaries, context.color_trc = primaries, transfer
        frame = av.VideoFrame(*y.shape[::-1], pix_fmt)
        frame.colorspace, frame.color_range = space, 2 if full else 1
        for target, plane in zip(frame.planes, planes, strict=True):
            rows = np.zeros((target.height, target.line_size // plane.itemsize), plane.dtype)
            rows[:, : plane.shape[1]] = plane
            target.update(rows.tobytes())
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(
    "name, chroma, bits, codec",
    [
        ("a.mp4", "444", 8, "libx264"),
        ("a.mp4", "444", 10, "libx264"),
        ("a.mp4", "444", 10, "libx265"),
        ("a.mkv", "444", 12, "libx265"),
        ("a.mkv", "444", 8, "ffv1"),
    ],
)
def test_colours(tmp_path, name, chroma, bits, codec, matrix, full):
    (frame,) = read_frames(write(tmp_path / name, matrix, full, chroma, bits, codec), lambda n: [0])
    wrong = np.abs(frame[8::16, 8::16].astype(int) - patches()[8::16, 8::16])
    assert wrong.max() <= 2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(
    "chroma, bits, codec",
    [("420", 8, "libx264"), ("422", 8, "libx264"), ("420", 10, "libx264")],
)
def test_fewer_pixels_of_colour(tmp_path, chroma, bits, codec, matrix, full):
    """FFmpeg's own conversion, which rounds down: the same numbers as in other decoders.

    Of 343 colours of 8 bits in limited range 5 % are off by 3, the others by less.
    """
    path = write(tmp_path / "a.mp4", matrix, full, chroma, bits, codec)
    (frame,) = read_frames(path, lambda n: [0])
    with av.open(str(path)) as file:
        plain = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(frame, plain)
    wrong = np.abs(frame[8::16, 8::16].astype(int) - patches()[8::16, 8::16])
    assert wrong.max() <= (3 if bits == 8 else 4)


def test_interlaced_frames_are_those_of_ffmpeg():
    """Neither leftovers of memory nor the colours of fields."""
    expected = cv2.imread(str(CASES / "interlaced_frame_5.png"))[..., ::-1]
    for _ in range(2):
        (frame,) = read_frames(CASES / "interlaced.mp4", lambda n: [5])
        assert np.abs(frame.astype(int) - expected).max() <= 2
