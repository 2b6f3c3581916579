from .annotations import (
    DATASETS as DATASETS,
    AnnotationWarning as AnnotationWarning,
    DatasetNotFoundError as DatasetNotFoundError,
    Video as Video,
    drop_missing as drop_missing,
    find_missing as find_missing,
    read_annotations as read_annotations,
    read_sthv2 as read_sthv2,
)
from .clips import ClipConfig as ClipConfig
from .dataset import (
    clip_dataset as clip_dataset,
    load_clip as load_clip,
)
from .decoding import (
    read_frames as read_frames,
)
from .index import (
    VideoInfo as VideoInfo,
    make_index as make_index,
    probe_video as probe_video,
    read_index as read_index,
)
from .sample_set import (
    make_sample as make_sample,
)
from .sampling import (
    Sampler as Sampler,
    dense_centre as dense_centre,
    dense_clips as dense_clips,
    dense_train as dense_train,
    segment_centre as segment_centre,
    segment_clips as segment_clips,
    segment_train as segment_train,
)
from .scanning import (
    FrameTimes as FrameTimes,
)
from .shards import (
    ShardOptions as ShardOptions,
    ShardSource as ShardSource,
    check_shards as check_shards,
    make_shards as make_shards,
)
from .sources import (
    VideoSource as VideoSource,
)
from .unreadable import (
    UnreadableVideos as UnreadableVideos,
)
from .video_file import (
    BadVideoError as BadVideoError,
)
