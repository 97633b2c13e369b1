"""Do image and report belong together, by the replica's own likelihoods."""

from __future__ import annotations

from dataclasses import dataclass

from generator.filters.options import known_options
from generator.filters.threshold import DefaultRule, FilterRule, Threshold
from generator.records import Pair, Verdict

NAME = "agreement"
SCORES = (NAME,)
DEFAULT = DefaultRule(name=NAME)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Pointwise mutual information of report and image, nats per token, as the replica measured it.

    Attributes:
        threshold: kept range.
    """

    threshold: Threshold
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> Agreement:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is given; there is none.
        """
        known_options(NAME, rule.options, ())
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """The pair's agreement as the score."""
        score = float(pair.agreement)
        reasons = self.threshold.reasons(score)
        return Verdict(kept=not reasons, reasons=reasons, scores={NAME: score})
