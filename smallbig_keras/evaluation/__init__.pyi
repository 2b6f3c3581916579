from .metrics import (
    class_accuracy as class_accuracy,
    confusion_matrix as confusion_matrix,
    label_ranks as label_ranks,
    mean_class_accuracy as mean_class_accuracy,
    top_k_accuracy as top_k_accuracy,
)
from .reports import (
    draw_confusion as draw_confusion,
    measure as measure,
    write_report as write_report,
)
from .scores import Scores as Scores, fuse_scores as fuse_scores, load_scores as load_scores
from .scoring import SCORES as SCORES, score_videos as score_videos
