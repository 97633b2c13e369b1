"""Is the pair new: how alike the most similar earlier pair is, by image, report, or both at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.options import known_options
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold
from medim_forge.generator.records import Judged, Pair, Verdict

NAME = "near_duplicates"
SCORES = (NAME, "near_image", "near_report")
OPTIONS = ("by",)
KINDS = ("both", "image", "report")
DEFAULT = DefaultRule(name=NAME)

By = Literal["both", "image", "report"]


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """One pair alone is like no other: `as_near` sets what a look at the pairs of a shard found.

    Attributes:
        threshold: kept range of the main score, a similarity in [0, 1].
    """

    threshold: Threshold
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> NearDuplicates:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is unknown or of a kind there is not.
        """
        compared_by(rule)
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """Scores of 0, and the pair's id as nothing else is known of it yet."""
        assert pair.pair_id
        return Verdict(kept=True, reasons=(), scores=dict.fromkeys(SCORES, 0.0))


def compared_by(rule: FilterRule) -> By:
    """Which similarity is the main score.

    Raises:
        SpecError: the job names another.
    """
    known_options(NAME, rule.options, OPTIONS)
    match rule.options.get("by", "both"):
        case "both":
            return "both"
        case "image":
            return "image"
        case "report":
            return "report"
        case other:
            raise SpecError(f"filters: {NAME}: options.by is {other!r}; give one of {', '.join(KINDS)}.")


def as_near(judged: Judged, scores: tuple[float, float, float]) -> Judged:
    """The pair with its similarities, of `SCORES`, the main one first."""
    found = {**judged.verdict.scores, **dict(zip(SCORES, scores, strict=True))}
    return replace(judged, verdict=replace(judged.verdict, scores=found))
