"""Judgements of a pair: every filter scores every pair, and the bounds of the job file decide what is kept."""

from medim_forge.generator.filters.catalogue import FILTERS, kind_of, relative_scores
from medim_forge.generator.filters.columns import SCORE_PREFIX, described
from medim_forge.generator.filters.judge import (
    Decide,
    Filtered,
    Judge,
    build_decide,
    build_filters,
    build_judge,
    drops_for_others,
    policy,
    score_names,
)
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold

__all__ = [
    "FILTERS",
    "SCORE_PREFIX",
    "Decide",
    "DefaultRule",
    "FilterKind",
    "FilterRule",
    "Filtered",
    "Judge",
    "Threshold",
    "build_decide",
    "build_filters",
    "build_judge",
    "described",
    "drops_for_others",
    "kind_of",
    "policy",
    "relative_scores",
    "score_names",
]
