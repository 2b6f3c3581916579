"""Evaluation: scores of videos over several views, what they are worth, and their fusion."""

from smallbig_keras.evaluation.metrics import (
    class_accuracy,
    confusion_matrix,
    label_ranks,
    mean_class_accuracy,
    top_k_accuracy,
)
from smallbig_keras.evaluation.plots import draw_confusion
from smallbig_keras.evaluation.reports import measure, write_report
from smallbig_keras.evaluation.scores import Scores, fuse_scores, load_scores
from smallbig_keras.evaluation.scoring import SCORES, Views, score_videos

__all__ = [
    "SCORES",
    "Scores",
    "Views",
    "class_accuracy",
    "confusion_matrix",
    "draw_confusion",
    "fuse_scores",
    "label_ranks",
    "load_scores",
    "mean_class_accuracy",
    "measure",
    "score_videos",
    "top_k_accuracy",
    "write_report",
]
