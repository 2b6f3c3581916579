"""A pass over videos that gives each its scores, and resumes where it was stopped."""

import base64
import contextlib
import json
import pathlib
import re
import time
import zlib

import numpy as np
import tensorflow as tf

from smallbig_keras.data import UnreadableVideos, clip_dataset
from smallbig_keras.data.sources import list_digest
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.evaluation.scores import Scores, load_scores
from smallbig_keras.files import folder_lock, make_folder

SCORES = "scores.npz"
JOURNAL = "scores.partial"
_SECONDS_BETWEEN_LINES = 30
_COUNT = re.compile(r" \(\d+x\): ")


def score_videos(
    predict,
    source,
    clips,
    class_names,
    folder,
    *,
    views=(1, 1),
    protocol,
    details=None,
    batch_size=8,
    unreadable=None,
    num_parallel_calls=None,
    restart=False,
    progress=None,
):
    """Gives each video the mean of the scores of its views, and writes `scores.npz`.

    Every video is decoded once. Each batch is appended to `scores.partial` when it is scored: the
    same call resumes after the last whole batch, also after a `kill -9`, and gives the same scores
    bit by bit. Scores of another protocol, other views or another list of videos are not resumed.

    Args:
        predict: callable. From clips, uint8 `(batch, frames, size, size, 3)`, to
            probabilities `(batch, classes)`, as `VideoClassifier.score`.
        source: `VideoSource`, or what `clip_dataset` takes, with `ids` and `labels`.
        clips: ClipConfig. The rule of the clips.
        class_names: list of str, in label order.
        folder: path. Folder of the two files. It is made.
        views: pair of ints. Clips of a video and crops of a clip, 1, 3 or 10; the paper's
            protocols are in its section 6. Defaults to `(1, 1)`.
        protocol: dict that JSON can hold. Everything else that the scores depend on: the
            weights, the data.
        details: dict that JSON can hold. Further facts to keep with the scores. Defaults to
            `None`.
        batch_size: int. Clips in one call of `predict`. It is halved when a batch does not fit
            into memory. Defaults to `8`.
        unreadable: `UnreadableVideos`, to skip or to raise. Defaults to `None`, which raises.
        num_parallel_calls: int. Videos decoded at once. Defaults to `None`, one a processor.
        restart: bool. Ignores earlier scores. Defaults to `False`.
        progress: callable. Takes a line of text. Defaults to `None`, which prints it.

    Returns:
        `Scores` of the videos that can be read. Their `details` have `skipped`, a line for each of
        the others, and `seconds`.

    Raises:
        BadVideoError: a video cannot be read and is not to be skipped. The error that reaches the
            caller may be TensorFlow's around it.
        SmallBigError: an argument is outside the values above, one clip alone does not fit into
            memory, a score is not finite, no video can be read, the earlier scores lack videos
            that are not to be skipped, or another process scores in the same folder.
        ResourceError: the disk is full or fails; the same call resumes later.
    """
    unreadable = unreadable or UnreadableVideos()
    progress = progress or print
    file, journal_file = (pathlib.Path(folder, name) for name in (SCORES, JOURNAL))
    labels = [-1 if label is None else int(label) for label in source.labels]
    num_clips, crops = views
    protocol = {
        **protocol,
        **clips.to_dict(),
        **{"clips": num_clips, "crops": crops, "videos": list_digest(source)},
    }
    protocol = json.loads(json.dumps(protocol))
    # A journal beside finished scores is of a restart that was stopped.
    if not restart and file.is_file() and _read_journal(journal_file)[0][:1] != [protocol]:
        scores = load_scores(file)
        if _is_same(scores.protocol, protocol, file, progress):
            _check_skipped(scores.details["skipped"], unreadable, file)
            progress(f"scores are read from {file}; restart=True (--restart) computes them again")
            return scores

    make_folder(folder)
    with folder_lock(folder):
        journal = _Journal(journal_file, protocol, restart, progress)
        with contextlib.closing(journal):
            _check_skipped(journal.skipped, unreadable, journal_file)
            if journal.next < len(source):
                if journal.next:
                    progress(f"continued after {journal.next} of {len(source)} videos")
                model = _halving(predict, batch_size, progress)
                batches = clip_dataset(
                    _Rest(source, journal.next),
                    clips,
                    views=views,
                    batch_size=max(1, batch_size // (num_clips * crops)),
                    training=False,
                    unreadable=unreadable,
                    num_parallel_calls=num_parallel_calls,
                    normalize=False,
                )
                _score(model, batches, journal, len(source), unreadable, progress)
        skipped = _merge(journal.skipped, unreadable.report())
        if not journal.indices:
            raise SmallBigError(
                "One video at least must be readable. Received: "
                f"{len(skipped)} unreadable videos, the first of them {skipped[0]}"
            )
        scores = Scores(
            [source.ids[index] for index in journal.indices],
            np.array([labels[index] for index in journal.indices], np.int32),
            np.concatenate(journal.rows),
            list(class_names),
            protocol,
            {**(details or {}), "skipped": skipped, "seconds": round(journal.seconds, 3)},
        )
        scores.save(file)
        journal_file.unlink()
    return scores


def _score(model, clips, journal, total, unreadable, progress):
    """Appends the scores of all clips to the journal."""
    shown = started = time.monotonic()
    before, start = journal.seconds, journal.next
    for batch, indices in clips:
        # In NumPy, so that a device gets the clips of one call and no more.
        scores = model(batch.numpy().reshape(-1, *batch.shape[-4:]))
        if not np.isfinite(scores).all():
            raise SmallBigError(
                "Scores must be finite. Received: NaN or infinity for a video from number "
                f"{int(indices[0]) + 1} of the list on"
            )
        scores = scores.reshape(len(batch), -1, scores.shape[-1]).mean(axis=1)
        now = time.monotonic()
        journal.append(scores, indices.numpy(), unreadable.report(), before + now - started)
        if now - shown >= _SECONDS_BETWEEN_LINES:
            shown = now
            rate = (journal.next - start) / (now - started)
            progress(
                f"{journal.next} of {total} videos, {rate:.1f} a second, "
                f"{(total - journal.next) / rate / 60:.0f} min left"
            )


class _Journal:
    """The batches that are scored, in a file that only grows: the protocol, then a line a batch."""

    def __init__(self, file, protocol, restart, progress):
        self.indices, self.rows, self.skipped, self.seconds = [], [], [], 0.0
        self._path = file
        lines, end = ([], 0) if restart else _read_journal(file)
        if lines and not _is_same(lines[0], protocol, file, progress):
            lines = []
        for line in lines[1:]:
            self._add(**line)
        with _disk_errors(file):
            self._file = file.open("ab" if lines else "wb", buffering=0)
            if lines:
                # A line that a kill left unfinished.
                self._file.truncate(end)
        if not lines:
            self._write(protocol)

    def close(self):
        self._file.close()

    @property
    def next(self):
        """int. The first video in the list that is not scored."""
        return self.indices[-1] + 1 if self.indices else 0

    def append(self, scores, indices, skipped, seconds):
        """Adds the scores of a batch, and the unreadable videos that were met so far."""
        line = {
            "indices": indices.tolist(),
            "scores": base64.b64encode(scores.astype("<f4").tobytes()).decode(),
            "skipped": sorted({*skipped} - {*self.skipped}),
            "seconds": seconds,
        }
        self._write(line)
        self._add(**line)

    def _add(self, indices, scores, skipped, seconds):
        rows = np.frombuffer(base64.b64decode(scores), "<f4").astype(np.float32)
        self.rows.append(rows.reshape(len(indices), -1))
        self.indices += indices
        self.skipped = _merge(self.skipped, skipped)
        self.seconds = seconds

    def _write(self, value):
        text = json.dumps(value).encode()
        line = memoryview(b"%08x %s\n" % (zlib.crc32(text), text))
        with _disk_errors(self._path):
            while line:
                # Without a buffer and without fsync: the system keeps it when the process is
                # killed, and the checksum tells what a power cut lost.
                line = line[self._file.write(line) :]


def _read_journal(file):
    """Returns the whole lines at the beginning of a journal, and the byte where they end."""
    lines, end = [], 0
    with _disk_errors(file):
        content = file.read_bytes() if file.exists() else b""
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
            break
        lines.append(json.loads(line[9:]))
        end += len(line)
    return lines, end


@contextlib.contextmanager
def _disk_errors(file):
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{file} could not be read or written: {error.strerror}. "
            "The same command resumes there."
        ) from error


