"""The section `data`: which image-report pairs of the user's own a job works with, and by what rules.

One section for every holding: tables, folders, archives, DICOM, finished datasets, phantoms. What a published holding
looks like is a preset (`generator/jobspec/preset.py`), and what stands here goes before what the preset says.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from medim_forge.generator.jobspec.fields import (
    Count,
    DomainName,
    Place,
    Section,
    Seed,
    Share,
    Text,
    Words,
    named_twice,
)
from medim_forge.generator.phantoms import DOMAINS as DRAWN

Kind = Literal["table", "parquet", "huggingface", "images", "webdataset", "dicom", "dataset", "phantoms"]
ReportPart = Literal["findings", "impression", "findings_and_impression", "findings_or_impression", "whole"]
PerStudy = Literal["one", "weighted", "all"]
TooLong = Literal["cut", "cut_sentence", "skip", "error"]
# What a part of a report is headed by, by the name of the part.
Headings = dict[Literal["findings", "impression", "other"], Annotated[tuple[Text, ...], Field(strict=False)]]


def _listed(value: object) -> object:
    """One value as a list of one; true and false as tables write them."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(one) if isinstance(one, bool | int) else one for one in values)


# Values of a column, as text.
Values = Annotated[tuple[Text, ...], Field(strict=False), BeforeValidator(_listed)]
_ONLY_PHANTOMS = ("pairs", "first_seed")


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from None
    if groups > 1:
        raise ValueError("has several groups; the first one is the patient, so write the others as (?:...)")
    return text


Pattern = Annotated[Text, AfterValidator(_pattern)]


class ColumnsSection(Section):
    """Which columns of a holding say what.

    Each is the name of a column, a template such as `"{findings} {impression}"`, or names with `|` between them, of
    which the first that says anything counts. Holdings without a table have columns, too; docs/data.md lists them.

    Attributes:
        image: path of the image, or the image itself.
        report: the whole report.
        findings: the findings, where they have a column of their own.
        impression: the impression, where it has a column of its own.
        patient: whom the pair is of.
        study: which images share a report.
        view: e.g. `PA`.
        split: `train`, `validation` or `test`.
        burned_in: `YES` where words are burned into the image.
        labels: columns of labels, taken along.
    """

    image: Text | None = None
    report: Text | None = None
    findings: Text | None = None
    impression: Text | None = None
    patient: Text | None = None
    study: Text | None = None
    view: Text | None = None
    split: Text | None = None
    burned_in: Text | None = None
    labels: Annotated[tuple[Text, ...], Field(strict=False)] = ()


class ReportSection(Section):
    """What of a report is learned.

    Attributes:
        section: which part; None takes the preset's, and `whole` without a preset.
        headings: of the parts, instead of the known ones of several languages.
        opening: words that the report begins with; None takes those of the domain, and an empty one gives none.
    """

    section: ReportPart | None = None
    headings: Headings | None = None
    opening: Words | None = None


class PhiSection(Section):
    """What is done about words in a report that look as if they named a person.

    Attributes:
        action: `error` stops, `skip` leaves the pair out, `mask` writes `___` in their place.
    """

    action: Literal["error", "skip", "mask"] = "error"


