"""The prompt catalogue: what a job asks for, as the visible opening words of a report.

A prompt is a prefix of the report. Without findings it is the domain's opening; with findings, their sentences follow
in the order in which reports have them. Which paraphrase, size or place is asked for varies with the pair's seed, so
that `findings: [effusion_right]` gives small and large effusions alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.jobspec import PromptSection
from medim_forge.generator.jobspec.composer import Places
from medim_forge.generator.jobspec.header import dotted, place_of
from medim_forge.generator.phantoms import FINDINGS, GRAMMARS, Sentence, read_findings
from medim_forge.generator.records import Domain, Prompt
from medim_forge.model.quoting import quoted


def compose(section: PromptSection, seed: int) -> Prompt:
    """The prompt of one pair.

    Args:
        section: the job's entry, already checked.
        seed: of the pair; picks among paraphrases, nothing else.
    """
    opening = facts_of(section.domain).opening if section.text is None else section.text
    if not section.findings:
        return _plain(section.domain, opening)
    asked = (_pick(slot, seed) for slot in _slots(section.domain, section.findings))
    text = " ".join(filter(None, [opening, *asked]))
    return Prompt(domain=section.domain, text=text, findings=tuple(sorted(read_findings(text))))


def check_prompts(prompts: Sequence[PromptSection], source: str, places: Places | None = None) -> None:
    """Every finding that is asked for is one its domain has, named once.

    Raises:
        SpecError: an unknown or repeated finding, with the file and the key.
    """
    for index, section in enumerate(prompts):
        known = FINDINGS.get(section.domain, ())
        for finding in section.findings:
            location = ("prompts", index, "findings")
            where = f"{place_of(source, location, places or {})}: {dotted(location)}: {quoted(finding)}"
            if finding not in known:
                listed = ", ".join(known) or "none, for the domain has no grammar; ask in words, with text"
                raise SpecError(
                    f"{where} is not a finding of {section.domain}{suggestion(finding, known)}. Known: {listed}."
                )
            if section.findings.count(finding) > 1:
                raise SpecError(f"{where} is named twice; name it once.")


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
