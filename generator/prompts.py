"""The prompt catalogue: what a job asks for, as the visible opening words of a report.

A prompt is a prefix of the report. Without findings it is the domain's opening; with findings, their sentences follow
in the order in which reports have them. Which paraphrase, size or place is asked for varies with the pair's seed, so
that `findings: [effusion_right]` gives small and large effusions alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from generator.errors import SpecError
from generator.filters.observations import labels, mentions
from generator.phantoms import OPENING, read_findings
from generator.phantoms.chest_report import GRAMMAR as CHEST
from generator.phantoms.grammar import Grammar, Sentence
from generator.phantoms.pathology_report import GRAMMAR as PATHOLOGY
from generator.records import Domain, Prompt
from generator.spec import GenerateSpec
from generator.spec_errors import suggestion
from generator.spec_sections import PromptSection

GRAMMARS: dict[Domain, Grammar] = {"chest_xray": CHEST, "pathology": PATHOLOGY}


def compose(section: PromptSection, seed: int) -> Prompt:
    """The prompt of one pair.

    Args:
        section: the job's entry, already checked.
        seed: of the pair; picks among paraphrases, nothing else.
    """
    opening = OPENING[section.domain] if section.text is None else section.text
    if not section.findings:
        return _plain(section.domain, opening)
    asked = (_pick(slot, seed) for slot in _slots(section.domain, section.findings))
    text = " ".join(filter(None, [opening, *asked]))
    return Prompt(domain=section.domain, text=text, findings=tuple(sorted(read_findings(text))))


def check_prompts(prompts: Sequence[PromptSection], source: str) -> None:
    """Every finding that is asked for is one its domain has, named once.

    Raises:
        SpecError: an unknown or repeated finding, with the file and the key.
    """
    for index, section in enumerate(prompts):
        known = GRAMMARS[section.domain].findings
        for finding in section.findings:
            where = f"{source}: prompts[{index}].findings: {finding!r}"
            if finding not in known:
                listed = ", ".join(known)
                raise SpecError(
                    f"{where} is not a finding of {section.domain}{suggestion(finding, known)}. Known: {listed}."
                )
            if section.findings.count(finding) > 1:
                raise SpecError(f"{where} is named twice; name it once.")


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


@lru_cache(maxsize=1024)
def _plain(domain: Domain, text: str) -> Prompt:
    """The prompt that is the same for every pair; findings are those its own words assert."""
    return Prompt(domain=domain, text=text, findings=tuple(sorted(read_findings(text))))


@lru_cache(maxsize=1024)
def _slots(domain: Domain, findings: tuple[str, ...]) -> tuple[tuple[Sentence, ...], ...]:
    """The sentences to choose from, slot by slot, up to the last finding asked for.

    A slot that every complete report fills comes along, with sentences that assert no other finding: a report that
    continues the prompt could not fill it any more.
    """
    grammar = GRAMMARS[domain]
    asked, others = set(findings), set(grammar.findings) - set(findings)
    body = [row for row in grammar.sentences if row.section == "body" and not row.asserts & others]
    by_slot = {slot: tuple(row for row in body if row.slot == slot) for slot in grammar.slots}
    chosen: list[tuple[Sentence, ...]] = []
    for slot, rows in by_slot.items():
        asserting = tuple(row for row in rows if row.asserts & asked)
        if asserting or (rows and slot in grammar.required):
            chosen.append(asserting or rows)
    last = max(index for index, rows in enumerate(chosen) if rows[0].asserts & asked)
    return tuple(chosen[: last + 1])


def _pick(rows: Sequence[Sentence], seed: int) -> str:
    """One of the sentences, the same for the same seed."""
    digest = hashlib.sha256(f"{seed}/{rows[0].slot}".encode()).digest()
    return rows[int.from_bytes(digest[:8], "big") % len(rows)].text
