"""A video as a record of a shard.

A record is a `tf.train.Example` of the features `id`, `label` (left out where there is none),
`num_frames`, `width`, `height`, and either `frames`, every frame as a JPEG file, or `video`, the
file as it was, with `exact_seek`.
"""

import cv2
import tensorflow as tf

from smallbig_keras.data.decoding import BadVideoError, VideoReader, check_video_file
from smallbig_keras.data.frame_folders import count_frames, frame_file, read_frame_folder
from smallbig_keras.data.probing import probe_video

CONTENTS = ("frames", "video")


def make_record(video, facts, content, short_side, quality):
    """Makes the record of a video.

    Args:
        video: `Video`.
        facts: `VideoInfo` or None, what is known of it.
        content: str. `"frames"` or `"video"`.
        short_side: int. Pixels of the short side of frames; smaller ones stay as they are, and
            with 0 all do.
        quality: int. Of the JPEG files, 1 to 100. A frame that is one and keeps its size is
            taken as it is.

    Returns:
        bytes. The same for the same arguments.

    Raises:
        BadVideoError: the video cannot be read.
    """
    if facts is not None and facts.error is not None:
        raise BadVideoError(facts.error)
    # Bytes of names that are not UTF-8 come back as they were.
    features = {"id": [video.id.encode("utf-8", "surrogateescape")]}
    if content == "video":
        facts = facts or probe_video(video.path)
        if facts.error is not None:
            raise BadVideoError(facts.error)
        with open(check_video_file(video.path), "rb") as file:
            features["video"] = [file.read()]
        features["exact_seek"] = [int(facts.exact_seek)]
        count, width, height = facts.num_frames, facts.width, facts.height
    else:
        frames = _file_frames if video.template is None else _folder_frames
        pictures = list(frames(video, short_side, quality))
        features["frames"] = [jpeg for jpeg, _ in pictures]
        count, (height, width) = len(pictures), pictures[0][1]
    features.update(num_frames=[count], width=[width], height=[height])
    if video.label is not None:
        features["label"] = [video.label]
    example = tf.train.Example(
        features=tf.train.Features(feature={n: _feature(v) for n, v in features.items()})
    )
    return example.SerializeToString(deterministic=True)


def parse_record(record, content):
    """Reads a record in the graph.

    Args:
        record: string tensor of shape `()`. An empty one gives no frames.
        content: str. `"frames"` or `"video"`.

    Returns:
        dict of tensors: string `contents`, JPEG files `(num_frames,)` or a video `(1,)`, int32
        `label`, -1 for none, int64 `num_frames` and bool `exact_seek`.
    """
    features = {
        content: tf.io.RaggedFeature(tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64, -1),
        "num_frames": tf.io.FixedLenFeature((), tf.int64, 0),
        "exact_seek": tf.io.FixedLenFeature((), tf.int64, 0),
    }
    parsed = tf.io.parse_single_example(record, features)
    return {
        "contents": parsed[content],
        "label": tf.cast(parsed["label"], tf.int32),
        "num_frames": parsed["num_frames"],
        "exact_seek": tf.cast(parsed["exact_seek"], tf.bool),
    }


def _feature(values):
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _file_frames(video, short_side, quality):
    """Yields `(jpeg, (height, width))` of a file; one frame at a time is in memory."""
    try:
        with VideoReader(video.path) as reader:
            for _, frame in reader.walk():
                yield _encode(_resize(frame, short_side), quality)
            reader.check_whole()
    except (cv2.error, MemoryError) as error:
        received = f"a file whose frames cannot be held ({error})"
        raise BadVideoError.about(video.path, received) from None


def _folder_frames(video, short_side, quality):
    """Yields `(jpeg, (height, width))` of a folder."""
    count = count_frames(video.path, video.template)
    shape = None
    for index in range(count):
        frame = _folder_frame(video, count, index)
        shape = shape or frame.shape
        if frame.shape != shape:
            # It says what is wrong.
            _folder_frame(video, count, 0, index)
        resized = _resize(frame, short_side)
        with open(frame_file(video.path, video.template, index), "rb") as file:
            jpeg = file.read()
        if resized is frame and jpeg.startswith(b"\xff\xd8\xff"):
            yield jpeg, frame.shape[:2]
        else:
            yield _encode(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR), quality)


def _folder_frame(video, count, *indices):
    *_, frame = read_frame_folder(video.path, video.template, lambda _: indices, count)
    return frame


def _resize(frame, short_side):
    height, width = frame.shape[:2]
    short = min(height, width)
    if not 0 < short_side < short:
        return frame
    size = (short_side * width // short, short_side * height // short)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _encode(frame, quality):
    jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return jpeg.tobytes(), frame.shape[:2]
