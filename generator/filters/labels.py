"""Which of the 14 CheXpert observations a chest report asserts, denies or doubts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.filters.observations import OBSERVATIONS, labels, mentions
from medim_forge.generator.filters.options import known_options
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold
from medim_forge.generator.records import Pair, Verdict

NAME = "labels"
SCORES = (NAME, *(f"label_{name}" for name in OBSERVATIONS))
DEFAULT = DefaultRule(name=NAME)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The report's labels. Main score: how many observations are asserted, `no_finding` not counted.

    Attributes:
        threshold: kept range of the main score.
    """

    threshold: Threshold
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> Labels:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is given; there is none.
        """
        known_options(NAME, rule.options, ())
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """`label_<observation>`: 1 asserted, 0 denied, -1 in doubt, NaN not mentioned; NaN where not labelled."""
        if not DOMAINS[pair.request.prompt.domain].chexpert:
            return self.threshold.verdict(dict.fromkeys(SCORES, math.nan))
        found = labels(mentions(pair.report))
        asserted = sum(value == 1 for name, value in found.items() if name != "no_finding")
        values = {f"label_{name}": float(found.get(name, math.nan)) for name in OBSERVATIONS}
        return self.threshold.verdict({NAME: float(asserted)} | values)
