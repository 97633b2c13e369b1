"""The bounds that a job file sets on a score, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from medim_forge.generator.records import Action, Verdict


class FilterRule(Protocol):
    """One entry of `filters:` in a job file, as the spec holds it."""

    @property
    def name(self) -> str:
        """Which filter the rule is for."""

    @property
    def drop_below(self) -> float | None:
        """Main scores under this are dropped; None for no lower bound."""

    @property
    def drop_above(self) -> float | None:
        """Main scores over this are dropped; None for no upper bound."""

    @property
    def action(self) -> Action:
        """What becomes of pairs that the rule excludes."""

    @property
    def options(self) -> Mapping[str, object]:
        """Settings of the filter itself."""


@dataclass(frozen=True, kw_only=True)
class DefaultRule:
    """The rule of a filter that the job file does not name."""

    name: str
    drop_below: float | None = None
    drop_above: float | None = None
    action: Action = "drop"
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The range of a filter's main score that is kept.

    Attributes:
        name: of the filter, whose main score has the same name.
        below: scores under this are dropped; None for no lower bound.
        above: scores over this are dropped; None for no upper bound.
    """

    name: str
    below: float | None = None
    above: float | None = None

    @classmethod
    def of(cls, rule: FilterRule) -> Threshold:
        """What the rule asks; without bounds nothing is dropped."""
        return cls(name=rule.name, below=rule.drop_below, above=rule.drop_above)

    def reasons(self, score: float) -> tuple[str, ...]:
        """Why a pair of this score is dropped; empty when it is kept.

        NaN compares false with everything, so without its own reason it would pass every bound. Numbers are compared as
        the columns hold them, so that a rule says the same of a pair and of its stored scores.
        """
        if self.below is None and self.above is None:
            return ()
        if math.isnan(score):
            return (f"{self.name} is NaN",)
        found = []
        score = stored(score)
        if self.below is not None and score < stored(self.below):
            found.append(f"{self.name}<{self.below:g}")
        if self.above is not None and score > stored(self.above):
            found.append(f"{self.name}>{self.above:g}")
        return tuple(found)

    def verdict(self, scores: Mapping[str, float]) -> Verdict:
        """The verdict on a pair of these scores, the filter's main score among them."""
        reasons = self.reasons(scores[self.name])
        return Verdict(kept=not reasons, reasons=reasons, scores=scores)


def filter_of(reason: str) -> str:
    """The score that a reason for dropping a pair names, which is that of its filter or a part of it."""
    return reason.partition("<")[0].partition(">")[0].split()[0]


def stored(score: float) -> float:
    """The number as a float32 column gives it back."""
    with np.errstate(over="ignore"):
        return float(np.float32(score))
