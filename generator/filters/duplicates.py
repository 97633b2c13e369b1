"""Is the pair new: exact copies of an earlier pair of the shard, by the hashes of pixels and report together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from medim_forge.generator.filters.kind import FilterKind, nothing_alone
from medim_forge.generator.filters.threshold import FilterRule, Threshold
from medim_forge.generator.records import Judged, Pair

NAME = "duplicates"
KIND = FilterKind(
    name=NAME,
    scores={NAME: "1 for an exact copy of an earlier pair of the shard, else 0"},
    build=nothing_alone,
    sees="pair",
    drop_above=0.0,
    unit=True,
    relative={NAME: 0.0},
    never_kept=True,
)


def mark_duplicates(judged: Sequence[Judged], rule: FilterRule = KIND.default) -> list[Judged]:
    """The same pairs in the same order, those equal to a pair of lower `pair_index` scored 1 and dropped.

    The result of a pair depends on the set of pairs, not on their order in `judged`.

    Args:
        judged: pairs of one shard.
        rule: of the job; the default drops copies.
    """
    first: dict[tuple[str, str], Judged] = {}
    copies: set[str] = set()
    for item in sorted(judged, key=lambda item: item.pair.request.pair_index):
        if first.setdefault(content_key(item.pair), item) is not item:
            copies.add(item.pair.pair_id)
    return [as_copy(item, rule) if item.pair.pair_id in copies else item for item in judged]


def content_key(pair: Pair) -> tuple[str, str]:
    """What two pairs share exactly when they are copies."""
    return pair.pixels_sha256, report_sha256(pair.report)


def report_sha256(report: str) -> str:
    """Hex digest of the report without regard to case and spacing."""
    return hashlib.sha256(" ".join(report.lower().split()).encode()).hexdigest()


def as_copy(judged: Judged, rule: FilterRule) -> Judged:
    """The pair, scored as a copy and dropped if the rule says so."""
    copy = judged.with_scores({NAME: 1.0})
    found = () if rule.action == "keep" else Threshold.of(rule).reasons(1.0)
    reasons = copy.verdict.reasons + found
    return replace(copy, verdict=replace(copy.verdict, kept=not reasons, reasons=reasons))
