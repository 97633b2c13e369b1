"""Which kinds of pairs a job can be asked for, checked before anything starts."""

from __future__ import annotations

from functools import lru_cache

from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.filters.observations import labels, mentions
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.phantoms.chest_report import GRAMMAR as CHEST
from medim_forge.generator.plan.prompts import GRAMMARS


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
            f"{spec.source}: balance.budget = {spec.balance.budget} is below the {pairs} planned pairs, which it "
            "includes; raise it, or plan fewer."
        )
    own = [one.domain for one in spec.prompts] if spec.inputs is None else [spec.inputs.domain]
    domains = tuple(domain for domain in GRAMMARS if domain in own)
    for place, quota in enumerate(spec.balance.quotas):
        where = f"{spec.source}: balance.quotas[{place}]"
        if quota.label is not None and "chest_xray" not in domains:
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
        known = tuple(finding for domain in domains for finding in GRAMMARS[domain].findings)
        if quota.finding is not None and quota.finding not in known:
            raise SpecError(
                f"{where}.finding: {quota.finding!r} is not a finding of {' or '.join(domains)}"
                f"{suggestion(quota.finding, known)}. Known: {', '.join(known)}. CheXpert observations go under label."
            )


@lru_cache(maxsize=1)
def phantom_labels() -> frozenset[str]:
    """The CheXpert observations that a sentence of the embedded chest grammar asserts, or a report without findings."""
    found = {"no_finding"}
    for row in CHEST.sentences:
        found.update(name for name, value in labels(mentions(row.text)).items() if value == 1)
    return frozenset(found)
