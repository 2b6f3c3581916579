from .datasets import (
    DATASETS as DATASETS,
)
from .datasets import (
    read_annotations as read_annotations,
)
from .listing import (
    drop_missing as drop_missing,
)
from .listing import (
    find_missing as find_missing,
)
from .something_something import (
    read_sthv2 as read_sthv2,
)
from .video import (
    AnnotationWarning as AnnotationWarning,
)
from .video import (
    DatasetNotFoundError as DatasetNotFoundError,
)
from .video import (
    Video as Video,
)
