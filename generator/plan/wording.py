"""What a job gives its checkpoint in words: what does not fit is known before anything runs. No weights are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import SpecError, sentence, suggestion
from medim_forge.generator.inputs.load import given_reports
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.composer import Location
from medim_forge.generator.jobspec.inputs import ParquetInputs
from medim_forge.generator.plan.prompts import compose
from medim_forge.model.config import ConfigError
from medim_forge.model.folders import CheckpointError, resolve
from medim_forge.model.layout import LayoutError
from medim_forge.model.reports import ReportSlots
from medim_forge.model.text import TextError

# Given reports that are looked at before a job runs: some seconds of work.
MOST_ROWS = 20_000
_SHOWN = 5


def check_words(spec: GenerateSpec) -> tuple[str, ...]:
    """Prompts and openings fit the job's checkpoint and come back from its tokenizer, and some given reports fit.

    Returns:
        What a person should know: how many of the given reports cannot be used, and why.

    Raises:
        SpecError: a prompt, the opening or every given report cannot be used; or there is no such checkpoint.
    """
    try:
        slots = ReportSlots.load(resolve(spec.model.checkpoint))
    except (CheckpointError, ConfigError, TextError, OSError) as error:
        raise SpecError(f"{spec.at('model', 'checkpoint')}: {sentence(error)}") from error
    for index, section in enumerate(spec.prompts):
        key = ("prompts", index)
        opening = facts_of(section.domain).opening if section.text is None else section.text
        _check_opening(spec, slots, section.domain, opening, key, "domain" if section.text is None else "text")
        if section.findings:
            _check_opening(spec, slots, section.domain, compose(section, 0).text, key, "findings")
    if spec.inputs is None:
        return ()
    if spec.task == "report_to_image":
        _check_opening(spec, slots, spec.inputs.domain, "", ("inputs",), "domain")
        # Phantoms are drawn of the embedded checkpoint's own domain.
        return _check_given(spec, slots) if isinstance(spec.inputs, ParquetInputs) else ()
    opening = facts_of(spec.inputs.domain).opening if spec.inputs.opening is None else spec.inputs.opening
    _check_opening(spec, slots, spec.inputs.domain, opening, ("inputs",), "opening")
    return ()


def _check_opening(spec: GenerateSpec, slots: ReportSlots, domain: str, text: str, section: Location, key: str) -> None:
    """The checkpoint knows the domain, and its reports can begin with the text.

    Raises:
        SpecError: it does not, or they cannot; names the key.
    """
    try:
        slots.config.layout.code_range(domain)
    except LayoutError as error:
        near = suggestion(domain, slots.config.layout.domains)
        raise SpecError(f"{spec.at(*section, 'domain')}: {error}{near}.") from error
    official = spec.sampling.mode == "official"
    given = slots.config.conventions.prompt(text) if official else text
    try:
        if given:
            slots.ids(given, whole=False, official=official)
    except TextError as error:
        raise SpecError(f"{spec.at(*section, key)}: {sentence(error)}") from error


@dataclass
class _Unusable:
    """Given reports that the checkpoint cannot take.

    Attributes:
        looked_at: rows.
        long: row and slots that it needs, of reports that do not fit.
        strange: rows whose report the tokenizer cannot encode.
        characters: that it lacks, or words that it reserves.
        empty: rows without a report that can be read.
    """

    looked_at: int = 0
    long: list[tuple[int, int]] = field(default_factory=list)
    strange: list[int] = field(default_factory=list)
    characters: set[str] = field(default_factory=set)
    empty: list[int] = field(default_factory=list)

    def look(self, row: int, report: str | None, slots: ReportSlots, official: bool) -> None:
        """The row is counted."""
        self.looked_at += 1
        if report is None:
            self.empty.append(row)
            return
        try:
            ids = slots.text.encode(report)
        except TextError:
            self.strange.append(row)
            self.characters.update(slots.text.unknown(report))
            return
        cut = official and slots.config.conventions.long_reports == "truncated"
        if not cut and len(ids) > slots.room(whole=True):
            self.long.append((row, len(ids) + (slots.config.layout.end_id is not None)))

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.long) + len(self.strange) + len(self.empty)

    def lines(self, report_slots: int) -> Iterator[str]:
        """What is wrong with them, one kind a line."""
        of = f"{'the first ' if self.looked_at == MOST_ROWS else ''}{self.looked_at}"
        if self.long:
            longest, needed = max(self.long, key=lambda found: found[1])
            yield (
                f"{len(self.long)} of {of} reports do not fit {report_slots} slots; longest {needed}, "
                f"row {longest} ({_rows([row for row, _ in self.long])})"
            )
        if self.strange:
            shown = sorted(self.characters)
            more = f", and {len(shown) - 20} more" if len(shown) > 20 else ""
            what = f"characters that the tokenizer lacks: {shown[:20]}{more}" if shown else "reserved words such as <s>"
            yield f"{len(self.strange)} of {of} reports have {what} ({_rows(self.strange)})"
        if self.empty:
            yield f"{len(self.empty)} of {of} rows hold no report that can be read ({_rows(self.empty)})"


def _check_given(spec: GenerateSpec, slots: ReportSlots) -> tuple[str, ...]:
    """What a person should know of the given reports.

    Raises:
        SpecError: not one of them can be used.
    """
    found, official = _Unusable(), spec.sampling.mode == "official"
    for row, report in given_reports(spec, MOST_ROWS):
        found.look(row, report, slots, official)
    lines = tuple(found.lines(slots.config.layout.report_slots))
    if found.rows == found.looked_at < MOST_ROWS:
        raise SpecError(
            f"{spec.at('inputs')}: no row can be used: {'; '.join(lines)}. Shorten the reports, write them in "
            "characters that the checkpoint knows, or take another checkpoint."
        )
    return tuple(f"inputs: {line}; they will be quarantined" for line in lines)


def _rows(rows: Sequence[int]) -> str:
    """The first row numbers, in words."""
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"row {shown}" if len(rows) == 1 else f"rows {shown}{', ...' if len(rows) > _SHOWN else ''}"
