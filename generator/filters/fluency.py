"""Does the report read like one: the replica's own likelihood of it without the image."""

from __future__ import annotations

from dataclasses import dataclass

from medim_forge.generator.filters.options import known_options
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold
from medim_forge.generator.records import Pair, Verdict

NAME = "fluency"
SCORES = (NAME,)
DEFAULT = DefaultRule(name=NAME)


@dataclass(frozen=True, kw_only=True)
class Fluency:
    """Masked pseudo-log-likelihood of the report, nats per token, as the replica measured it on the way to agreement.

    Attributes:
        threshold: kept range.
    """

    threshold: Threshold
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> Fluency:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is given; there is none.
        """
        known_options(NAME, rule.options, ())
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """The pair's fluency as the score."""
        return self.threshold.verdict({NAME: float(pair.fluency)})
