"""Video data: annotations, sampling, decoding, augmentation and the pipeline to a model."""

from smallbig_keras.data.annotations import DatasetNotFoundError, Video, read_sthv2
from smallbig_keras.data.decoding import BadVideoError, check_video_file, read_frames
from smallbig_keras.data.meter import WaitMeter
from smallbig_keras.data.pipeline import BadClips, clip_dataset, load_clip
from smallbig_keras.data.sample import make_sample, sample_folder
from smallbig_keras.data.sampling import segment_centre, segment_train

__all__ = [
    "BadClips",
    "BadVideoError",
    "DatasetNotFoundError",
    "Video",
    "WaitMeter",
    "check_video_file",
    "clip_dataset",
    "load_clip",
    "make_sample",
    "read_frames",
    "read_sthv2",
    "sample_folder",
    "segment_centre",
    "segment_train",
]
