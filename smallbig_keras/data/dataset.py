"""From a list of videos to batches of clips."""

import itertools

import numpy as np
import tensorflow as tf

from smallbig_keras.data.arguments import (
    check_begin,
    check_numbers,
    check_training_only,
    find_policy,
    pair,
    short_sides,
)
from smallbig_keras.data.batch_augmentation import Mix, RandAugment
from smallbig_keras.data.clips import ClipConfig
from smallbig_keras.data.inputs import as_video
from smallbig_keras.data.mirroring import left_right_label_map
from smallbig_keras.data.sampling import frames_to_read
from smallbig_keras.data.sources import VideoSource, read_video
from smallbig_keras.data.transforms import (
    EvaluationTransform,
    TrainTransform,
    to_uint8,
)
from smallbig_keras.machine import num_processors


def clip_dataset(
    videos,
    clips=None,
    *,
    batch_size,
    training,
    frames=None,
    size=None,
    sampling=None,
    stride=None,
    short_side=None,
    views=(1, 1),
    augmentation="short_side",
    flip=None,
    randaugment=None,
    mix=None,
    class_names=None,
    seed=0,
    epochs=None,
    initial_epoch=0,
    initial_batch=0,
    drop_remainder=None,
    unreadable=None,
    num_parallel_calls=None,
    normalize=True,
):
    """Makes batches of clips from videos (SmallBigNet, CVPR 2020, section 6).

    In training: random frames, a random crop, and a flip if asked for. In evaluation: the middle
    frames and the middle crop, or several clips and crops of each video, which is decoded once
    for all of them. The stream depends only on `seed`, epoch and position in the epoch, so that a
    run resumed at `initial_epoch` sees the clips of the uninterrupted one, with any number of
    parallel calls.

    The dataset is one epoch long, and in training every pass over it is the next epoch: `fit`
    takes it as it is. A pass is an iterator of which a batch was asked for. Where Keras looks at a
    batch before it trains, as on JAX and with several devices, that pass counts too.

    Args:
        videos: list of paths, of `(path, label)` pairs and of `Video`s, or a source of clips like
            `VideoSource`. A path is a video file or a folder of numbered pictures. A label is a
            class id from 0, or a name of `class_names`.
        clips: ClipConfig. The rule of the clips. Defaults to `None` for `ClipConfig()`.
        batch_size: int. Videos in a batch.
        training: bool. True for random order, frames and crops.
        frames: int. Frames in a clip. Defaults to `None` for those of `clips`.
        size: int. Height and width of a clip in pixels. Defaults to `None` for that of `clips`.
        sampling: str. `"segment"` takes a frame from each of `frames` parts of the video,
            `"dense"` frames `stride` apart. Defaults to `None` for that of `clips`.
        stride: int. From one frame to the next in dense sampling. Defaults to `None` for that
            of `clips`.
        short_side: int or `(low, high)`. Short side in pixels before the crop; training draws
            from `low` to `high`, evaluation takes one. Defaults to `None`: that of `clips` in
            evaluation, in training the paper's ratio, 256 to 320 for 224.
        views: pair of ints. Clips of a video and crops of a clip in evaluation, 1, 3 or 10 crops.
            The paper's 10 x 3 views of 8 x 256 x 256 pixels take 189 MB a video. Defaults to
            `(1, 1)`.
        augmentation: str. Training crop: `"short_side"` of the paper, or `"multi_scale"` of the
            authors' code, which has no use for `short_side`. Defaults to `"short_side"`.
        flip: str. `"plain"` mirrors half of the training clips, `"swap"` also swaps the labels
            of classes that are mirror images, such as left and right. Defaults to `None`, which
            is `"none"`.
        randaugment: `(num_ops, factor)`. Random operations on a training clip, one after the
            other, and their strength above 0, up to 1: a part of the side that it is shifted by,
            and of a full turn that it is rotated by, so that from 0.5 on it may be upside down.
            Defaults to `None`.
        mix: str. `"mixup"` adds another clip to each of a training batch, `"cutmix"` replaces a
            rectangle by that of another clip. Labels become shares of the classes, which need
            the loss `categorical_crossentropy` and the categorical metrics. Defaults to `None`.
        class_names: list of str. Needed for `"swap"`, for `mix` and for labels that are names.
            Defaults to `None`.
        seed: int. At least 0. Defaults to `0`.
        epochs: int. Makes one stream of the epochs `initial_epoch` to `epochs - 1`, the same in
            every pass. Defaults to `None`: a pass is one epoch.
        initial_epoch: int. Epoch of the first pass, or first epoch of the stream. Defaults to `0`.
        initial_batch: int. Batches of the first epoch of a stream that are left out without
            being read, which takes `epochs`. Defaults to `0`.
        drop_remainder: bool. True to leave out an epoch's last batch when it is not full.
            Defaults to `None`, which is `training`.
        unreadable: str or `UnreadableVideos`. `"replace"` takes another video (training only),
            `"skip"` leaves the clip out, both with an `AnnotationWarning` for each file; `"raise"`
            stops. An `UnreadableVideos` lists the files in its `report()` and does not warn.
            Defaults to `None`, which replaces in training and raises in evaluation, and as
            `"raise"` does needs every file to exist.
        num_parallel_calls: int. Videos decoded at once. Defaults to `None`, one a processor.
        normalize: bool. True for float32 clips, normalised by mean and std of `clips`, else they
            are uint8 RGB values. Defaults to `True`.

    Returns:
        `tf.data.Dataset` of `(clips, labels)`: `(batch, frames, size, size, 3)`, or
        `(batch, views, frames, size, size, 3)` of more than one view, clip by clip and in it
        crop by crop; int32 `(batch,)`, -1 where a video has no label, or mixed float32
        `(batch, classes)`. Its cardinality is known unless unreadable videos are skipped.

    Raises:
        SmallBigError: an argument is outside the values above.
        DatasetNotFoundError: files do not exist; it counts them and names the first ones.
        MissingPackageError: Keras is older than a layer of `randaugment` or `mix`.

    Example:

        pairs = [("a.mp4", "left"), ("b.mp4", "right")]
        names = ["left", "right"]
        train = clip_dataset(pairs, batch_size=2, training=True, class_names=names)
        model.fit(train, epochs=20, shuffle=False)
    """
    is_source = hasattr(videos, "clips")
    source = videos if is_source else VideoSource(videos, class_names=class_names)
    drop_remainder = training if drop_remainder is None else drop_remainder
    num_parallel_calls = num_parallel_calls or num_processors()
    num_clips, num_crops = pair(views)
    clips = clips or ClipConfig()
    changes = {"frames": frames, "size": size, "sampling": sampling, "stride": stride}
    clips, sides = short_sides(clips.replace(**changes), short_side, training)
    check_numbers(source, training, batch_size, drop_remainder, seed)
    per_epoch = len(source) // batch_size if drop_remainder else -(-len(source) // batch_size)
    check_begin(epochs, initial_epoch, initial_batch, per_epoch)
    check_training_only(training, views, augmentation, flip, randaugment, mix, class_names)
    unreadable = find_policy(unreadable, training, source)
    sampler = clips.sampler(num_clips, training, seed)
    if training:
        transform = TrainTransform(
            clips,
            sides,
            augmentation=augmentation,
            flip=flip in ("plain", "swap"),
            label_map=left_right_label_map(class_names) if flip == "swap" else None,
            randaugment=RandAugment(*pair(randaugment)) if randaugment else None,
            normalize=normalize,
        )
    else:
        transform = EvaluationTransform(clips, num_crops, normalize)
    mixer = Mix(mix, len(class_names)) if mix else None

    def key(stream, epoch, index):
        return tf.random.fold_in(tf.random.fold_in((seed, stream), epoch), index)

    def one_epoch(epoch):
        def cut(read, frame_positions, label, index):
            return transform(read, frame_positions, label, key(1, epoch, index))

        def blend(index, batch):
            mixed, labels = mixer(tf.cast(batch[0], tf.float32), batch[1], key(2, epoch, index))
            return mixed if normalize else to_uint8(mixed), labels

        left_out = tf.where(epoch == initial_epoch, tf.constant(initial_batch, tf.int64), 0)
        begin = {"first": left_out * batch_size} if initial_batch else {}
        read = source.clips(epoch, sampler, unreadable, num_parallel_calls, **begin)
        batches = read.map(cut, num_parallel_calls, deterministic=True)
        batches = batches.batch(batch_size, drop_remainder)
        if mixer:
            batches = batches.enumerate(left_out).map(blend, num_parallel_calls, deterministic=True)
        return batches

    if epochs is None:
        numbers, num_epochs = _numbers_of_passes(initial_epoch), 1
    else:
        numbers = tf.data.Dataset.range(initial_epoch, epochs)
        num_epochs = epochs - initial_epoch
    dataset = numbers.flat_map(one_epoch)
    if unreadable.policy != "skip":
        cardinality = per_epoch * num_epochs - initial_batch
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    options = tf.data.Options()
    # Parallelism is given, and the thread that would tune it holds up the end of an iterator:
    # 18 s between training and validation of every epoch of the sample set.
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def load_clip(
    video,
    frames=None,
    size=None,
    short_side=None,
    sampling=None,
    stride=None,
    *,
    clips=None,
    views=(1, 1),
    normalize=True,
):
    """Takes the clips of one video, ready for a model.

    Args:
        video: str, path, bytes, `Video`, array or iterable. A video file or its content, a folder
            of frames as numbered pictures, or frames `(frames, height, width, 3)`, RGB values
            from 0 to 255.
        frames: int. Frames in a clip. Defaults to `None` for those of `clips`.
        size: int. Height and width of the clip in pixels. Defaults to `None` for that of `clips`.
        short_side: int. Short side in pixels before the crop. Defaults to `None` for the ratio of
            `clips`.
        sampling: str. `"segment"` or `"dense"`. Defaults to `None` for that of `clips`.
        stride: int. From one frame to the next in dense sampling. Defaults to `None` for that of
            `clips`.
        clips: ClipConfig. Defaults to `None` for `ClipConfig()`.
        views: pair of ints. Clips of the video and crops of a clip, 1, 3 or 10. Defaults
            to `(1, 1)`, the middle clip and the centre crop.
        normalize: bool. True for normalised float32, else uint8 RGB values. Defaults to `True`.

    Returns:
        array `(views, frames, size, size, 3)`, clip by clip and in it crop by crop.

    Raises:
        BadVideoError: the video cannot be decoded.
        SmallBigError: an argument is outside the values above.

    Example:

        smallbig_keras.data.load_clip("video.mp4", frames=8, size=112)
    """
    changes = {"frames": frames, "size": size, "short_side": short_side}
    clips = (clips or ClipConfig()).replace(**changes, sampling=sampling, stride=stride)
    num_clips, crops = views
    sampler, positions = clips.sampler(num_clips), None

    def choose(num_frames):
        nonlocal positions
        wanted, positions = frames_to_read(sampler(num_frames))
        return wanted

    transform = EvaluationTransform(clips, crops, normalize)
    frames = tf.constant(read_video(as_video(video), choose)[0])
    cut, _ = transform(frames, tf.constant(positions), label=None)
    return cut.numpy().reshape(-1, *clips.shape)


def _numbers_of_passes(first):
    """A dataset of one number, which is `first` in the first pass and one more in each other."""
    passes = itertools.count(first)

    def number(_):
        # Not a variable, which a strategy of several devices would mirror.
        count = tf.numpy_function(lambda: np.int64(next(passes)), (), tf.int64)
        return tf.ensure_shape(count, ())

    return tf.data.Dataset.range(1).map(number)
