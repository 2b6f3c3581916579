"""Clips a second of every way to read them, against bare decoders on the same frames.

    python -m benchmarks.loader                          # about twenty minutes, 1 GB of disk
    python -m benchmarks.loader --codecs VP9 --rounds 3
    python -m benchmarks.loader --torchcodec PYTHON      # also that of another environment
    python -m benchmarks.loader --memory 2000            # memory over that many clips of each way

Clips of 8 frames, stride 8, from videos of 300 frames of real footage, 320x256, cut to 224 pixels
by the same random crop, uint8. `OpenCV` decodes to the end, as version 0.1.0 did in a first epoch.
`PyAV` is a plain loop that is as exact: scan, seek, decode, convert. Both run in as many threads as
there are workers, without augmentation and batches. torchcodec is in its exact mode with one thread
a file; it needs a Python that has it (pip install torch torchcodec, and FFmpeg's libraries).

The first table is of decoders alone, the second of whole loaders. All ways take turns, each round
on the same clips; a figure is the median of the rounds, a ratio the median of those of a round.
"""

import argparse
import collections
import itertools
import mmap
import pathlib
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks import flags
from benchmarks.decoders import (
    Server,
    clips_per_second,
    read_exactly,
    read_plainly,
    read_to_the_end,
)

FRAMES, STRIDE, SIZE, WIDTH, HEIGHT, LENGTH = 8, 8, 224, 320, 256, 300
TEMPLATE = "img_{:05d}.jpg"
X265 = "keyint=120:log-level=none"
CODECS = {
    "h264 12": ("mp4", "libx264", {"crf": "23", "g": "12"}),
    "h264 250": ("mp4", "libx264", {"crf": "23", "g": "250"}),
    "VP9": ("webm", "libvpx-vp9", {"crf": "33", "b": "0", "g": "120", "cpu-used": "4"}),
    "AV1": ("mp4", "libsvtav1", {"crf": "35", "preset": "10", "g": "120"}),
    "HEVC": ("mp4", "libx265", {"crf": "26", "preset": "fast", "x265-params": X265}),
}
# Clips that a loader holds ready, at most.
PREPARED = 48
FIRST, EARLIER, PLAIN = "loader, first epoch", "OpenCV, to the end", "PyAV"
FOLDERS, SHARDS = "folders of JPEG", "shards of JPEG"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=list(CODECS))
    parser.add_argument("--videos", type=int, default=8, help="files of a codec")
    parser.add_argument("--clips", type=int, default=48, help="clips of a way in a round")
    parser.add_argument("--rounds", type=flags.count, default=7)
    parser.add_argument("--workers", type=int, help="threads; one a processor if not given")
    parser.add_argument("--torchcodec", metavar="PYTHON", help="a Python that has torchcodec")
    parser.add_argument("--memory", type=int, metavar="CLIPS", help="measure memory, not speed")
    parser.add_argument("--keep", metavar="DIR", help="folder for the data, kept for later runs")
    args = parser.parse_args()
    from smallbig_keras.machine import num_processors, set_environment

    set_environment()
    args.workers = args.workers or num_processors()
    folder = pathlib.Path(args.keep or tempfile.mkdtemp())
    try:
        files = {codec: write_videos(folder, codec, args.videos) for codec in args.codecs}
        if args.memory:
            return measure_memory(folder, files, args)
        measure_decoders(files, args)
        measure_loaders(folder, files, args)
    finally:
        if not args.keep:
            shutil.rmtree(folder)


