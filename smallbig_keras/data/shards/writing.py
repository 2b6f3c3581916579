"""Makes TFRecord files of a dataset."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import tensorflow as tf

from smallbig_keras.data.decoding import BadVideoError
from smallbig_keras.data.frame_folders import graph_reason
from smallbig_keras.data.shards.examples import CONTENTS, make_record
from smallbig_keras.data.shards.manifest import MANIFEST, read_manifest
from smallbig_keras.data.sources import VideoSource
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.files import replace_file, sha256
from smallbig_keras.machine import num_processors

_PROGRESS = ".progress"
# Videos whose records are made to know how large those of a split are.
_SAMPLES = 16


@dataclass(frozen=True)
class ShardOptions:
    """What the bytes of shards depend on, besides the videos.

    Args:
        dataset: str. Name of the dataset.
        content: str. `"frames"`: all frames as JPEG files. `"video"`: files as they are. Defaults
            to `"frames"`.
        short_side: int. Pixels of the short side of frames; smaller ones stay as they are, and
            with 0 all do. Defaults to `256`.
        quality: int. Of the JPEG files, 1 to 100. Defaults to `90`.
        shard_mb: int. About how many millions of bytes a shard has. Defaults to `256`.

    Raises:
        ValueError: an argument is outside the values above.
    """

    dataset: str
    content: str = "frames"
    short_side: int = 256
    quality: int = 90
    shard_mb: int = 256

    def __post_init__(self):
        if self.content not in CONTENTS:
            raise SmallBigError(f"`content` must be one of {CONTENTS}. Received: {self.content!r}")
        if self.short_side < 0 or not 1 <= self.quality <= 100 or self.shard_mb < 1:
            raise SmallBigError(
                "`short_side` must be at least 0, `quality` from 1 to 100 and `shard_mb` at least "
                f"1. Received: {self}"
            )

    def record(self, video, facts):
        """Makes the record of a video, bytes; see `make_record`."""
        return make_record(video, facts, self.content, self.short_side, self.quality)


def make_shards(
    splits, class_names, out, options, facts=None, skip_bad=False, workers=None, progress=None
):
    """Makes a folder of shards, or goes on with it.

    The videos of training are shuffled once, so that a shard mixes classes; others keep their
    order. How many videos a shard has follows from the records of some; which ones are in which
    is known before the first is written. A shard takes its name when it is whole, and the
    manifest is written last, so that a process that was stopped or killed is continued by calling
    it again. The bytes depend on videos and options only.

    Args:
        splits: dict. Lists of `Video` by the name of the split.
        class_names: list of str.
        out: str or path. Local folder, new or begun by a call with the same arguments.
        options: `ShardOptions`.
        facts: dict. What `read_index` returned: it spares the decoding of files that are kept as
            they are, and of bad ones. Defaults to `None`.
        skip_bad: bool. Whether videos that cannot be read are left out and named in the
            manifest. Defaults to `False`, an error.
        workers: int. Shards written at once. Defaults to `None`, one a processor.
        progress: callable. It is given how many videos are done, and of how many that had to be.
            Defaults to `None`.

    Returns:
        dict, the manifest.

    Raises:
        BadVideoError: a video cannot be read; shards that are finished are kept.
        ValueError: `out` was begun with other arguments, holds other files, or another process
            is at it.
    """
    if options.content == "video":
        for video in (video for videos in splits.values() for video in videos):
            if video.template is not None:
                raise SmallBigError(
                    f"A folder of frames is no video file. Received: {video.path!r}"
                )
    wanted = {**vars(options), "lists": _digests(splits, class_names)}
    out = Path(out).absolute()
    if (out / MANIFEST).exists():
        manifest = read_manifest(out)
        _check_same(out, wanted, manifest["options"])
    else:
        with _only_one(out, wanted):
            shards = _Maker(splits, out, options, facts, skip_bad, progress).make(workers)
            manifest = _manifest(wanted, class_names, shards)
            _write_json(out / MANIFEST, manifest)
    shutil.rmtree(out / _PROGRESS, ignore_errors=True)
    return manifest


class _Maker:
    def __init__(self, splits, out, options, facts, skip_bad, progress):
        self.out = out
        self.options = options
        self.skip_bad = skip_bad
        self.progress = progress
        # Facts of files that changed are not believed.
        self.facts_of = VideoSource([], facts).facts_of
        self.splits = {
            name: _shuffled(videos) if name == "train" else list(videos)
            for name, videos in splits.items()
        }
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.done = self.total = 0

    def make(self, workers):
        """Returns what is known of every shard, dicts, by the name of the split."""
        plan = self.out / _PROGRESS / "plan.json"
        if not plan.exists():
            _write_json(plan, {name: self.count_shards(v) for name, v in self.splits.items()})
        counts = json.loads(plan.read_text())
        shards = {}
        for name, videos in self.splits.items():
            bounds = [len(videos) * i // counts[name] for i in range(counts[name] + 1)]
            for number in range(counts[name]):
                file = f"{name}-{number:05d}-of-{counts[name]:05d}.tfrecord"
                shards[name, file] = videos[bounds[number] : bounds[number + 1]]
        todo = [key for key in shards if not self.is_done(key[1])]
        self.total = sum(len(shards[key]) for key in todo)
        with ThreadPoolExecutor(workers or num_processors()) as pool:
            futures = [pool.submit(self.write, key[1], shards[key]) for key in todo]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self.stopped.set()
                pool.shutdown(cancel_futures=True)
                for unfinished in self.out.glob(".writing-*"):
                    unfinished.unlink()
                raise
        made = {name: [] for name in self.splits}
        for name, file in shards:
            made[name].append(json.loads(self.note(file).read_text()))
        return made

    def count_shards(self, videos):
        places = np.linspace(0, len(videos) - 1, min(_SAMPLES, len(videos))).astype(int)
        sizes = []
        for video in (videos[place] for place in places):
            # A bad one is met again when its shard is written.
            with contextlib.suppress(BadVideoError):
                sizes.append(len(self.options.record(video, self.facts_of(video))))
        mean = sum(sizes) / len(sizes) if sizes else 0
        return max(1, math.ceil(len(videos) * mean / (self.options.shard_mb * 1e6)))

    def note(self, file):
        return self.out / _PROGRESS / f"{file}.json"

    def is_done(self, file):
        path = self.out / file
        if not (path.exists() and self.note(file).exists()):
            return False
        return path.stat().st_size == json.loads(self.note(file).read_text())["bytes"]

    def write(self, file, videos):
        """Writes a shard, then notes what it holds."""
        good, bad = [], []
        path = self.out / file

        def write_records(temporary):
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for video in videos:
                    if self.stopped.is_set():
                        raise InterruptedError("Another shard failed. Received: a stop")
                    try:
                        writer.write(self.options.record(video, self.facts_of(video)))
                        good.append(video)
                    except BadVideoError as error:
                        if not self.skip_bad:
                            raise
                        bad.append([video.id, str(error)])
                    self.tick()

        try:
            replace_file(path, write_records)
        except tf.errors.OpError as error:
            raise ResourceError(
                f"A shard must be writable. Received: {path}: {graph_reason(error)}"
            ) from None
        note = {"file": file, "records": len(good), "bytes": path.stat().st_size}
        note |= {"sha256": sha256(path), "bad": bad}
        note |= {"ids": [v.id for v in good], "labels": [v.label for v in good]}
        _write_json(self.note(file), note)

    def tick(self):
        with self.lock:
            self.done += 1
            if self.progress:
                self.progress(self.done, self.total)


@contextlib.contextmanager
def _only_one(out, wanted):
    """Keeps other processes and other arguments out of a folder that is not finished."""
    folder = out / _PROGRESS
    if out.exists() and not folder.exists() and any(out.iterdir()):
        raise SmallBigError(
            f"Shards go into a folder of their own. Received: {out}, which has files"
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / "lock", timeout=0):
            begun = folder / "options.json"
            if begun.exists():
                _check_same(out, wanted, json.loads(begun.read_text()))
            else:
                _write_json(begun, wanted)
            yield
    except filelock.Timeout:
        raise SmallBigError(
            f"One process at a time makes the shards of a folder. Received: {out}"
        ) from None


def _check_same(out, wanted, begun):
    names = [name for name in wanted if begun.get(name) != wanted[name]]
    if names:
        raise SmallBigError(
            "A folder of shards is made with the same options and lists from beginning to end; "
            "delete the folder, or name another. "
            f"Received: {out} with {', '.join(f'{n}={wanted[n]}' for n in names)}, begun with "
            f"{', '.join(f'{n}={begun.get(n)}' for n in names)}"
        )


def _manifest(wanted, class_names, shards):
    described, videos = {}, {}
    for split, notes in shards.items():
        bad = [{"id": name, "reason": reason} for note in notes for name, reason in note["bad"]]
        labels = [label for note in notes for label in note["labels"]]
        described[split] = {
            "videos": len(labels),
            "has_labels": None not in labels,
            "shards": [
                {name: note[name] for name in ("file", "records", "bytes", "sha256")}
                for note in notes
            ],
            "bad": bad,
        }
        ids = [name for note in notes for name in note["ids"]]
        videos[split] = {"ids": ids, "labels": labels}
    # What fills many lines comes last.
    return {
        "options": wanted,
        "class_names": class_names,
        "splits": described,
        "videos": videos,
    }


def _digests(splits, class_names):
    """What shows that a list is another one, wherever the files are."""
    digests = {}
    for split, videos in splits.items():
        rows = [[video.id, video.label, os.path.basename(video.path)] for video in videos]
        text = json.dumps([class_names, rows]).encode()
        digests[split] = hashlib.sha256(text).hexdigest()
    return digests


def _shuffled(videos):
    order = np.random.default_rng(0).permutation(len(videos))
    return [videos[place] for place in order]


def _write_json(path, value):
    text = json.dumps(value, indent=1) + "\n"
    replace_file(path, lambda file: file.write_text(text))
