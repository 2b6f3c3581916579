"""A video as an example of a shard: made and checked.

An example is a `tf.train.Example` of the features `id`, `label` (left out where there is none),
`num_frames`, `width`, `height`, and either `frames`, every frame as a JPEG file, or `video`, the
file as it was, with the `times` of its frames.
"""

import json

import tensorflow as tf
from google.protobuf.message import DecodeError

from smallbig_keras.data.decoding import iterate_frames, read_frames
from smallbig_keras.data.frame_folders import (
    decode_image,
    find_frames,
    graph_reason,
    read_frame_folder,
)
from smallbig_keras.data.index import probe_video
from smallbig_keras.data.scanning import FrameTimes
from smallbig_keras.data.transforms import resize, to_uint8
from smallbig_keras.data.video_file import BadVideoError, check_video_file


def make_example(video, info, content, short_side, quality):
    """Makes the example of a video, bytes that depend on nothing but the arguments."""
    if info is not None and info.error is not None:
        raise BadVideoError(info.error)
    # Bytes of names that are not UTF-8 come back as they were.
    features = {"id": [video.id.encode("utf-8", "surrogateescape")]}
    if content == "video":
        info = info or probe_video(video.path)
        if info.error is not None:
            raise BadVideoError(info.error)
        with open(check_video_file(video.path), "rb") as file:
            features["video"] = [file.read()]
        features["times"] = [json.dumps(info.times.to_list()).encode()]
        count, width, height = info.num_frames, info.width, info.height
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


def check_example(example, name, label, content):
    """Returns the reason why an example is not that of a video, or None."""
    try:
        feature = tf.train.Example.FromString(example).features.feature
        found = feature["id"].bytes_list.value[0].decode("utf-8", "surrogateescape")
        count = feature["num_frames"].int64_list.value[0]
        labels = list(feature["label"].int64_list.value)
        values = feature[content].bytes_list.value
        if (found, labels) != (name, [label] * (label is not None)):
            return f"the video {found!r} in place of {name!r}, or another label"
        if content == "video":
            times = FrameTimes.from_list(json.loads(feature["times"].bytes_list.value[0]))
            if times.count != count:
                return f"the times of {times.count} frames of {count}"
            read_frames(values[0], lambda _: [0, count - 1], times)
        elif len(values) != count:
            return f"{len(values)} frames, not {count}"
        elif len({tuple(decode_image(value).shape) for value in (values[0], values[-1])}) > 1:
            return f"frames of {name!r} of several sizes"
    except BadVideoError as error:
        return str(error).rpartition("Received: ")[2]
    except tf.errors.OpError as error:
        return f"a frame of {name!r} cannot be decoded: {graph_reason(error)}"
    except (DecodeError, IndexError) as error:
        return f"no example of a video ({type(error).__name__}: {error})"
    return None


def _feature(values):
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _file_frames(video, short_side, quality):
    """Yields `(jpeg, (height, width))` of a file; one frame at a time is in memory."""
    for frame in iterate_frames(video.path):
        yield _encode(_shrink(frame, short_side), quality)


def _folder_frames(video, short_side, quality):
    """Yields `(jpeg, (height, width))` of a folder; a JPEG file that keeps its size is copied."""
    count, file = find_frames(video.path, video.template)
    shape = None
    for index in range(count):
        frame = _folder_frame(video, count, index)
        shape = shape or frame.shape
        if frame.shape != shape:
            # Reading both raises the error that names the file.
            _folder_frame(video, count, 0, index)
        resized = _shrink(frame, short_side)
        with open(file(index), "rb") as content:
            jpeg = content.read()
        if resized is frame and jpeg.startswith(b"\xff\xd8\xff"):
            yield jpeg, frame.shape[:2]
        else:
            yield _encode(resized, quality)


def _folder_frame(video, count, *indices):
    *_, frame = read_frame_folder(video.path, video.template, lambda _: indices, count)
    return frame


def _shrink(frame, short_side):
    height, width = frame.shape[:2]
    short = min(height, width)
    if not 0 < short_side < short:
        return frame
    size = (short_side * height // short, short_side * width // short)
    return to_uint8(resize(frame[None], *size))[0].numpy()


def _encode(frame, quality):
    return tf.io.encode_jpeg(frame, quality=quality).numpy(), frame.shape[:2]
