"""What only the whole dataset can decide about a pair: near-copies in any shard, and false-positive rates.

Shards are never rewritten: these decisions shape `data/`. `medim refilter` applies other rules to the same shards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.filters import SCORE_PREFIX, Decide, Threshold, build_decide, policy
from medim_forge.generator.filters.agreement import NAME as AGREEMENT
from medim_forge.generator.filters.agreement import SHUFFLED, false_positive_rate
from medim_forge.generator.filters.duplicates import NAME as DUPLICATES
from medim_forge.generator.filters.near_duplicates import NAME as NEAR
from medim_forge.generator.filters.near_duplicates import compared_by
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.records import Action
from medim_forge.generator.similarity import NearCopies, Signature
from medim_forge.generator.similarity.signature import minhash_of, phash_of

CONTROL_COLUMNS = ("domain", SCORE_PREFIX + SHUFFLED)
LEAST_CONTROLS = 20


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What mismatched pairs of a domain say.

    Attributes:
        rate: the share of them that may pass.
        controls: how many there are.
        bound: least `score_agreement` that does; None where there are too few controls to tell.
    """

    rate: float
    controls: int
    bound: float | None


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What a policy says of a row.

    Attributes:
        reasons: why it is left out; empty when it may be taken.
        regenerate: whether a filter whose action is `regenerate` is among those that leave it out.
        flags: bounds that it does not meet, of filters whose action is `keep`.
        signature: by which later rows are compared with it if it is taken; None where nothing is compared.
    """

    reasons: tuple[str, ...]
    regenerate: bool
    flags: tuple[str, ...] = ()
    signature: Signature | None = None


@dataclass
class ViewPolicy:
    """Decides row by row, in order of `pair_index`. Later rows are compared with those that were taken.

    Attributes:
        decide: the rules on stored scores; None takes the verdict of the shard.
        regenerate: reasons of the rules whose action is `regenerate`, on stored scores; None for no such rule.
        flags: reasons of the rules whose action is `keep`, on stored scores; None for no such rule.
        calibration: what mismatched pairs say, by domain; empty where the job asks for no rate.
        near: rows that were taken, and how like them a further one may be; None compares nothing.
        actions: of the filters that are decided here, by name.
    """

    decide: Decide | None = None
    regenerate: Decide | None = None
    flags: Decide | None = None
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    near: NearCopies | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)

    @property
    def regenerates_copies(self) -> bool:
        """Whether other pairs are made in the place of exact copies."""
        return self.actions.get(DUPLICATES) == "regenerate"

    def ruling(self, row: Mapping[str, Any], *, kept: bool) -> Ruling:
        """What the policy says of a row.

        Args:
            row: all of it but the image.
            kept: by its shard.
        """
        scores = {
            name.removeprefix(SCORE_PREFIX): math.nan if value is None else float(value)
            for name, value in row.items()
            if name.startswith(SCORE_PREFIX)
        }
        if self.decide is None:
            reasons: tuple[str, ...] = () if kept else ("dropped by its shard",)
        else:
            reasons = self.decide(scores)
        if reasons:
            return Ruling(reasons=reasons, regenerate=self.regenerate is not None and bool(self.regenerate(scores)))
        flags = self.flags(scores) if self.flags else ()
        mismatched = self._like_mismatched(row["domain"], scores)
        signature, near = None, tuple[str, ...]()
        if self.near is not None and not self._leaves_out(AGREEMENT, mismatched):
            signature = _signature(row)
            near = self.near.reasons(signature)
        for name, found in ((AGREEMENT, mismatched), (NEAR, near)):
            if self._leaves_out(name, found):
                return Ruling(reasons=found, regenerate=self.actions.get(name) == "regenerate", flags=flags)
            flags += found
        return Ruling(reasons=(), regenerate=False, flags=flags, signature=signature)

    def take(self, ruling: Ruling) -> None:
        """The row is taken: later ones are compared with it."""
        if self.near is not None and ruling.signature is not None:
            self.near.add(ruling.signature)

    def _leaves_out(self, name: str, reasons: tuple[str, ...]) -> bool:
        """Whether a filter with these reasons leaves the pair out; with `action: keep` it only counts it."""
        return bool(reasons) and self.actions.get(name) != "keep"

    def _like_mismatched(self, domain: str, scores: Mapping[str, float]) -> tuple[str, ...]:
        """Why the pair agrees no better than mismatched pairs of its domain; empty where it does, or none can tell."""
        calibration = self.calibration.get(domain)
        bound = None if calibration is None else calibration.bound
        return Threshold(name=f"{AGREEMENT} that mismatched pairs reach", below=bound).reasons(scores[AGREEMENT])


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
        regenerate=build_decide(spec, ["regenerate"]),
        flags=build_decide(spec, ["keep"]),
        calibration={} if rate is None else calibrate(controls, rate),
        near=None if near.below is None and near.above is None else NearCopies(near, compared_by(rules[NEAR])),
        actions={name: rules[name].action for name in (AGREEMENT, NEAR, DUPLICATES)},
    )


def calibrate(controls: Iterable[Mapping[str, Any]], rate: float) -> dict[str, Calibration]:
    """The bound on agreement that a share `rate` of the mismatched pairs reaches, by domain.

    A domain with fewer than `least_controls` of them has no bound: no rate can be told from so few.

    Args:
        controls: rows of `CONTROL_COLUMNS`, of every judged pair.
        rate: share of mismatched pairs that may pass.
    """
    found: dict[str, list[float]] = {}
    for row in controls:
        values = found.setdefault(row["domain"], [])
        value = row[SCORE_PREFIX + SHUFFLED]
        if value is not None:
            values.append(float(value))
    return {
        domain: Calibration(rate=rate, controls=len(values), bound=_upper(np.sort(np.asarray(values)), rate))
        for domain, values in sorted(found.items())
    }


def least_controls(rate: float) -> int:
    """How many mismatched pairs of a domain it takes to tell such a rate."""
    return max(LEAST_CONTROLS, math.ceil(1 / rate))


def _upper(ordered: NDArray[np.float64], rate: float) -> float | None:
    """The least value that at most a share `rate` of `ordered` reaches."""
    if len(ordered) < least_controls(rate):
        return None
    passing = int(rate * len(ordered))
    return float(np.nextafter(np.float32(ordered[len(ordered) - passing - 1]), np.float32(np.inf)))


def _signature(row: Mapping[str, Any]) -> Signature:
    return Signature(
        domain=row["domain"],
        phash=phash_of(row["image_phash"]),
        embedding=np.asarray(row["embedding"], np.float32),
        minhash=minhash_of(row["report_minhash"]),
    )