class SourceSection(Section):
    """One holding of pairs.

    Attributes:
        name: what messages call it; None takes the preset or the kind.
        preset: name of a published layout, or path of a preset file of one's own.
        kind: of holding, where no preset is named.
        domain: of every pair.
        path: where it lies; the default of the four places below.
        table: file of the table.
        images: folder of the images.
        reports: folder of the reports.
        slides: folder of whole slides.
        columns: which columns say what, where it differs from the preset.
        report: what of a report is learned.
        views: that are taken, the preferred first; None takes the preset's, and an empty list all.
        per_study: of several images with one report `one`, all `weighted` so that they count as one, or simply `all`;
            None takes the preset's, and `weighted` without a preset.
        exclude: values by column; a row that has one of them is left out.
        patient_pattern: regular expression; its group, or what it finds, is the patient.
        patients: `unknown` where nothing tells them apart, so that only rows are.
        terms: under which the data may be used; every card made with them says so.
        deidentified: the user's statement that the data name nobody; recorded.
        phi: what is done about words that look as if they named somebody.
        burned_in: what is done about images that say of themselves that words are burned in.
        allow_synthetic: whether pairs that a model made may be learned from.
        limit: first rows only; None takes all.
        pairs: of phantoms, how many.
        first_seed: of phantoms.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    preset: Place | None = None
    kind: Kind | None = None
    domain: DomainName
    path: Place | None = None
    table: Place | None = None
    images: Place | None = None
    reports: Place | None = None
    slides: Place | None = None
    columns: ColumnsSection = Field(default_factory=ColumnsSection)
    report: ReportSection = Field(default_factory=ReportSection)
    views: Annotated[tuple[Text, ...], Field(strict=False)] | None = None
    per_study: PerStudy | None = None
    exclude: dict[Text, Values] = Field(default_factory=dict)
    patient_pattern: Pattern | None = None
    patients: Literal["unknown"] | None = None
    terms: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    deidentified: bool | None = None
    phi: PhiSection = Field(default_factory=PhiSection)
    burned_in: Literal["skip", "error", "keep"] = "skip"
    allow_synthetic: bool = False
    limit: Count | None = None
    pairs: Count | None = None
    first_seed: Seed = 0

    @property
    def called(self) -> str:
        """What messages call it."""
        return self.name or self.preset or str(self.kind)

    @model_validator(mode="after")
    def _one_layout(self) -> SourceSection:
        if (self.preset is None) == (self.kind is None):
            raise ValueError("name either preset (a published layout) or kind (of holding), not both")
        if self.kind == "phantoms":
            return self._drawn()
        given = [name for name in _ONLY_PHANTOMS if name in self.model_fields_set]
        if given:
            raise ValueError(f"{given[0]} is for kind: phantoms; limit takes the first rows of other holdings")
        if self.kind == "dataset" and not self.allow_synthetic:
            raise ValueError(
                "kind: dataset is a finished dataset of ours, which a model made. A model that learns from what models "
                "made loses the rare cases first, and its figures say nothing of patients; write allow_synthetic: true "
                "if that is what you want to study"
            )
        if self.allow_synthetic and self.kind != "dataset":
            raise ValueError("allow_synthetic is for kind: dataset; leave it out")
        if not self.terms:
            raise ValueError(
                "terms is empty; say under which terms these data may be used, e.g. [CC BY 4.0] or [Internal, IRB "
                "2026-117]: every checkpoint and dataset made with them has to say so"
            )
        if self.deidentified is None:
            raise ValueError(
                "deidentified is missing; write true if you state that images and reports name nobody, else false"
            )
        return self

    def _drawn(self) -> SourceSection:
        """The source, known to be phantoms that can be drawn."""
        idle = self.model_fields_set - {"kind", "name", "domain", "report", "limit", *_ONLY_PHANTOMS}
        if idle:
            raise ValueError(f"{min(idle)} is not for kind: phantoms, which are drawn; leave it out")
        if self.pairs is None:
            raise ValueError("pairs is missing; kind: phantoms needs how many are drawn")
        if self.domain not in DRAWN:
            raise ValueError(f"domain = {self.domain!r} has no phantoms; they are drawn of {' and '.join(DRAWN)}")
        return self


class SplitSection(Section):
    """Who is learned from, and who is kept for validation and test.

    Attributes:
        by: `patient` draws by a hash of salt and patient, which rows that come later do not move; `column` takes what
            `columns.split` says.
        validation: share of patients, drawn.
        test: share of patients, drawn.
        salt: another one draws others.
    """

    by: Literal["patient", "column"] = "patient"
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    test: Annotated[float, Field(ge=0, lt=1)] = 0.05
    salt: str = ""

    @model_validator(mode="after")
    def _somebody_is_learned_from(self) -> SplitSection:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation + test = {self.validation + self.test:g} leaves nobody to learn from")
        if self.by == "column":
            idle = sorted(self.model_fields_set & {"validation", "test", "salt"})
            if idle:
                raise ValueError(f"{idle[0]} is for by: patient; by: column takes the split as it is given")
        return self


class TextSection(Section):
    """How reports are made to fit.

    Attributes:
        too_long: what is done about a report that does not fit the slots of the model.
        min_words: a report of fewer is left out.
        removed: what is done where the publisher wrote a mark in place of a removed word: `keep` it, leave out the
            `sentence`, or `skip` the pair.
    """

    too_long: TooLong = "cut_sentence"
    min_words: Count = 2
    removed: Literal["keep", "sentence", "skip"] = "keep"


class DataSection(Section):
    """Image-report pairs that a job works with.

    Attributes:
        sources: holdings, read one after the other.
        split: who is learned from, and who is kept for validation and test.
        mix: share of each domain in what is learned from; None takes rows as they come.
        text: how reports are made to fit.
    """

    sources: Annotated[tuple[SourceSection, ...], Field(strict=False, min_length=1)]
    split: SplitSection = Field(default_factory=SplitSection)
    mix: dict[DomainName, Share] | None = None
    text: TextSection = Field(default_factory=TextSection)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains of the sources, in their order."""
        return tuple(dict.fromkeys(source.domain for source in self.sources))

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms of all sources, each once, in their order."""
        return tuple(dict.fromkeys(term for source in self.sources for term in source.terms))

    @model_validator(mode="after")
    def _sources_can_be_told_apart(self) -> DataSection:
        if twice := named_twice([source.called for source in self.sources]):
            raise ValueError(f"sources: two are called {twice}; give each its name")
        return self

    @model_validator(mode="after")
    def _mix_is_of_these_domains(self) -> DataSection:
        if self.mix is None:
            return self
        if set(self.mix) != set(self.domains):
            raise ValueError(f"mix names {', '.join(self.mix)}; name the domains of the sources: {self.domains}")
        if abs(sum(self.mix.values()) - 1) > 1e-6:
            raise ValueError(f"mix sums to {sum(self.mix.values()):g}; shares sum to 1")
        return self
