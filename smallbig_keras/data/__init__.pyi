from .annotations import (
    DATASETS as DATASETS,
)
from .annotations import (
    AnnotationWarning as AnnotationWarning,
)
from .annotations import (
    DatasetNotFoundError as DatasetNotFoundError,
)
from .annotations import (
    Video as Video,
)
from .annotations import (
    drop_missing as drop_missing,
)
from .annotations import (
    find_missing as find_missing,
)
from .annotations import (
    read_annotations as read_annotations,
)
from .annotations import (
    read_sthv2 as read_sthv2,
)
from .dataset import (
    clip_dataset as clip_dataset,
)
from .dataset import (
    load_clip as load_clip,
)
from .decoding import (
    BadVideoError as BadVideoError,
)
from .decoding import (
    check_video_file as check_video_file,
)
from .decoding import (
    read_frames as read_frames,
)
from .frame_folders import (
    count_frames as count_frames,
)
from .frame_folders import (
    decode_images as decode_images,
)
from .frame_folders import (
    read_frame_folder as read_frame_folder,
)
from .index import (
    VideoInfo as VideoInfo,
)
from .index import (
    make_index as make_index,
)
from .index import (
    probe_video as probe_video,
)
from .index import (
    read_index as read_index,
)
from .sample_set import (
    make_sample as make_sample,
)
from .sample_set import (
    sample_folder as sample_folder,
)
from .sampling import (
    Sampler as Sampler,
)
from .sampling import (
    dense_centre as dense_centre,
)
from .sampling import (
    dense_clips as dense_clips,
)
from .sampling import (
    dense_train as dense_train,
)
from .sampling import (
    frames_to_read as frames_to_read,
)
from .sampling import (
    segment_centre as segment_centre,
)
from .sampling import (
    segment_clips as segment_clips,
)
from .sampling import (
    segment_train as segment_train,
)
from .shards import (
    ShardOptions as ShardOptions,
)
from .shards import (
    ShardSource as ShardSource,
)
from .shards import (
    check_shards as check_shards,
)
from .shards import (
    make_shards as make_shards,
)
from .sources import (
    VideoSource as VideoSource,
)
from .unreadable import (
    UnreadableVideos as UnreadableVideos,
)
