from .datasets import (
    DATASETS as DATASETS,
    read_annotations as read_annotations,
)
from .listing import (
    drop_missing as drop_missing,
    find_missing as find_missing,
)
from .something_something import (
    read_sthv2 as read_sthv2,
)
from .video import (
    AnnotationWarning as AnnotationWarning,
    DatasetNotFoundError as DatasetNotFoundError,
    Video as Video,
)