def write_videos(folder, codec, count):
    """Encodes real footage once; each video begins at another of its frames."""
    import av

    from smallbig_keras.data import read_frames
    from smallbig_keras.data.sample_set import find_footage

    suffix, encoder, options = CODECS[codec]
    place = folder / codec.replace(" ", "_")
    files = [place / f"{i:02d}.{suffix}" for i in range(count)]
    if all(file.exists() for file in files):
        return files
    place.mkdir(parents=True, exist_ok=True)
    footage = read_frames(find_footage() / "bikes.mp4", range)[:, 8 : 8 + HEIGHT, 160 : 160 + WIDTH]
    for i, file in enumerate(files):
        with av.open(str(file), "w") as output:
            stream = output.add_stream(encoder, rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.options = options
            for k in range(LENGTH):
                frame = np.ascontiguousarray(footage[(i * 31 + k) % len(footage)])
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            output.mux(stream.encode())
    return files


def measure_decoders(files, args):
    """Prints the table of decoders alone, with one worker and with all."""
    server = args.torchcodec and Server(args.torchcodec)
    names = ["read_frames", PLAIN, EARLIER, *(["torchcodec"] if server else [])]
    decoders = dict(zip(names, (read_exactly, read_plainly, read_to_the_end), strict=False))
    header = [f"{name}" for name in names] + [f"of {name}" for name in names[1:]]
    print(f"| decoder alone | workers | {' | '.join(header)} |")
    print("|---|---|" + "---|" * len(header))
    rng = np.random.default_rng(0)
    for codec, workers in itertools.product(files, sorted({1, args.workers})):
        rates = {name: [] for name in names if (name, codec) != (EARLIER, "AV1")}
        for turn in range(args.rounds):
            clips = draw_clips(files[codec], args.clips, rng)
            for name in rotated(list(rates), turn):
                rate = server.rate if name == "torchcodec" else clips_per_second
                rates[name].append(rate(decoders.get(name), clips, workers))
        cells = [figure(rates.get(name)) for name in names]
        cells += [ratio(rates["read_frames"], rates.get(name)) for name in names[1:]]
        print(f"| {codec} | {workers} | {' | '.join(cells)} |", flush=True)


def draw_clips(files, count, rng):
    starts = rng.integers(LENGTH - (FRAMES - 1) * STRIDE, size=count)
    return [
        (str(files[i % len(files)]), np.arange(FRAMES) * STRIDE + start)
        for i, start in enumerate(starts)
    ]


def rotated(names, turn):
    """Each way is first in some round: what runs beside is not always beside the same one."""
    return names[turn % len(names) :] + names[: turn % len(names)]


def figure(rates):
    return f"{statistics.median(rates):.1f}" if rates else "no decoder"


def ratio(own, others):
    if not others:
        return ""
    return f"{statistics.median(a / b for a, b in zip(own, others, strict=True)):.2f}"


def measure_loaders(folder, files, args):
    """Prints the table of whole loaders."""
    print("\n| way | clips a second | of PyAV | of OpenCV, to the end | of folders of JPEG |")
    print("|---|---|---|---|---|")
    for number, codec in enumerate(files):
        # JPEG files of the first codec stand for those of all.
        ways = make_ways(folder, files[codec], args, pictures=number == 0)
        if codec == "AV1":
            del ways[EARLIER]
        streams = {name: way() for name, way in ways.items()}
        rates = {name: [] for name in ways}
        for turn in range(args.rounds):
            for name in rotated(list(ways), turn):
                # Clips that were made while others had their turn do not count.
                take(streams[name], PREPARED)
                count = args.clips * (8 if "JPEG" in name else 1)
                start = time.perf_counter()
                take(streams[name], count)
                rates[name].append(count / (time.perf_counter() - start))
        for name, own in rates.items():
            cells = [ratio(own, rates.get(other)) for other in (PLAIN, EARLIER, FOLDERS)]
            title = name if "JPEG" in name else f"{codec}: {name}"
            print(f"| {title} | {figure(own)} | {' | '.join(cells)} |", flush=True)


def take(stream, count):
    for _ in itertools.islice(stream, count):
        pass


def make_ways(folder, files, args, pictures):
    """Returns functions that give endless clips, by name."""
    from smallbig_keras import data

    videos = [data.Video(str(file), i % 4, f"{i}") for i, file in enumerate(files)]
    infos = {video.path: data.probe_video(video.path) for video in videos}
    contents = ["video", *(["frames"] if pictures else [])]
    for content in contents:
        options = data.ShardOptions("csv", content, shard_mb=64)
        place = folder / content / files[0].parent.name
        data.make_shards({"train": videos}, list("abcd"), place, options, infos)

    class ForgetfulSource(data.VideoSource):
        """Reads every file as if it were the first time."""

        def learn(self, video, times, frames):
            """Notes nothing."""

    place = files[0].parent.name
    sources = {
        FIRST: ForgetfulSource(videos),
        "loader, later epochs": data.VideoSource(videos, infos),
        "shards of videos": data.ShardSource(folder / "video" / place, "train"),
    }
    if pictures:
        frames = [
            data.Video(str(folder / "jpeg" / video.id), video.label, video.id, LENGTH, TEMPLATE)
            for video in videos
        ]
        write_pictures(frames, videos)
        sources[FOLDERS] = data.VideoSource(frames)
        sources[SHARDS] = data.ShardSource(folder / "frames" / place, "train")
    ways = {
        EARLIER: lambda: bare_clips(read_to_the_end, files, args.workers),
        PLAIN: lambda: bare_clips(read_plainly, files, args.workers),
    }
    for name, source in sources.items():
        ways[name] = lambda source=source: loader_clips(source, args.workers)
    return ways


def write_pictures(frames, videos):
    """Writes JPEG files of quality 90, as the shards hold."""
    import tensorflow as tf

    from smallbig_keras.data.decoding import iterate_frames

    for target, video in zip(frames, videos, strict=True):
        folder = pathlib.Path(target.path)
        folder.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(iterate_frames(video.path), start=1):
            jpeg = tf.io.encode_jpeg(frame, quality=90).numpy()
            (folder / TEMPLATE.format(number)).write_bytes(jpeg)


def bare_clips(read, files, workers):
    """Clips of a decoder in threads, cut as the loader cuts them."""
    import tensorflow as tf

    from smallbig_keras.data import transforms

    @tf.function(input_signature=[tf.TensorSpec((FRAMES, None, None, 3), tf.uint8)])
    def cut(frames):
        return transforms.to_uint8(transforms.random_crop(frames, SIZE, (0, 0), 256, 320))

    rng, waiting = np.random.default_rng(0), collections.deque()
    with ThreadPoolExecutor(workers) as threads:
        while True:
            for clip in draw_clips(files, len(files), rng):
                waiting.append(threads.submit(lambda clip=clip: cut(read(*clip))))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()


def loader_clips(source, workers):
    """Clips of `clip_dataset`, as `fit` takes them."""
    from smallbig_keras import data

    clips = data.clip_dataset(
        source,
        frames=FRAMES,
        size=SIZE,
        batch_size=8,
        training=True,
        sampling="dense",
        stride=STRIDE,
        epochs=1000000,
        num_parallel_calls=workers,
        normalize=False,
    )
    for _, labels in clips:
        yield from range(len(labels))


def measure_memory(folder, files, args):
    """Prints how much memory more clips take."""
    print(f"| way | GB after {args.memory // 4} clips | GB after {args.memory} | more |")
    print("|---|---|---|---|")
    for number, codec in enumerate(files):
        ways = make_ways(folder, files[codec], args, pictures=number == 0)
        for name in [name for name in ways if name not in (EARLIER, PLAIN)]:
            stream, sizes = ways[name](), []
            for wanted in (args.memory // 4, args.memory - args.memory // 4):
                take(stream, wanted)
                sizes.append(resident_memory() / 1e9)
            first, last = sizes
            title = name if "JPEG" in name else f"{codec}: {name}"
            print(f"| {title} | {first:.2f} | {last:.2f} | {last - first:+.2f} |", flush=True)


def resident_memory():
    """Bytes of memory of this process, now where the system tells, else at most so far."""
    from smallbig_keras.machine import peak_memory

    status = pathlib.Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * mmap.PAGESIZE
    return peak_memory()


if __name__ == "__main__":
    main()
