"""Figures from arrays: scores of labels, and confidence intervals of what experiments measure."""

from medim_forge.generator.metrics.bootstrap import ArmDraws, Estimate, interval, resamples
from medim_forge.generator.metrics.labels import (
    Labels,
    LabelScores,
    label_matrix,
    label_scores,
    macro_f1,
    shuffled_floor,
)

__all__ = [
    "ArmDraws",
    "Estimate",
    "LabelScores",
    "Labels",
    "interval",
    "label_matrix",
    "label_scores",
    "macro_f1",
    "resamples",
    "shuffled_floor",
]
