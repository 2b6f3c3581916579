"""A pass over videos that gives each its scores, and goes on where it was stopped."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import time

import numpy as np
import tensorflow as tf

from smallbig_keras.data import UnreadableVideos, VideoSource, clip_dataset
from smallbig_keras.errors import SmallBigError
from smallbig_keras.evaluation.partial import PARTIAL, Partial, is_same, read_partial
from smallbig_keras.evaluation.scores import Scores, load_scores

SCORES = "scores.npz"


@dataclasses.dataclass(frozen=True)
class Views:
    """What a model sees of a video, the arguments of `clip_dataset` (paper, section 6).

    Args:
        frames: int. Frames in a clip.
        size: int. Height and width of a clip in pixels.
        short_side: int. Short side in pixels before the crop.
        clips: int. Clips of a video. Defaults to `1`.
        crops: int. Crops of a clip, 1 or 3. Defaults to `1`.
        sampling: str. `"segment"` or `"dense"`. Defaults to `"segment"`.
        stride: int. From one frame to the next in dense sampling. Defaults to `8`.
    """

    frames: int
    size: int
    short_side: int
    clips: int = 1
    crops: int = 1
    sampling: str = "segment"
    stride: int = 8


def score_videos(
    predict,
    source,
    views,
    class_names,
    folder,
    *,
    protocol,
    details=None,
    batch_size=8,
    unreadable=None,
    num_parallel_calls=None,
    save_every=30.0,
    restart=False,
    progress=None,
):
    """Gives each video the mean of the scores of its views, and writes `scores.npz`.

    Every video is decoded once. What is done is kept in `partial.npz`, so that the same call
    goes on where the last one was stopped, at any moment, and gives the same scores, bit by bit.
    Scores of another protocol, other views or another list of videos are not continued.

    Args:
        predict: callable. From clips, float32 `(batch, frames, size, size, 3)`, to
            probabilities `(batch, classes)`.
        source: `VideoSource`, or what `clip_dataset` takes, with `ids` and `labels`.
        views: Views.
        class_names: list of str, in label order.
        folder: path. Where the files are kept; it is made.
        protocol: dict that JSON can hold. What else the scores depend on: the weights, the
            data.
        details: dict that JSON can hold. What else is to be known of the scores. Defaults to
            `None`.
        batch_size: int. Clips that `predict` is given at once. A batch that does not fit into
            memory is halved. Defaults to `8`.
        unreadable: `UnreadableVideos`, to skip or to raise. Defaults to `None`, which raises.
        num_parallel_calls: int. Videos decoded at once. Defaults to `None`, one a processor.
        save_every: float. Seconds between two writings of what is done. Defaults to `30.0`.
        restart: bool. Whether earlier scores are passed over. Defaults to `False`.
        progress: callable. Takes a line of text. Defaults to `None`, which prints it.

    Returns:
        Scores of the videos that can be read. Their `details` have `skipped`, a line for each of
        the others, and `seconds`.

    Raises:
        BadVideoError: a video cannot be read and is not to be skipped. The error that reaches the
            caller may be TensorFlow's around it.
        ValueError: an argument is outside the values above, a clip alone does not fit into
            memory, a score is not finite, no video can be read, or the earlier scores lack
            videos that are not to be skipped.
    """
    unreadable = unreadable or UnreadableVideos()
    progress = progress or print
    folder = pathlib.Path(folder)
    labels = [-1 if label is None else int(label) for label in source.labels]
    protocol = {**protocol, **dataclasses.asdict(views), "videos": _digest(source.ids, labels)}
    protocol = json.loads(json.dumps(protocol))
    finished = None if restart else _read_finished(folder / SCORES, protocol, progress)
    if finished is not None:
        _check_skipped(finished.details["skipped"], unreadable, folder / SCORES)
        return finished
    done = Partial() if restart else read_partial(folder / PARTIAL, protocol, progress)
    _check_skipped(done.skipped, unreadable, folder / PARTIAL)

    folder.mkdir(parents=True, exist_ok=True)
    if done.next < len(source):
        if done.next:
            progress(f"continued after {done.next} of {len(source)} videos")
        model = _Halving(predict, batch_size, progress)
        clips = clip_dataset(
            _Rest(source, done.next),
            frames=views.frames,
            size=views.size,
            short_side=views.short_side,
            sampling=views.sampling,
            stride=views.stride,
            views=(views.clips, views.crops),
            batch_size=max(1, batch_size // (views.clips * views.crops)),
            training=False,
            unreadable=unreadable,
            num_parallel_calls=num_parallel_calls,
        )
        save = functools.partial(done.save, folder / PARTIAL, protocol, unreadable)
        _score(model, clips, done, len(source), save, save_every, progress)
    done.note_skipped(unreadable)
    if not done.places:
        raise SmallBigError(
            "One video at least must be readable. Received:\n" + "\n".join(done.skipped)
        )
    scores = Scores(
        [source.ids[place] for place in done.places],
        np.array([labels[place] for place in done.places], np.int32),
        np.stack(done.rows),
        list(class_names),
        protocol,
        {**(details or {}), "skipped": done.skipped, "seconds": round(done.seconds, 3)},
    )
    scores.save(folder / SCORES)
    (folder / PARTIAL).unlink(missing_ok=True)
    return scores


def _score(model, clips, done, total, save, save_every, progress):
    """Adds the scores of the clips to those that are done."""
    saved = started = time.monotonic()
    before, start, scored = done.seconds, done.next, len(done.places)
    try:
        for batch, places in clips:
            # In NumPy, so that a device gets what `predict` is given and no more.
            scores = model(batch.numpy().reshape(-1, *batch.shape[-4:]))
            if not np.isfinite(scores).all():
                raise SmallBigError(
                    "Scores must be finite. Received: NaN or infinity for a video from number "
                    f"{int(places[0]) + 1} of the list on"
                )
            done.rows.extend(scores.reshape(len(batch), -1, scores.shape[-1]).mean(axis=1))
            done.places.extend(places.numpy().tolist())
            now = time.monotonic()
            done.seconds = before + now - started
            if now - saved >= save_every:
                save()
                saved = now
                rate = (done.next - start) / (now - started)
                progress(
                    f"{done.next} of {total} videos, {rate:.1f} a second, "
                    f"{(total - done.next) / rate / 60:.0f} min left"
                )
    finally:
        # Also what an error or Ctrl-C stops is worth keeping.
        if len(done.places) > scored:
            save()


class _Halving:
    """Calls a model with as many clips at once as fit into memory."""

    def __init__(self, predict, batch_size, progress):
        self.predict = predict
        self.batch_size = batch_size
        self.progress = progress

    def __call__(self, clips):
        """Returns the scores of all clips."""
        scores, place = [], 0
        while place < len(clips):
            batch = clips[place : place + self.batch_size]
            try:
                scores.append(np.asarray(self.predict(batch), np.float32))
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if len(batch) == 1:
                    raise SmallBigError(
                        "One clip must fit into memory. "
                        f"Received: {tuple(batch.shape)}, and {str(error) or error!r:.300}"
                    ) from error
                self.batch_size = len(batch) // 2
                self.progress(
                    f"{len(batch)} clips at once do not fit into memory: from here on "
                    f"{self.batch_size}"
                )
                continue
            place += len(batch)
        return np.concatenate(scores)


class _Rest:
    """A source from one of its videos on, with places in the whole list as labels."""

    has_labels = True

    def __init__(self, source, start):
        self.count = len(source) - start
        # What a list does not have is not decoded; of another source it is passed over.
        self.shift = start if isinstance(source, VideoSource) else 0
        self.first = start - self.shift
        self.source = source.select(range(start, len(source))) if self.shift else source

    def __len__(self):
        return self.count

    def clips(self, epoch, sampler, unreadable, num_parallel_calls):
        def number(frames, places, label, index):
            return frames, places, tf.cast(index + self.shift, tf.int32), index

        clips = self.source.clips(epoch, sampler, unreadable, num_parallel_calls)
        return clips.filter(lambda *clip: clip[-1] >= self.first).map(number)


def _read_finished(file, protocol, progress):
    if not file.is_file():
        return None
    scores = load_scores(file)
    if not is_same(scores.protocol, protocol, file, progress):
        return None
    progress(f"scores are read from {file}; --restart computes them again")
    return scores


def _check_skipped(skipped, unreadable, file):
    if skipped and unreadable.policy != "skip":
        raise SmallBigError(
            "Videos that cannot be read are left out with --skip-bad, and read again with "
            f"--restart. Received: {file}, without\n" + "\n".join(skipped)
        )


def _digest(ids, labels):
    """The SHA-256 of a list of videos."""
    lines = json.dumps([list(ids), labels])
    return hashlib.sha256(lines.encode()).hexdigest()
