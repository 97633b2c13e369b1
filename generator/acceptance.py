"""What became of each kind of pairs, and whether quotas are met: filters must not delete a kind of pairs unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.plan import Plan
from generator.strata import Stratum, stratum_of
from generator.tally import Tally


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Pairs of one stratum.

    Attributes:
        stratum: the kind.
        judged: made and judged, dropped ones too.
        kept: by their shard.
        data: in `data/`.
    """

    stratum: Stratum
    judged: int
    kept: int
    data: int

    @property
    def share(self) -> float:
        """Of the judged pairs, how many are in `data/`."""
        return self.data / self.judged if self.judged else 0.0

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        counts = {"judged": self.judged, "kept": self.kept, "data": self.data, "share": round(self.share, 6)}
        return {**self.stratum._asdict(), **counts}


@dataclass(frozen=True, kw_only=True)
class QuotaResult:
    """What became of one quota.

    Attributes:
        name: of the kind of pairs.
        kept: asked for, at least; None where there is no need.
        at_most: allowed; None where there is no bound.
        data: pairs in `data/`.
    """

    name: str
    kept: int | None
    at_most: int | None
    data: int

    @property
    def met(self) -> bool:
        """Whether there are enough."""
        return self.kept is None or self.data >= self.kept

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        return {"name": self.name, "kept": self.kept, "at_most": self.at_most, "data": self.data, "met": self.met}


def accepted(tally: Tally, data: Mapping[Stratum, int]) -> tuple[Accepted, ...]:
    """Every stratum that a judged pair is in, sorted; those of prompts by position."""
    ordered = sorted(tally.judged, key=lambda one: (one.kind, one.name.zfill(8) if one.kind == "prompt" else "", one))
    return tuple(
        Accepted(stratum=one, judged=tally.judged[one], kept=tally.kept_of[one], data=data.get(one, 0))
        for one in ordered
    )


def quota_results(plan: Plan, data: Mapping[Stratum, int]) -> tuple[QuotaResult, ...]:
    """What became of the job's quotas, in its order."""
    quotas = plan.spec.balance.quotas if plan.spec.balance else ()
    return tuple(
        QuotaResult(name=str(one), kept=one.kept, at_most=one.at_most, data=data.get(stratum_of(one, plan), 0))
        for one in quotas
    )


def balance_record(plan: Plan, ruled: Plan, data: Mapping[Stratum, int]) -> dict[str, Any] | None:
    """What the manifest says of a job's balance; None where neither the job nor a later policy has one.

    Args:
        plan: of the job.
        ruled: the same with the quotas that are in force.
        data: pairs in `data/` by stratum.
    """
    if plan.spec.balance is None and ruled.spec.balance is None:
        return None
    return {
        "budget": plan.spec.balance.budget if plan.spec.balance else plan.planned,
        "planned": plan.planned,
        "made": plan.pairs,
        "rounds": [
            {"round": one.number, "pairs": len(one.repeats), "replacements": one.replacements} for one in plan.rounds
        ],
        "quotas": [one.record() for one in quota_results(ruled, data)],
    }
