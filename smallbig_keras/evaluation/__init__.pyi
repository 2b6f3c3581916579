from .metrics import (
    class_accuracy as class_accuracy,
)
from .metrics import (
    confusion_matrix as confusion_matrix,
)
from .metrics import (
    label_ranks as label_ranks,
)
from .metrics import (
    mean_class_accuracy as mean_class_accuracy,
)
from .metrics import (
    top_k_accuracy as top_k_accuracy,
)
from .reports import (
    draw_confusion as draw_confusion,
)
from .reports import (
    measure as measure,
)
from .reports import (
    write_report as write_report,
)
from .scores import (
    Scores as Scores,
)
from .scores import (
    fuse_scores as fuse_scores,
)
from .scores import (
    load_scores as load_scores,
)
from .scoring import (
    SCORES as SCORES,
)
from .scoring import (
    Views as Views,
)
from .scoring import (
    score_videos as score_videos,
)
