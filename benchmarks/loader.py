"""Clips a second of every path of the loader against the bare decoder, on the same frames.

    python benchmarks/loader.py                        # about ten minutes, 1 GB of disk
    python benchmarks/loader.py --rounds 5 --videos 64
    python benchmarks/loader.py --memory 2000          # memory over that many clips of each path

Training clips of 8 frames, stride 8, cropped to 224, mirrored and normalised, from videos of 300
frames of real footage, h264, 320x256, a key frame every 12. All paths take the frames of the same
sampler, run in turn in one process, and use as many threads as there are processors. `bare`
opens a file with OpenCV and decodes: to its end, to the last frame of the clip, or from a seek on.
It keeps the frames as they come, without augmentation and batches.
"""

import argparse
import itertools
import mmap
import pathlib
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from smallbig_keras import data
from smallbig_keras.data.sample_set import find_footage
from smallbig_keras.machine import num_processors, peak_memory, set_environment

set_environment()

FRAMES, STRIDE, SIZE, WIDTH, HEIGHT, LENGTH = 8, 8, 224, 320, 256, 300
TEMPLATE = "img_{:05d}.jpg"
# What each path is compared with.
BARE = {
    "loader, first epoch": "bare, to the end",
    "loader, later epochs": "bare, to the last frame",
    "loader, index": "bare, seek",
    "shards of videos": "bare, seek",
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=num_processors())
    parser.add_argument("--memory", type=int, metavar="CLIPS", help="measure memory, not speed")
    parser.add_argument("--keep", metavar="DIR", help="folder for the data, kept for later runs")
    args = parser.parse_args()
    folder = pathlib.Path(args.keep or tempfile.mkdtemp())
    try:
        paths = make_paths(folder, args)
        if args.memory:
            measure_memory(paths, args.memory)
        else:
            measure_speed(paths, args)
    finally:
        if not args.keep:
            shutil.rmtree(folder)


def make_paths(folder, args):
    """Writes the data once; returns functions of an epoch that give clips, by name."""
    files = sorted(folder.glob("videos/*.mp4"))
    if len(files) != args.videos:
        files = write_videos(folder / "videos", args.videos)
    videos = [data.Video(str(file), i % 4, file.stem) for i, file in enumerate(files)]
    infos = {video.path: data.probe_video(video.path) for video in videos}
    if not all(info.exact_seek for info in infos.values()):
        raise SystemExit("Seeking must be exact in the videos of the benchmark. Received: no")
    splits = {"train": videos}
    for content in ("frames", "video"):
        options = data.ShardOptions("csv", content, shard_mb=64)
        data.make_shards(splits, ["a", "b", "c", "d"], folder / content, options, infos)
    frames = [
        data.Video(str(folder / "jpeg" / video.id), video.label, video.id, LENGTH, TEMPLATE)
        for video in videos
    ]
    write_frames(frames, videos)
    sampler = data.Sampler("dense", FRAMES, STRIDE, training=True)
    bare = {
        "bare, to the end": lambda video, wanted: decode(video, wanted, LENGTH),
        "bare, to the last frame": lambda video, wanted: decode(video, wanted, wanted[-1] + 1),
        "bare, seek": lambda video, wanted: decode(video, wanted, wanted[-1] + 1, seek=True),
    }
    sources = {
        "loader, first epoch": ForgetfulSource(videos),
        "loader, later epochs": data.VideoSource(videos),
        "loader, index": data.VideoSource(videos, infos),
        "shards of videos": data.ShardSource(folder / "video", "train"),
        "folders of JPEG": data.VideoSource(frames),
        "shards of JPEG": data.ShardSource(folder / "frames", "train"),
    }
    paths = {
        name: lambda epoch, function=function: bare_clips(
            function, videos, sampler, epoch, args.workers
        )
        for name, function in bare.items()
    }
    for name, source in sources.items():
        paths[name] = lambda epoch, source=source: loader_clips(source, epoch, args.workers)
    return paths


class ForgetfulSource(data.VideoSource):
    """Reads every file as if it were the first time."""

    def learn(self, video, num_frames, frames):
        """Notes nothing."""


