"""Bare decoders of the comparison in `benchmarks.loader`: from a file and frames to RGB.

As a program, torchcodec in the environment that has it: it answers lines of clips with a rate.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np


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
    """Decodes to the end, as version 0.1.0 did with a file that it met for the first time."""
    import cv2

    capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames, chosen, index = [], set(wanted.tolist()), 0
    while capture.grab():
        if index in chosen:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
        index += 1
    capture.release()
    return np.stack(frames)


def read_exactly(file, wanted):
    from smallbig_keras.data import read_frames

    return read_frames(file, lambda _: wanted)


def clips_per_second(decode, clips, workers):
    """The rate at which `decode(file, wanted)` gives clips, in threads."""
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda clip: decode(*clip), clips):
            pass
    return len(clips) / (time.perf_counter() - start)


class Server:
    """torchcodec in a process of another environment: it is timed there, as the others here."""

    def __init__(self, python):
        command = [python, __file__]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def rate(self, _, clips, workers):
        """Returns the clips a second."""
        question = [[(file, wanted.tolist()) for file, wanted in clips], workers]
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
    serve_torchcodec()
