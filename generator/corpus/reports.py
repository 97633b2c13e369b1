"""What of a row's report is learned: its part, cleaned, masked, or why there is nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from medim_forge.generator.corpus import phi, sections
from medim_forge.generator.corpus.layout import Layout
from medim_forge.generator.corpus.phi import PhiKind
from medim_forge.generator.corpus.record import Record
from medim_forge.generator.errors import InputError
from medim_forge.generator.jobspec.data import TextSection

NO_REPORT = "has no report"
UNREADABLE = "its report cannot be read as text"
NO_SECTION = "its report has no such part"
SHORT = "its report has fewer words than text.min_words"
NAMES = "its report has words that look as if they named a person"
REMOVED = "its report has marks in place of removed words"
_SENTENCE = re.compile(r"(?<=[.!?。])\s+")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What became of a row's report.

    Attributes:
        report: what is learned; None where there is nothing.
        reason: why not.
        phi: what looks as if it named a person, by kind.
        stops: whether the job must not go on with such a row.
        removed: whether the publisher's marks stand in it.
    """

    report: str | None = None
    reason: str = ""
    phi: Mapping[PhiKind, int] = field(default_factory=dict)
    stops: bool = False
    removed: bool = False


def read_report(layout: Layout, text: TextSection, record: Record) -> Reading:
    """The report of a row as it is learned.

    Args:
        layout: of its source.
        text: rules of the job.
        record: of the row.
    """
    try:
        whole = record.words.text() if record.words else layout.value(layout.columns.report, record.values)
    except InputError:
        return Reading(reason=UNREADABLE)
    parts = {
        part: said
        for part in ("findings", "impression")
        if (said := layout.value(getattr(layout.columns, part), record.values))
    }
    if not whole and not parts:
        return Reading(reason=NO_REPORT)
    if whole and layout.section != "whole" and not (layout.columns.findings or layout.columns.impression):
        parts = sections.split_report(whole, layout.headings)
    chosen = sections.choose(layout.section, whole, {part: sections.tidy(said) for part, said in parts.items()})
    if not chosen:
        return Reading(reason=NO_SECTION)
    marked = any(mark in chosen for mark in layout.removed_words)
    if marked and text.removed == "skip":
        return Reading(reason=REMOVED)
    if marked and text.removed == "sentence":
        chosen, marked = _without_marks(chosen, layout.removed_words), False
    if len(chosen.split()) < text.min_words:
        return Reading(reason=SHORT)
    return _scanned(layout, chosen, record, marked=marked)


def _scanned(layout: Layout, chosen: str, record: Record, *, marked: bool) -> Reading:
    """The report, with what looks as if it named a person treated as the job says."""
    counts, stretches = phi.find(chosen, record.names)
    action = layout.source.phi.action
    if not counts or layout.kind == "phantoms":
        return Reading(report=chosen, removed=marked)
    if action == "mask":
        return Reading(report=phi.masked(chosen, stretches), phi=counts, removed=marked)
    return Reading(reason=NAMES, phi=counts, stops=action == "error")


def _without_marks(report: str, marks: tuple[str, ...]) -> str:
    """The sentences of a report that have no mark in them."""
    return " ".join(part for part in _SENTENCE.split(report) if not any(mark in part for mark in marks))