def write_videos(folder, count):
    """Encodes real footage; each video begins at another of its frames."""
    import av

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    capture = cv2.VideoCapture(str(find_footage() / "bikes.mp4"), cv2.CAP_FFMPEG)
    footage = []
    while capture.grab():
        frame = capture.retrieve()[1][8 : 8 + HEIGHT, 160 : 160 + WIDTH]
        footage.append(frame)
    files = [folder / f"{i:04d}.mp4" for i in range(count)]
    for i, file in enumerate(files):
        with av.open(str(file), "w") as output:
            stream = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.options = {"crf": "23", "g": "12", "preset": "veryfast"}
            for k in range(LENGTH):
                frame = footage[(i * 7 + k) % len(footage)]
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            output.mux(stream.encode())
    return files


def write_frames(frames, videos):
    """Writes JPEG files of quality 90, as the shards hold."""
    for target, video in zip(frames, videos, strict=True):
        folder = pathlib.Path(target.path)
        if folder.exists():
            continue
        folder.mkdir(parents=True)
        capture = cv2.VideoCapture(video.path, cv2.CAP_FFMPEG)
        for number in range(1, LENGTH + 1):
            quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
            cv2.imwrite(str(folder / TEMPLATE.format(number)), capture.read()[1], quality)


def decode(video, wanted, end, seek=False):
    """The wanted frames, RGB, from the decoder and nothing else."""
    options = [cv2.CAP_PROP_N_THREADS, 1]
    capture = cv2.VideoCapture(video.path, cv2.CAP_FFMPEG, options)
    first = int(wanted[0]) if seek else 0
    if first:
        capture.set(cv2.CAP_PROP_POS_FRAMES, first)
    wanted, frames = set(wanted.tolist()), []
    for index in range(first, end):
        capture.grab()
        if index in wanted:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return np.stack(frames)


def bare_clips(function, videos, sampler, epoch, workers):
    def clip(epoch, index):
        return function(videos[index], sampler(LENGTH, epoch, index)[0])

    with ThreadPoolExecutor(workers) as threads:
        for own in itertools.count(epoch):
            yield from threads.map(clip, itertools.repeat(own), range(len(videos)))


def loader_clips(source, epoch, workers):
    clips = data.clip_dataset(
        source,
        frames=FRAMES,
        size=SIZE,
        batch_size=8,
        training=True,
        sampling="dense",
        stride=STRIDE,
        flip="plain",
        initial_epoch=epoch,
        epochs=epoch + 1000,
        num_parallel_calls=workers,
    )
    for _, labels in clips:
        yield from range(len(labels))


def clips_per_second(clips, count, start):
    """The rate after a first epoch, in which graphs are made and files read to their end."""
    for _ in itertools.islice(clips, start):
        pass
    start = time.perf_counter()
    for _ in itertools.islice(clips, count):
        pass
    return count / (time.perf_counter() - start)


def measure_speed(paths, args):
    rates = {name: [] for name in paths}
    for turn in range(args.rounds):
        for name, path in paths.items():
            # So many that batches prepared beforehand do not count.
            slow = name in BARE or name.startswith("bare")
            count = 2 * args.videos if slow else 16 * args.videos
            rates[name].append(clips_per_second(path(turn), count, args.videos))
    print("| path | clips a second | of the bare decoder | times later epochs |")
    print("|---|---|---|---|")
    for name, own in rates.items():
        part = f"{ratio(own, rates[BARE[name]]):.0%}" if name in BARE else ""
        times = ratio(own, rates["loader, later epochs"])
        print(f"| {name} | {statistics.median(own):.1f} | {part} | {times:.1f} |")


def ratio(own, others):
    return statistics.median(a / b for a, b in zip(own, others, strict=True))


def measure_memory(paths, count):
    print(f"| path | GB after {count // 4} clips | GB after {count} | more |")
    print("|---|---|---|---|")
    for name, path in paths.items():
        if name.startswith("bare"):
            continue
        clips, sizes = path(0), []
        for wanted in (count // 4, count - count // 4):
            for _ in itertools.islice(clips, wanted):
                pass
            sizes.append(resident_memory() / 1e9)
        print(
            f"| {name} | {sizes[0]:.2f} | {sizes[1]:.2f} | {sizes[1] - sizes[0]:+.2f} |", flush=True
        )


def resident_memory():
    """Bytes of memory of this process, now where the system tells, else at most so far."""
    status = pathlib.Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * mmap.PAGESIZE
    return peak_memory()


if __name__ == "__main__":
    main()
