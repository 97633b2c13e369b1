"""What a whole dataset decides about a pair, which no shard could: near-copies anywhere, false-positive rates.

Shards are never rewritten: these decisions shape `data/`. `medim refilter` gives other rules to the same shards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.filters import Decide, build_decide, policy
from generator.filters.agreement import NAME as AGREEMENT
from generator.filters.agreement import SHUFFLED, false_positive_rate
from generator.filters.near_duplicates import NAME as NEAR
from generator.filters.near_duplicates import compared_by
from generator.filters.threshold import Threshold
from generator.near import Signature, minhash, phash_of
from generator.near_index import NearCopies
from generator.schema import SCORE_PREFIX
from generator.spec import GenerateSpec

CONTROL_COLUMNS = ("domain", SCORE_PREFIX + SHUFFLED)
LEAST_CONTROLS = 20


@dataclass
class ViewPolicy:
    """Decides row by row, in order of `pair_index`; what it admits, later rows are compared with.

    Attributes:
        decide: the rules on stored scores; None takes the verdict of the shard.
        calibrated: least `score_agreement` by domain; NaN where there are too few controls to know.
        near: admitted rows and how like them a further one may be; None compares nothing.
    """

    decide: Decide | None = None
    calibrated: Mapping[str, float] = field(default_factory=dict)
    near: NearCopies | None = None

    def reasons(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Why the row is left out; empty when it is admitted, and then it is remembered."""
        scores = {
            name.removeprefix(SCORE_PREFIX): math.nan if value is None else float(value)
            for name, value in row.items()
            if name.startswith(SCORE_PREFIX)
        }
        found = () if self.decide is None else self.decide(scores)
        bound = self.calibrated.get(row["domain"])
        if bound is not None and not math.isnan(bound):
            found += tuple(
                reason.replace(AGREEMENT, f"{AGREEMENT} of wrong pairs")
                for reason in Threshold(name=AGREEMENT, below=bound).reasons(scores[AGREEMENT])
            )
        if self.near is None or found:
            return found
        signature = Signature(
            domain=row["domain"],
            phash=phash_of(row["image_phash"]),
            embedding=np.asarray(row["embedding"], np.float32),
            minhash=minhash(row["report"]),
        )
        found += self.near.reasons(signature)
        if not found:
            self.near.add(signature)
        return found


def view_policy(spec: GenerateSpec, controls: Iterable[Mapping[str, Any]], *, redecide: bool = False) -> ViewPolicy:
    """The policy of a job on its whole dataset.

    Args:
        spec: whose `filters` count.
        controls: rows of `CONTROL_COLUMNS`, of every judged pair; read only where a rate is asked for.
        redecide: apply the rules to stored scores, instead of taking the verdicts of the shards.

    Raises:
        SpecError: a filter or an option does not exist, or cannot be applied to stored scores.
    """
    rules = policy(spec)
    rate, near = false_positive_rate(rules[AGREEMENT]), Threshold.of(rules[NEAR])
    return ViewPolicy(
        decide=build_decide(spec) if redecide else None,
        calibrated={} if rate is None else thresholds(controls, rate),
        near=None if near.below is None and near.above is None else NearCopies(near, compared_by(rules[NEAR])),
    )


def thresholds(controls: Iterable[Mapping[str, Any]], rate: float) -> dict[str, float]:
    """The agreement, by domain, that a share `rate` of wrongly dealt pairs exceeds.

    Returns:
        NaN for a domain with fewer than `LEAST_CONTROLS` of them: no rate can be told from so few.
    """
    found: dict[str, list[float]] = {}
    for row in controls:
        value = row[SCORE_PREFIX + SHUFFLED]
        if value is not None:
            found.setdefault(row["domain"], []).append(float(value))
    return {domain: _upper(np.sort(values), rate) for domain, values in sorted(found.items())}


def _upper(ordered: NDArray[np.float64], rate: float) -> float:
    """The least value that at most a share `rate` of `ordered` reaches."""
    if len(ordered) < LEAST_CONTROLS:
        return math.nan
    passing = int(rate * len(ordered))
    return float(np.nextafter(np.float32(ordered[len(ordered) - passing - 1]), np.float32(np.inf)))
