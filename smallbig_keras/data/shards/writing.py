"""TFRecord shards of a dataset, written in any number of steps."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import tensorflow as tf

from smallbig_keras.data.annotations.video import as_videos
from smallbig_keras.data.frame_folders import graph_reason
from smallbig_keras.data.shards.examples import make_example
from smallbig_keras.data.shards.manifest import MANIFEST, read_manifest, write_index
from smallbig_keras.data.shards.shard_index import SUFFIX, IndexBuilder
from smallbig_keras.data.sources import VideoSource
from smallbig_keras.data.video_file import BadVideoError
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.files import folder_lock, make_folder, replace_file, sha256
from smallbig_keras.machine import num_processors

_PROGRESS = ".progress"
# Videos of a split whose examples are made to know how large they are.
_SAMPLES = 16


def make_shards(
    splits, class_names, out, options, infos=None, skip_bad=False, workers=None, progress=None
):
    """Makes a folder of shards, or goes on with it.

    The training videos are shuffled once, so that a shard mixes classes; others keep their order.
    The size of some examples decides the number of shards, and with it the videos of each, before
    the first is written. A shard takes its name when it is whole, its index is written beside it,
    and the manifest last, so that calling it again continues after a process that was stopped or
    killed. The bytes depend only on videos and options.

    Args:
        splits: dict. Lists of videos, as `VideoSource` takes them, by the name of the split.
        class_names: list of str.
        out: str or path. Local folder, new or begun by a call with the same arguments.
        options: `ShardOptions`.
        infos: dict. `VideoInfo` by path, from `read_index`: it spares the decoding of files that
            are kept as they are, and of unreadable ones. Defaults to `None`.
        skip_bad: bool. True to leave unreadable videos out and name them in the manifest.
            Defaults to `False`, an error.
        workers: int. Shards written at once. Defaults to `None`, one a processor.
        progress: callable. It is given how many videos are done, and of how many that had to be.
            Defaults to `None`.

    Returns:
        dict, the manifest.

    Raises:
        BadVideoError: a video cannot be read; shards that are finished are kept.
        SmallBigError: `out` was begun with other arguments, holds other files, cannot be written,
            or another process is at it.
        ResourceError: a shard cannot be written.
    """
    splits = {name: as_videos(videos, class_names) for name, videos in splits.items()}
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
        with _unfinished(out, wanted):
            shards = _Maker(splits, out, options, infos, skip_bad, progress).make(workers)
            manifest = _manifest(wanted, class_names, shards)
            _write_json(out / MANIFEST, manifest)
    shutil.rmtree(out / _PROGRESS, ignore_errors=True)
    return manifest


class _Maker:
    def __init__(self, splits, out, options, infos, skip_bad, progress):
        self.out = out
        self.options = options
        self.skip_bad = skip_bad
        self.progress = progress
        # The info of a file that changed is not used.
        self.info_of = VideoSource([], infos).info_of
        self.splits = {
            name: _shuffled(videos) if name == "train" else list(videos)
            for name, videos in splits.items()
        }
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.done = self.total = 0

    def _example(self, video):
        options, info = self.options, self.info_of(video)
        return make_example(video, info, options.content, options.short_side, options.quality)

    def make(self, workers):
        """Writes the shards that are missing; returns the notes of all by the name of the split."""
        plan = self.out / _PROGRESS / "plan.json"
        if not plan.exists():
            _write_json(plan, {name: self.count_shards(v) for name, v in self.splits.items()})
        counts = _read_json(plan)
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
                raise
        made = {name: [] for name in self.splits}
        for name, file in shards:
            made[name].append(_read_json(self.note(file)))
        return made

    def count_shards(self, videos):
        """Returns the number of shards of a split, by the size of some of its examples."""
        sampled = np.linspace(0, len(videos) - 1, min(_SAMPLES, len(videos))).astype(int)
        sizes = []
        for video in (videos[index] for index in sampled):
            # An unreadable one is met again when its shard is written.
            with contextlib.suppress(BadVideoError):
                sizes.append(len(self._example(video)))
        mean = sum(sizes) / len(sizes) if sizes else 0
        return max(1, math.ceil(len(videos) * mean / (self.options.shard_mb * 1e6)))

    def note(self, file):
        return self.out / _PROGRESS / f"{file}.json"

    def is_done(self, file):
        path = self.out / file
        index = path.with_name(file + SUFFIX)
        if not (path.exists() and index.exists() and self.note(file).exists()):
            return False
        return path.stat().st_size == _read_json(self.note(file))["bytes"]

    def write(self, file, videos):
        """Writes a shard, then its index, then a note of its content."""
        good, bad = [], []
        index = IndexBuilder(self.options.content)
        path = self.out / file

        def write_examples(temporary):
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for video in videos:
                    if self.stopped.is_set():
                        raise InterruptedError("Another shard failed. Received: a stop")
                    try:
                        example = self._example(video)
                        writer.write(example)
                        index.add(example)
                        good.append(video)
                    except BadVideoError as error:
                        if not self.skip_bad:
                            raise
                        bad.append([video.id, str(error)])
                    self.tick()

        try:
            replace_file(path, write_examples)
        except tf.errors.OpError as error:
            raise ResourceError(
                f"A shard must be writable. Received: {path}: {graph_reason(error)}"
            ) from None
        digest = sha256(path)
        write_index(str(path) + SUFFIX, index.to_bytes(digest))
        note = {"file": file, "records": len(good), "bytes": path.stat().st_size}
        note |= {"sha256": digest, "bad": bad}
        note |= {"ids": [v.id for v in good], "labels": [v.label for v in good]}
        _write_json(self.note(file), note)

    def tick(self):
        with self.lock:
            self.done += 1
            if self.progress:
                self.progress(self.done, self.total)


@contextlib.contextmanager
def _unfinished(out, wanted):
    """Keeps other processes and other arguments out of a folder that is not finished."""
    folder = out / _PROGRESS
    if out.is_dir() and not folder.exists() and any(out.iterdir()):
        raise SmallBigError(
            f"Shards go into a folder of their own. Received: {out}, which has files"
        )
    with folder_lock(make_folder(folder)):
        begun = folder / "options.json"
        if begun.exists():
            _check_same(out, wanted, _read_json(begun))
        else:
            _write_json(begun, wanted)
        yield


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
    # The longest part comes last.
    return {"options": wanted, "class_names": class_names, "splits": described, "videos": videos}


def _digests(splits, class_names):
    """Returns a digest of each list: other ids, labels or names of files give another one."""
    digests = {}
    for split, videos in splits.items():
        rows = [[video.id, video.label, os.path.basename(video.path)] for video in videos]
        text = json.dumps([class_names, rows]).encode()
        digests[split] = hashlib.sha256(text).hexdigest()
    return digests


def _shuffled(videos):
    order = np.random.default_rng(0).permutation(len(videos))
    return [videos[index] for index in order]


def _read_json(path):
    return json.loads(path.read_text(encoding="ascii"))


def _write_json(path, value):
    text = json.dumps(value, indent=1) + "\n"
    replace_file(path, lambda file: file.write_bytes(text.encode("ascii")))