def _merge(skipped, lines):
    """Joins reports of unreadable videos: a file that was met twice has its last line."""
    return sorted({_COUNT.split(line)[0]: line for line in [*skipped, *lines]}.values())


def _halving(predict, batch_size, progress):
    """Makes a function that calls a model with as many clips at once as fit into memory."""

    def score(clips):
        nonlocal batch_size
        scores, start = [], 0
        while start < len(clips):
            batch = clips[start : start + batch_size]
            try:
                scores.append(np.asarray(predict(batch), np.float32))
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if len(batch) == 1:
                    raise SmallBigError(
                        "One clip must fit into memory. "
                        f"Received: {tuple(batch.shape)}, and {str(error) or error!r:.300}"
                    ) from error
                batch_size = len(batch) // 2
                progress(
                    f"{len(batch)} clips at once do not fit into memory: from here on {batch_size}"
                )
                continue
            start += len(batch)
        return np.concatenate(scores)

    return score


class _Rest:
    """A source from one of its videos on, with positions in the whole list as labels."""

    has_labels = True

    def __init__(self, source, start):
        self.count = len(source) - start
        # A source without `select` is decoded from the beginning and filtered.
        self.shift = start if hasattr(source, "select") else 0
        self.first = start - self.shift
        self.source = source.select(range(start, len(source))) if self.shift else source

    def __len__(self):
        return self.count

    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        def number(frames, positions, label, index):
            return frames, positions, tf.cast(index + self.shift, tf.int32), index

        clips = self.source.clips(epoch, sampler, unreadable, num_parallel_calls)
        return clips.filter(lambda *clip: clip[-1] >= self.first).map(number)


def _is_same(theirs, ours, file, progress):
    """Compares the protocol of earlier scores, and says in what it differs."""
    changed = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
    if changed:
        missing = [key for key in changed if key not in theirs]
        other = "of an older version, without" if missing else "of another"
        progress(f"{file} is {other} {', '.join(missing or changed)}: scored anew")
    return not changed


def _check_skipped(skipped, unreadable, file):
    if skipped and unreadable.policy != "skip":
        raise SmallBigError(
            f"Earlier scores lack unreadable videos. Received: {file}, without {len(skipped)} of "
            f"them, the first {skipped[0]}\nUnreadableVideos('skip') (--skip-bad) leaves them out, "
            "restart=True (--restart) reads them again."
        )
