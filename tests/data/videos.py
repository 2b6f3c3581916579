"""Test videos whose frames carry their own number."""

from fractions import Fraction

import av
import cv2
import numpy as np

WIDTH, HEIGHT, BITS = 96, 64, 9


def picture(number, width=WIDTH, height=HEIGHT):
    """`(height, width, 3)` uint8: the number in binary, as black and white stripes."""
    stripes = np.zeros((height, width, 3), np.uint8)
    for bit, columns in enumerate(np.array_split(np.arange(width), BITS)):
        stripes[:, columns] = 235 * (number >> bit & 1)
    return stripes


def numbers(frames):
    """The numbers in frames `(n, height, width, 3)`."""
    parts = np.array_split(np.asarray(frames, np.float32), BITS, axis=2)
    bits = [part[:, :, 2:-2].mean(axis=(1, 2, 3)) > 117 for part in parts]
    return sum(bit.astype(int) << i for i, bit in enumerate(bits)).tolist()


def write_video(
    path,
    count,
    codec="libvpx-vp9",
    times=None,
    container=None,
    size=(WIDTH, HEIGHT),
    pix_fmt="yuv420p",
    paint=picture,
    **options,
):
    """Writes `paint(0)` to `paint(count - 1)`, at `times` in milliseconds or at 25 a second."""
    if codec == "libvpx-vp9":
        options = {"deadline": "realtime", "cpu-used": "8", **options}
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.options = options
        unit = Fraction(1, 25) if times is None else Fraction(1, 1000)
        if times is not None:
            stream.codec_context.time_base = unit
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(paint(i, *size), format="rgb24")
            frame.pts, frame.time_base = (i if times is None else times[i]), unit
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def write_frames(folder, count, template="img_{:05d}.jpg", size=(WIDTH, HEIGHT), first=1):
    """Writes frames 0 to `count - 1` as pictures from the number `first` on."""
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / template.format(i + first)), picture(i, *size))
    return folder
