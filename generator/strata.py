"""The kinds of pairs that are counted: what was asked for, what the report finds, what it asserts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from generator.filters.observations import OBSERVATIONS
from generator.plan import Plan
from generator.prompts import GRAMMARS
from generator.records import Domain
from generator.schema import SCORE_PREFIX
from generator.spec_balance import QuotaSection

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
        return Stratum("label", "chest_xray", quota.label)
    assert quota.finding is not None
    domain = next(domain for domain, grammar in GRAMMARS.items() if quota.finding in grammar.findings)
    return Stratum("finding", domain, quota.finding)
