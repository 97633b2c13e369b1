"""A preset: how a published holding of image-report pairs is laid out. It is data, which users copy and change.

The presets that come with the software are `generator/corpus/presets/*.yaml`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec.data import ColumnsSection, Kind, Pattern, PerStudy, ReportSection
from medim_forge.generator.jobspec.document import parse_yaml
from medim_forge.generator.jobspec.explain import explain
from medim_forge.generator.jobspec.fields import Count, Section, Text

PlaceName = Literal["path", "table", "images", "reports", "slides"]
Names = Annotated[tuple[Text, ...], Field(strict=False)]


class FileSection(Section):
    """A file of a holding.

    Attributes:
        place: below which it lies.
        file: its name there; wildcards are allowed, for releases have numbers.
    """

    place: PlaceName
    file: Text


class JoinSection(FileSection):
    """A further table, whose columns are added to those of the first.

    Attributes:
        on: column that both tables have.
    """

    on: Text


class FilePathSection(Section):
    """Where the file of a row lies.

    Attributes:
        place: below which.
        path: template of columns, e.g. `p{subject_id:2}/{dicom_id}.jpg`; `:2` takes the first two characters.
        suffixes: that are tried instead, for releases that differ in it.
    """

    place: PlaceName
    path: Text
    suffixes: Names = ()


class RegionSection(Section):
    """Which part of a whole slide is the image.

    Attributes:
        position: column with x and y of its upper left corner at the finest level.
        side: pixels.
    """

    position: Text
    side: Count


class PresetSpec(Section):
    """A published layout.

    Attributes:
        title: what it is.
        kind: of holding.
        terms: what its publisher calls the terms, as an example for those who leave them out.
        places: what each place that a source has to name holds.
        table: the first table.
        joins: further tables.
        image: where the image of a row lies.
        region: of a whole slide.
        report_file: where the report of a row lies, if it has a file of its own.
        columns: which say what.
        report: which part is learned unless the source says so.
        views: that are taken, the preferred first; an empty list takes all.
        per_study: what is taken of several images with one report.
        patient_pattern: regular expression; its group, or what it finds, is the patient.
        missing: words that say that a cell says nothing, besides an empty one.
        removed_words: marks that stand in place of words that the publisher removed.
        notes: what a person should know who trains on it.
    """

    title: Text
    kind: Kind
    terms: Text
    places: dict[PlaceName, Text]
    table: FileSection | None = None
    joins: Annotated[tuple[JoinSection, ...], Field(strict=False)] = ()
    image: FilePathSection | None = None
    region: RegionSection | None = None
    report_file: FilePathSection | None = None
    columns: ColumnsSection = Field(default_factory=ColumnsSection)
    report: ReportSection = Field(default_factory=ReportSection)
    views: Names = ()
    per_study: PerStudy = "weighted"
    patient_pattern: Pattern | None = None
    missing: Names = ()
    removed_words: Names = ()
    notes: Names = ()


def parse_preset(content: bytes, source: str) -> PresetSpec:
    """The preset that YAML text holds.

    Args:
        content: in UTF-8.
        source: what to call it in errors.

    Raises:
        SpecError: it is not YAML, has an unknown key, a wrong type or an impossible value.
    """
    try:
        return PresetSpec.model_validate(parse_yaml(content, source))
    except ValidationError as error:
        raise SpecError(explain(error, PresetSpec, source)) from error
