"""Which kinds of pairs a job can be asked for, checked before anything starts."""

from __future__ import annotations

from functools import lru_cache

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.filters.observations import labels, mentions
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.phantoms import FINDINGS, GRAMMARS
from medim_forge.model.quoting import quoted


def check_balance(spec: GenerateSpec, pairs: int) -> None:
    """Every quota is of a kind that pairs of the job can be of, and the budget covers the plan.

    Args:
        spec: the job.
        pairs: planned.

    Raises:
        SpecError: it is not, with the file and the key.
    """
    if spec.balance is None:
        return
    if spec.balance.budget < pairs:
        raise SpecError(
            f"{spec.at('balance', 'budget')} = {spec.balance.budget} is below the {pairs} planned pairs, which it "
            "includes; raise it, or plan fewer."
        )
    domains = spec.domains
    labelled = any(facts_of(domain).chexpert for domain in domains)
    for place, quota in enumerate(spec.balance.quotas):
        where = spec.at("balance", "quotas", place)
        if quota.label is not None and not labelled:
            raise SpecError(f"{where}.label: labels are of chest reports, and the job makes pairs of {domains[0]}.")
        if quota.label is not None and spec.model.checkpoint == "phantom" and quota.label not in phantom_labels():
            raise SpecError(
                f"{where}.label: no report of the embedded checkpoint asserts {quota.label}. It asserts: "
                f"{', '.join(sorted(phantom_labels()))}."
            )
        if quota.domain is not None and quota.domain not in domains:
            raise SpecError(
                f"{where}.domain: the job makes no pairs of {quota.domain}, but of {' and '.join(domains)}."
            )
        known = tuple(finding for domain in domains for finding in FINDINGS.get(domain, ()))
        if quota.finding is not None and quota.finding not in known:
            raise SpecError(
                f"{where}.finding: {quoted(quota.finding)} is not a finding of {' or '.join(domains)}"
                f"{suggestion(quota.finding, known)}. Known: {', '.join(known)}. CheXpert observations go under label."
            )


@lru_cache(maxsize=1)
def phantom_labels() -> frozenset[str]:
    """The CheXpert observations that a sentence of a labelled grammar asserts, or a report without findings."""
    rows = [row for domain, grammar in GRAMMARS.items() if facts_of(domain).chexpert for row in grammar.sentences]
    asserted = {name for row in rows for name, value in labels(mentions(row.text)).items() if value == 1}
    return frozenset(asserted | {"no_finding"})
