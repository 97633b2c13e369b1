"""Is the pair new: exact copies of an earlier pair, by the hashes of pixels and report together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medim_forge.generator.filters.options import known_options
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold
from medim_forge.generator.records import Judged, Pair, Verdict

NAME = "duplicates"
SCORES = (NAME,)
LABELS = ("pixels_sha256", "report_sha256")
DEFAULT = DefaultRule(name=NAME, drop_above=0.0)
DROP = Threshold.of(DEFAULT)


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Hashes of one pair. One pair alone is never a copy: `mark_duplicates` compares those of a shard.

    Attributes:
        threshold: kept range of the score (0 first of its kind, 1 exact copy of an earlier pair).
    """

    threshold: Threshold
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> Duplicates:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is given; there is none.
        """
        known_options(NAME, rule.options, ())
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """Score 0, and the hashes as labels."""
        labels = dict(zip(LABELS, content_key(pair), strict=True))
        return Verdict(kept=True, reasons=(), scores={NAME: 0.0}, labels=labels)


def report_sha256(report: str) -> str:
    """Hex digest of the report without regard to case and spacing."""
    return hashlib.sha256(" ".join(report.lower().split()).encode()).hexdigest()


def mark_duplicates(judged: Sequence[Judged], threshold: Threshold = DROP) -> list[Judged]:
    """The same pairs in the same order, those equal to a pair of lower `pair_index` scored 1 and dropped.

    The result of a pair depends on the set of pairs, not on their order in `judged`.

    Args:
        judged: pairs of one shard.
        threshold: kept range of the score; the default drops copies.
    """
    first: dict[tuple[str, str], Judged] = {}
    copies: set[str] = set()
    for one in sorted(judged, key=lambda one: one.pair.request.pair_index):
        if first.setdefault(content_key(one.pair), one) is not one:
            copies.add(one.pair.pair_id)
    return [as_copy(one, threshold) if one.pair.pair_id in copies else one for one in judged]


def content_key(pair: Pair) -> tuple[str, str]:
    """What two pairs share exactly when they are copies."""
    return pair.pixels_sha256, report_sha256(pair.report)


def as_copy(judged: Judged, threshold: Threshold) -> Judged:
    """The pair, scored as a copy and dropped if the threshold says so."""
    verdict = judged.verdict
    reasons = verdict.reasons + threshold.reasons(1.0)
    scores = {**verdict.scores, NAME: 1.0}
    return replace(judged, verdict=replace(verdict, kept=not reasons, reasons=reasons, scores=scores))
