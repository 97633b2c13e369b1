"""Where a report says the opposite of itself."""

from __future__ import annotations

import math
import re

from medim_forge.generator.domains import facts_of
from medim_forge.generator.filters import observations
from medim_forge.generator.filters.kind import FilterKind, measured_by
from medim_forge.generator.filters.observations import mentions
from medim_forge.generator.filters.text import sentences
from medim_forge.generator.phantoms import GRAMMARS, Grammar
from medim_forge.generator.records import Pair

NAME = "contradictions"
# A new thing cannot be an old one: the sentence contradicts itself whatever it is about.
NEW_AND_OLD = re.compile(
    r"\bnew\b[^.]*\b(?:unchanged|not changed|stable)\b|\b(?:unchanged|stable)\b[^.]*\bnew\b(?! (?:focal|acute))"
)


def contradictions(pair: Pair) -> dict[str, float]:
    """How many things the report both asserts and denies; NaN for an empty report."""
    if not pair.report.strip():
        return {NAME: math.nan}
    domain = pair.request.prompt.domain
    if facts_of(domain).chexpert:
        clashing = observations.contradictions(mentions(pair.report))
    else:
        clashing = grammar_contradictions(GRAMMARS[domain], pair.report) if domain in GRAMMARS else ()
    new_and_old = sum(NEW_AND_OLD.search(sentence) is not None for sentence in sentences(pair.report))
    return {NAME: float(len(clashing) + new_and_old)}


def grammar_contradictions(grammar: Grammar, report: str) -> tuple[str, ...]:
    """Findings of the grammar that the report asserts and denies, sorted."""
    reading = grammar.read(report)
    rows = (*reading.body, *reading.impression)
    denied = frozenset[str]().union(*(row.denies for row in rows))
    return tuple(sorted(denied & grammar.findings_of(rows)))


KIND = FilterKind(
    name=NAME,
    scores={NAME: "things that the report both asserts and denies"},
    build=measured_by(contradictions),
    sees="report",
)
