"""Do image and report belong together, by the replica's own likelihoods; and the control, mismatched pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.options import number_option
from medim_forge.generator.filters.threshold import FilterRule, Threshold
from medim_forge.generator.phantoms import read_findings
from medim_forge.generator.records import Judged, Pair, Verdict

NAME = "agreement"
REPORT, IMAGE, SENTENCE = "agreement_report", "agreement_image", "agreement_sentence"
SHUFFLED = "agreement_shuffled"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Pointwise mutual information of report and image, nats per token, as the replica measured it.

    Main score: mean of both ways (report given image, image given report), or the first alone where a replica has no
    other. `agreement_shuffled` needs other pairs: `mark_shuffled` sets it for the pairs of a shard.

    Attributes:
        threshold: kept range of the main score.
        min_sentence: pairs are dropped whose least agreeing sentence is below; None for no bound.
    """

    threshold: Threshold
    min_sentence: float | None = None
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> Agreement:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is out of range.
        """
        false_positive_rate(rule)
        least = rule.options.get("min_sentence")
        if least is not None and (isinstance(least, bool) or not isinstance(least, int | float)):
            raise SpecError(f"filters: {NAME}: options.min_sentence is {least!r}; give a number, nats per token.")
        return cls(threshold=Threshold.of(rule), min_sentence=None if least is None else float(least))

    def judge(self, pair: Pair) -> Verdict:
        """Both ways together, each alone, and the least agreeing sentence."""
        report, image = float(pair.agreement), float(pair.image_agreement)
        sentence = min(pair.sentence_agreement, default=math.nan)
        scores = {NAME: both_ways(report, image), REPORT: report, IMAGE: image, SENTENCE: sentence}
        return self.decide(scores)

    def decide(self, scores: Mapping[str, float]) -> Verdict:
        """The verdict on a pair of these scores."""
        reasons = self.threshold.reasons(scores[NAME])
        if self.min_sentence is not None:
            reasons += Threshold(name=SENTENCE, below=self.min_sentence).reasons(scores[SENTENCE])
        return Verdict(kept=not reasons, reasons=reasons, scores=scores)


def both_ways(report: float, image: float) -> float:
    """One number for the agreement of a report with its image and of the image with the report."""
    return report if math.isnan(image) else (report + image) / 2


def false_positive_rate(rule: FilterRule) -> float | None:
    """The share of mismatched pairs that the job accepts, or None where it sets none.

    Raises:
        SpecError: it is not between 0 and 1.
    """
    value = rule.options.get("max_false_positives")
    if value is None:
        return None
    rate = number_option(NAME, "max_false_positives", value)
    if not 0 < rate < 1:
        raise SpecError(f"filters: {NAME}: options.max_false_positives is {rate:g}; give a share between 0 and 1.")
    return rate


def partners(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """The pair whose report makes a mismatched pair with the image of each pair, by the id of the latter.

    It is the next pair of the domain, by `pair_index` and in a circle, that has other findings; where all have the same
    findings, the next with another text; where all have the same text, there is none. The partner of a pair depends on
    the set of pairs, not on their order.
    """
    found: dict[str, Pair] = {}
    by_domain: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: pair.request.pair_index):
        by_domain.setdefault(pair.request.prompt.domain, []).append(pair)
    for ring in by_domain.values():
        findings = {pair.pair_id: read_findings(pair.report) for pair in ring}
        for place, pair in enumerate(ring):
            behind = (*ring[place + 1 :], *ring[:place])
            own = findings[pair.pair_id]
            with_other_findings = (other for other in behind if findings[other.pair_id] != own)
            with_other_text = (other for other in behind if other.report != pair.report)
            partner = next(with_other_findings, None) or next(with_other_text, None)
            if partner is not None:
                found[pair.pair_id] = partner
    return found


def one_in(every: int, pairs: Sequence[Pair]) -> list[int]:
    """The places of the first of every so many pairs of a domain, all in order of `pair_index`.

    Pairs are counted within their domain, because a job deals its domains in a pattern, and one count for all domains
    could be in step with it.
    """
    found, seen = [], dict[str, int]()
    for place in sorted(range(len(pairs)), key=lambda place: pairs[place].request.pair_index):
        domain = pairs[place].request.prompt.domain
        count = seen[domain] = seen.get(domain, -1) + 1
        if count % every == 0:
            found.append(place)
    return found


def mark_shuffled(judged: Sequence[Judged], agreement: Mapping[str, float]) -> list[Judged]:
    """The same pairs in the same order, each with the agreement of its image with its partner's report.

    Args:
        judged: pairs of one shard.
        agreement: by pair_id; pairs that are not there keep NaN.
    """
    return [
        item.with_scores({SHUFFLED: agreement[item.pair.pair_id]}) if item.pair.pair_id in agreement else item
        for item in judged
    ]


KIND = FilterKind(
    name=NAME,
    scores={
        NAME: "mean of `agreement` and `image_agreement`",
        REPORT: "the same number as `agreement`",
        IMAGE: "the same number as `image_agreement`",
        SENTENCE: "least number in `sentence_agreement`",
        SHUFFLED: (
            "what `score_agreement` would be with the report of another pair of the shard: the distribution that "
            "a threshold's false positives come from"
        ),
    },
    build=Agreement.of,
    sees="pair",
    options=("max_false_positives", "min_sentence"),
    bounding=("max_false_positives", "min_sentence"),
    relative={SHUFFLED: math.nan},
)
