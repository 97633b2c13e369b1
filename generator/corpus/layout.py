"""How a holding is laid out: what its preset says, with what the job says in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.jobspec.data import ColumnsSection, Kind, PerStudy, ReportPart, SourceSection
from medim_forge.generator.jobspec.preset import PlaceName, PresetSpec, parse_preset

# What cells hold that say nothing, besides those that are empty.
MISSING = ("nan", "NaN", "None", "null", "<NA>")
_FIELD = re.compile(r"\{([^{}:]+)(?::(\d+))?\}")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One source of a job, resolved.

    Attributes:
        number: of the source in the job, from 0.
        source: as the job says it.
        kind: of holding.
        preset: that it follows; None without one.
        columns: which say what.
        section: which part of a report is learned.
        headings: of the parts by their names; None for the known ones.
        views: that are taken, the preferred first; empty for all.
        per_study: what is taken of several images with one report.
        patient_pattern: that finds the patient in what the column says; None takes all of it.
        missing: words that say that a cell says nothing.
        removed_words: marks in place of words that the publisher removed.
        notes: what a person should know who trains on it.
    """

    number: int
    source: SourceSection
    kind: Kind
    preset: PresetSpec | None
    columns: ColumnsSection
    section: ReportPart
    headings: Mapping[str, tuple[str, ...]] | None
    views: tuple[str, ...]
    per_study: PerStudy
    patient_pattern: re.Pattern[str] | None
    missing: frozenset[str]
    removed_words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What messages call the source."""
        return self.source.called

    @property
    def where(self) -> str:
        """The key of the source, for errors."""
        return f"data.sources[{self.number}] ({self.name})"

    @property
    def opening(self) -> str:
        """The words that its reports begin with; empty for none."""
        own = self.source.report.opening
        return facts_of(self.source.domain).opening if own is None else own

    def place(self, name: PlaceName) -> Path:
        """The place of this name, or `path` where the job does not name it.

        Raises:
            SpecError: the job names neither, or there is nothing.
        """
        given = getattr(self.source, name) or self.source.path
        if given is None:
            holds = self.preset.places.get(name, "") if self.preset else ""
            raise SpecError(f"{self.where}: {name} is missing{holds and f'; it is {holds}'}.")
        path = Path(given)
        if not path.exists():
            raise SpecError(f"{self.where}.{name} = {given!r} does not exist; a relative path starts in {Path.cwd()}.")
        return path

    def value(self, expression: str | None, values: Mapping[str, str]) -> str | None:
        """What an expression of columns says of a row; None where it says nothing.

        Args:
            expression: a column, a template, or columns with `|` between them.
            values: of the row, by column.
        """
        if expression is None:
            return None
        if expression in values:
            return self._said(values[expression])
        if "{" in expression:
            filled = _FIELD.sub(lambda field: self._cut(field, values), expression).strip()
            return filled if any(self._said(values.get(name)) for name in columns_of(expression)) else None
        return next((said for name in expression.split("|") if (said := self._said(values.get(name)))), None)

    def _cut(self, field: re.Match[str], values: Mapping[str, str]) -> str:
        said = self._said(values.get(field[1])) or ""
        return said[: int(field[2])] if field[2] else said

    def _said(self, cell: str | None) -> str | None:
        text = (cell or "").strip()
        return None if text in self.missing else text


def columns_of(expression: str | None) -> tuple[str, ...]:
    """The columns that an expression names."""
    if expression is None:
        return ()
    if "{" in expression:
        return tuple(field[1] for field in _FIELD.finditer(expression))
    return tuple(expression.split("|"))


def resolve_layout(number: int, source: SourceSection) -> Layout:
    """The layout of a source.

    Raises:
        SpecError: there is no such preset, or it is wrong.
    """
    preset = None if source.preset is None else load_preset(source.preset, f"data.sources[{number}].preset")
    own = source.columns.model_dump(exclude_unset=True)
    columns = ColumnsSection.model_validate({**_columns(source, preset), **own})
    kind = preset.kind if preset else source.kind
    assert kind is not None, "a source has a preset or a kind"
    theirs = preset.report if preset else None
    return Layout(
        number=number,
        source=source,
        kind=kind,
        preset=preset,
        columns=columns,
        section=source.report.section or (theirs and theirs.section) or "whole",
        headings=_headings(source, preset),
        views=source.views if source.views is not None else (preset.views if preset else ()),
        per_study=source.per_study or (preset.per_study if preset else "weighted"),
        patient_pattern=_pattern(source.patient_pattern or (preset.patient_pattern if preset else None)),
        missing=frozenset(("", *MISSING, *(preset.missing if preset else ()))),
        removed_words=preset.removed_words if preset else (),
        notes=preset.notes if preset else (),
    )


@cache
def presets() -> Mapping[str, Path]:
    """The presets that come with the software, by name."""
    folder = files("medim_forge.generator.corpus").joinpath("presets")
    found = {Path(entry.name).stem: Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return {name: found[name] for name in sorted(found)}


def load_preset(name: str, key: str) -> PresetSpec:
    """The preset of this name, or of this file.

    Args:
        name: of one that comes with the software, or the path of a file of one's own.
        key: of the job that names it, for errors.

    Raises:
        SpecError: there is no such preset, or it is wrong.
    """
    path = presets().get(name, Path(name))
    if not path.is_file():
        raise SpecError(
            f"{key} = {name!r} is neither a preset nor a file{suggestion(name, presets())}. Known: "
            f"{', '.join(presets())}. To use another layout, copy one of them and name the file."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{key} = {name!r} cannot be read ({error.strerror}). Mend the file.") from error
    return parse_preset(content, f"{key} {name}")


def _headings(source: SourceSection, preset: PresetSpec | None) -> Mapping[str, tuple[str, ...]] | None:
    """The headings that the job gives, else those of the preset; None for the known ones."""
    given = source.report.headings or (preset.report.headings if preset else None)
    return None if given is None else {str(part): words for part, words in given.items()}


def _pattern(text: str | None) -> re.Pattern[str] | None:
    return None if text is None else re.compile(text)


def _columns(source: SourceSection, preset: PresetSpec | None) -> dict[str, object]:
    """The columns that the preset names, or that holdings of the kind have."""
    if preset is not None:
        return preset.columns.model_dump(exclude_unset=True)
    return dict(_USUAL.get(str(source.kind), {}))


# Columns that holdings of a kind have, or that are taken unless the job names others.
_USUAL: Mapping[str, Mapping[str, str]] = {
    "table": {"image": "image", "report": "report"},
    "parquet": {"image": "image", "report": "report"},
    "huggingface": {"image": "image", "report": "report", "split": "split"},
    "images": {"report": "report"},
    "webdataset": {"report": "txt"},
    "dicom": {
        "image": "SOPInstanceUID|StudyInstanceUID|AccessionNumber",
        "report": "ReportText",
        "patient": "PatientID",
        "study": "StudyInstanceUID",
        "view": "ViewPosition",
        "burned_in": "BurnedInAnnotation",
    },
    "dataset": {"image": "image", "report": "report", "patient": "pair_id"},
    "phantoms": {"report": "report", "patient": "seed"},
}
