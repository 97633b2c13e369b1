"""The sections `prompts` and `inputs`: what is asked for, or where given reports or images come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medim_forge.generator.jobspec.fields import (
    Count,
    DomainName,
    DrawnDomain,
    Pairs,
    Place,
    Section,
    Seed,
    Text,
    Words,
)

# What a job does about inputs that say of themselves that they may be somebody's.
Concern = Literal["error", "warn", "allow"]


class PromptSection(Section):
    """What to ask for, and how many pairs of it.

    Attributes:
        domain: what kind of image.
        text: visible opening words of the report; None takes the domain's own opening, and an empty one gives none.
        findings: finding names; each adds its sentence to the opening.
        pairs: how many.
    """

    domain: DomainName
    text: Words | None = None
    findings: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    pairs: Pairs


class PhantomInputs(Section):
    """Reports or images drawn from the embedded domain.

    Attributes:
        source: `phantoms`.
        domain: which phantoms.
        pairs: how many.
        seed: of the phantoms, apart from the job's.
        opening: words that the reports of given images begin with; None takes the domain's own, and an empty one gives
            none.
    """

    source: Literal["phantoms"]
    domain: DrawnDomain
    pairs: Pairs
    seed: Seed = 0
    opening: Words | None = None


class ParquetInputs(Section):
    """Reports or images read from Parquet.

    Attributes:
        source: `parquet`.
        path: a file, a folder of `*.parquet`, or a glob.
        domain: of every row.
        image_column: encoded images, as bytes or as a struct with a field `bytes`.
        report_column: reports.
        limit: first rows only; None takes all.
        opening: words that the reports of given images begin with; None takes the domain's own, and an empty one gives
            none.
        keep_names: whether the dataset names the image of each pair as its table does; names are often people's.
        keep_columns: columns of the table that the dataset takes along as `input_<name>`, as text.
    """

    source: Literal["parquet"]
    path: Place
    domain: DomainName
    image_column: Text = "image"
    report_column: Text = "report"
    limit: Count | None = None
    opening: Words | None = None
    keep_names: bool = False
    keep_columns: Annotated[tuple[Text, ...], Field(strict=False)] = ()


class FileInputs(Section):
    """Images read from files, one each.

    Attributes:
        source: `dicom`, or `images` for PNG, JPEG and what else Pillow reads.
        path: a file, a folder with all folders below it, or a glob.
        domain: of every image.
        limit: first files only; None takes all.
        opening: words that the reports begin with; None takes the domain's own, and an empty one gives none.
        keep_names: whether the dataset names the file of each pair; file names are often people's.
        burned_in: what is done about DICOM whose Burned In Annotation is YES: words, often names, stand in the image.
        identified: what is done about DICOM whose Patient Identity Removed is NO.
    """

    source: Literal["dicom", "images"]
    path: Place
    domain: DomainName
    limit: Count | None = None
    opening: Words | None = None
    keep_names: bool = False
    burned_in: Concern = "warn"
    identified: Concern = "warn"

    @model_validator(mode="after")
    def _pictures_say_nothing(self) -> FileInputs:
        for key in ("burned_in", "identified"):
            if self.source == "images" and getattr(self, key) == "error":
                raise ValueError(f"{key}: error is of DICOM; source: images says nothing of itself, so leave it out")
        return self


InputsSection = Annotated[PhantomInputs | ParquetInputs | FileInputs, Field(discriminator="source")]
