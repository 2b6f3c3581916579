"""Clips a second of the decoder alone, against other decoders, on the same frames.

    python benchmarks/decoders.py                                # about three minutes
    python benchmarks/decoders.py --torchcodec PYTHON            # with that of another environment

`read_frames` reads files that it has not met before, which includes the scan of their packets, and
files whose times it knows. `PyAV` is a plain loop: scan, seek, decode, convert. `OpenCV` decodes to
the end, as version 0.1.0 did in its first epoch. torchcodec is in its exact mode with one thread a
file; it needs a Python that has it (pip install torch torchcodec, and FFmpeg's libraries).

Clips of 8 frames, stride 8, from videos of 300 frames of real footage, 320x256. The decoders run
in turn, each round on the same starts, in as many threads as there are workers; a figure is the
median of the rounds, a ratio the median of the ratios of a round.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

FRAMES, STRIDE, WIDTH, HEIGHT, LENGTH = 8, 8, 320, 256, 300
CODECS = {
    "h264, key frame every 12": ("h264_12.mp4", "libx264", {"crf": "23", "g": "12"}),
    "h264, key frame every 250": ("h264_250.mp4", "libx264", {"crf": "23", "g": "250"}),
    "VP9": ("vp9.webm", "libvpx-vp9", {"crf": "33", "b": "0", "g": "120", "cpu-used": "4"}),
    "AV1": ("av1.mp4", "libsvtav1", {"crf": "35", "preset": "10", "g": "120"}),
    "HEVC": (
        "hevc.mp4",
        "libx265",
        {"crf": "26", "preset": "fast", "x265-params": "keyint=120:log-level=none"},
    ),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=48, help="clips of a codec in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--torchcodec", metavar="PYTHON", help="a Python that has torchcodec")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve_torchcodec()
    with tempfile.TemporaryDirectory() as folder:
        files = write_videos(pathlib.Path(folder))
        measure(files, args)


def write_videos(folder):
    """Encodes real footage with each codec; returns the files by the name of the codec."""
    import av

    from smallbig_keras.data import read_frames
    from smallbig_keras.data.sample_set import find_footage

    footage = read_frames(find_footage() / "bikes.mp4", range)
    top, left = (footage.shape[1] - HEIGHT) // 2, (footage.shape[2] - WIDTH) // 2
    footage = footage[:, top : top + HEIGHT, left : left + WIDTH]
    files = {}
    for name, (file, codec, options) in CODECS.items():
        files[name] = folder / file
        with av.open(str(files[name]), "w") as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.options = options
            for k in range(LENGTH):
                frame = np.ascontiguousarray(footage[k % len(footage)])
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            output.mux(stream.encode())
    return files


def measure(files, args):
    from smallbig_keras.data import read_frames
    from smallbig_keras.data.decoding import read_with_times

    known = {str(file): read_with_times(file, lambda _: [0])[1] for file in files.values()}
    decoders = {
        "read_frames": lambda file, wanted: read_frames(file, lambda _: wanted),
        "read_frames, times known": lambda file, wanted: read_frames(
            file, lambda _: wanted, known[file]
        ),
        "PyAV": read_plainly,
        "OpenCV": read_to_the_end,
    }
    rng = np.random.default_rng(0)
    server = args.torchcodec and Server(args.torchcodec)
    names = [*decoders, *(["torchcodec"] if server else [])]
    print(f"| video | workers | {' | '.join(names)} | read_frames is |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for codec, file in files.items():
        expected = decoders["OpenCV"](str(file), np.arange(8) * 8) if "AV1" not in codec else None
        for workers in args.workers:
            rates = {name: [] for name in names}
            for _ in range(args.rounds):
                starts = rng.integers(LENGTH - (FRAMES - 1) * STRIDE, size=args.clips)
                clips = [np.arange(FRAMES) * STRIDE + start for start in starts]
                for name in names:
                    if name == "torchcodec":
                        rate = server.rate(file, clips, workers)
                    elif name == "OpenCV" and expected is None:
                        continue
                    else:
                        rate = clips_per_second(decoders[name], str(file), clips, workers)
                    rates[name].append(rate)
            figures = [f"{statistics.median(r):.1f}" if r else "cannot" for r in rates.values()]
            ratios = [
                f"{ratio(rates['read_frames'], other):.2f} of {name}"
                for name, other in rates.items()
                if other and not name.startswith("read_frames")
            ]
            print(f"| {codec} | {workers} | {' | '.join(figures)} | {', '.join(ratios)} |")


def clips_per_second(decode, file, clips, workers):
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for frames in pool.map(lambda wanted: decode(file, wanted), clips):
            if frames.shape != (FRAMES, HEIGHT, WIDTH, 3):
                raise SystemExit(f"A clip has another shape. Received: {frames.shape}")
    return len(clips) / (time.perf_counter() - start)


def ratio(own, others):
    return statistics.median(a / b for a, b in zip(own, others, strict=True))


def read_plainly(file, wanted):
    """A plain loop of PyAV that is as exact: scan, seek, decode, convert."""
    import av

    with av.open(file) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_type, stream.codec_context.thread_count = "SLICE", 1
        packets = [packet.pts for packet in container.demux(stream) if packet.size]
        times = np.sort(packets)[wanted].tolist()
        found = {}
        container.seek(times[0], stream=stream)
        for frame in container.decode(stream):
            if frame.pts in times:
                found[frame.pts] = frame.to_ndarray(format="rgb24")
                if len(found) == len(times):
                    break
        return np.stack([found[time] for time in times])


def read_to_the_end(file, wanted):
    """What version 0.1.0 did with a file that it met for the first time."""
    import cv2

    capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames, chosen, index = [], set(wanted.tolist()), 0
    while capture.grab():
        if index in chosen:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
        index += 1
    capture.release()
    return np.stack(frames)


class Server:
    """torchcodec in a process of another environment: it is timed there, like the others here."""

    def __init__(self, python):
        command = [python, __file__, "--serve", "torchcodec"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def rate(self, file, clips, workers):
        """Returns the clips a second."""
        question = [str(file), [clip.tolist() for clip in clips], workers]
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def serve_torchcodec():
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)

    def decode(file, wanted):
        decoder = VideoDecoder(file, num_ffmpeg_threads=1, dimension_order="NHWC")
        return decoder.get_frames_at(indices=wanted).data.numpy()

    for line in sys.stdin:
        print(clips_per_second(decode, *json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
