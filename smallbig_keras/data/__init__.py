"""Video data: annotations, sampling, decoding, augmentation and the pipeline to a model."""

from smallbig_keras.data.annotations import (
    DATASETS,
    AnnotationWarning,
    DatasetNotFoundError,
    Video,
    read_annotations,
    read_sthv2,
)
from smallbig_keras.data.bad_clips import BadClips
from smallbig_keras.data.decoding import BadVideoError, check_video_file, read_frames
from smallbig_keras.data.frame_folders import count_frames, decode_images, read_frame_folder
from smallbig_keras.data.index import make_index, read_index
from smallbig_keras.data.meter import WaitMeter
from smallbig_keras.data.missing import drop_missing, find_missing
from smallbig_keras.data.pipeline import clip_dataset, load_clip
from smallbig_keras.data.probing import VideoFacts, probe_video
from smallbig_keras.data.sample import make_sample, sample_folder
from smallbig_keras.data.sampling import (
    Sampler,
    dense_centre,
    dense_clips,
    dense_train,
    frames_to_read,
    segment_centre,
    segment_clips,
    segment_train,
)
from smallbig_keras.data.shard_check import check_shards
from smallbig_keras.data.shard_source import ShardSource
from smallbig_keras.data.shards import ShardOptions, make_shards
from smallbig_keras.data.sources import VideoSource

__all__ = [
    "DATASETS",
    "AnnotationWarning",
    "BadClips",
    "BadVideoError",
    "DatasetNotFoundError",
    "Sampler",
    "ShardOptions",
    "ShardSource",
    "Video",
    "VideoFacts",
    "VideoSource",
    "WaitMeter",
    "check_shards",
    "check_video_file",
    "clip_dataset",
    "count_frames",
    "decode_images",
    "dense_centre",
    "dense_clips",
    "dense_train",
    "drop_missing",
    "find_missing",
    "frames_to_read",
    "load_clip",
    "make_index",
    "make_sample",
    "make_shards",
    "probe_video",
    "read_annotations",
    "read_frame_folder",
    "read_frames",
    "read_index",
    "read_sthv2",
    "sample_folder",
    "segment_centre",
    "segment_clips",
    "segment_train",
]
