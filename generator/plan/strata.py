"""The kinds of pairs that are counted: what was asked for, what the report finds, what it asserts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from medim_forge.generator.domains import facts_of
from medim_forge.generator.filters import SCORE_PREFIX
from medim_forge.generator.filters.observations import OBSERVATIONS
from medim_forge.generator.jobspec import QuotaSection
from medim_forge.generator.phantoms import FINDINGS
from medim_forge.generator.plan.plan import Plan
from medim_forge.generator.records import Domain

_LABELS = {name: f"{SCORE_PREFIX}label_{name}" for name in OBSERVATIONS}
STRATUM_COLUMNS = ("pair_index", "domain", "findings_report", *_LABELS.values())


class Stratum(NamedTuple):
    """A kind of pairs.

    Attributes:
        kind: `domain`, `prompt` (an entry of the job's prompts), `finding` (that the report names) or `label` (a
            CheXpert observation that a chest report asserts).
        domain: of the pairs.
        name: of the domain, finding or label; of a prompt its position.
    """

    kind: str
    domain: Domain
    name: str


def of_domain(domain: Domain) -> Stratum:
    """All pairs of a domain."""
    return Stratum("domain", domain, domain)


def strata_of_prompts(plan: Plan) -> tuple[Stratum, ...]:
    """The stratum of every entry of the job's prompts, in order."""
    return tuple(Stratum("prompt", section.domain, str(entry)) for entry, section in enumerate(plan.spec.prompts))


def strata_of(row: Mapping[str, Any], plan: Plan) -> tuple[Stratum, ...]:
    """Every stratum that a row of `STRATUM_COLUMNS` is in."""
    domain = row["domain"]
    entry = plan.entry(row["pair_index"])
    asked = [] if entry is None else [Stratum("prompt", domain, str(entry))]
    named = [Stratum("finding", domain, name) for name in row["findings_report"] or ()]
    asserted = [Stratum("label", domain, name) for name, column in _LABELS.items() if row[column] == 1]
    return (of_domain(domain), *asked, *named, *asserted)


def stratum_of(quota: QuotaSection, plan: Plan) -> Stratum:
    """What a quota of the job counts."""
    if quota.prompt is not None:
        return Stratum("prompt", plan.spec.prompts[quota.prompt].domain, str(quota.prompt))
    if quota.domain is not None:
        return of_domain(quota.domain)
    if quota.label is not None:
        return Stratum("label", next(domain for domain in plan.spec.domains if facts_of(domain).chexpert), quota.label)
    assert quota.finding is not None
    domain = next(domain for domain in plan.spec.domains if quota.finding in FINDINGS.get(domain, ()))
    return Stratum("finding", domain, quota.finding)


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
        """The quota as the manifest records it."""
        return {"name": self.name, "kept": self.kept, "at_most": self.at_most, "data": self.data, "met": self.met}


def quota_results(plan: Plan, data: Mapping[Stratum, int]) -> tuple[QuotaResult, ...]:
    """What became of the job's quotas, in its order."""
    quotas = plan.spec.balance.quotas if plan.spec.balance else ()
    return tuple(
        QuotaResult(name=str(quota), kept=quota.kept, at_most=quota.at_most, data=data.get(stratum_of(quota, plan), 0))
        for quota in quotas
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
            {"round": added.number, "pairs": len(added.repeats), "replacements": added.replacements}
            for added in plan.rounds
        ],
        "quotas": [result.record() for result in quota_results(ruled, data)],
    }
