"""The sections that job specs are made of: strict, frozen, every unknown key an error."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, JsonValue, model_validator
from pydantic_core import PydanticKnownError

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.files import is_url
from medim_forge.generator.filters import kind_of
from medim_forge.generator.phantoms import DOMAINS as DRAWN
from medim_forge.generator.records import Action

MAX_SEED = 2**63 - 1

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Reveal = Literal["random", "sequential", "confidence"]


_OBJECTS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_!.=+()-]+)+/?")


def _folder(place: str) -> str:
    if is_url(place):
        raise ValueError("only the dataset of kind: generate can go to an object store; give a folder")
    return place


def _folder_or_prefix(place: str) -> str:
    if is_url(place) and not _OBJECTS.fullmatch(place):
        raise ValueError(
            "is neither a folder nor s3://bucket/prefix; S3 is the one protocol, and the prefix, which must not be "
            "empty, holds letters, digits and _ ! . = + ( ) -"
        )
    return place


def _to_date(value: object) -> object:
    """The date that an ISO string writes; anything else is left to the type check."""
    if isinstance(value, str):
        return datetime.date.fromisoformat(value)
    return value


# YAML reads an unquoted 2026-11-23 as a date and a quoted one as text; both mean the same here.
IsoDate = Annotated[datetime.date, BeforeValidator(_to_date)]


def _known_domain(value: object) -> object:
    """The name, which is that of a row of the table of domains; anything else is outside a closed list of words."""
    if value not in tuple(DOMAINS):
        raise PydanticKnownError("literal_error", {"expected": ", ".join(DOMAINS)})
    return value


def _drawn_domain(name: str) -> str:
    if name not in DRAWN:
        raise ValueError(f"has no phantoms; they are drawn of {' and '.join(DRAWN)}")
    return name


DomainName = Annotated[str, BeforeValidator(_known_domain)]
DrawnDomain = Annotated[DomainName, AfterValidator(_drawn_domain)]


class Section(BaseModel, extra="forbid", frozen=True, strict=True, allow_inf_nan=False):
    """A mapping of the job file: unknown keys and implicit conversions are errors."""


class ModelSection(Section):
    """Which weights make the pairs.

    Attributes:
        checkpoint: folder of a checkpoint, or `phantom` for the embedded one.
        dtype: of weights and activations.
        device: `auto` takes a GPU where the replica was given one.
    """

    checkpoint: Text = "phantom"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class PromptSection(Section):
    """What to ask for, and how many pairs of it.

    Attributes:
        domain: what kind of image.
        text: visible opening words of the report; None takes the domain's own opening, and an empty one gives none.
        findings: finding names; each adds its sentence to the opening.
        pairs: how many.
    """

    domain: DomainName
    text: str | None = None
    findings: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    pairs: Count


class SamplingSection(Section):
    """How the reverse process runs.

    Attributes:
        mode: `corrected` samples from normalised, restricted distributions; `official` follows the published code.
        method: which reverse process.
        order: which modality is revealed when.
        text_reveal: which report slots of a step come first.
        image_reveal: which image slots of a step come first.
        steps: denoising steps of the image, or of both with `order: joint`.
        text_steps: denoising steps of the report; not used with `order: joint`.
        guidance: classifier-free weight of images whose report is known; 0 skips the unconditional pass.
        text_guidance: the same of reports whose image is known.
        text_temperature: of report tokens.
        image_temperature: of image tokens.
        confidence_noise: scale of the noise on confidence rankings.
        batch_size: rows per forward pass; pairs keep their slot, so it is part of what makes the bytes.

    With `mode: official` only `steps`, `guidance` and `batch_size` act, so the others must keep their defaults.
    """

    mode: Literal["corrected", "official"] = "corrected"
    method: Literal["maskgit", "ancestral"] = "maskgit"
    order: Literal["text_first", "joint", "image_first"] = "text_first"
    text_reveal: Reveal = "sequential"
    image_reveal: Reveal = "random"
    steps: Annotated[int, Field(ge=1, le=4096)] = 24
    text_steps: Annotated[int, Field(ge=1, le=4096)] = 24
    guidance: Annotated[float, Field(ge=0)] = 2.0
    text_guidance: Annotated[float, Field(ge=0)] = 0.0
    text_temperature: Annotated[float, Field(gt=0)] = 0.7
    image_temperature: Annotated[float, Field(gt=0)] = 0.8
    confidence_noise: Annotated[float, Field(ge=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16

    def idle_keys(self) -> tuple[str, ...]:
        """Keys that were set although `mode: official` fixes what they mean."""
        acting = {"mode", "steps", "guidance", "batch_size"}
        fields = type(self).model_fields.items()
        return tuple(name for name, one in fields if name not in acting and getattr(self, name) != one.default)


class ComputeSection(Section):
    """What the job runs on, and how it treats failures.

    Attributes:
        replicas: actors, each with its own copy of the weights.
        gpus_per_replica: 0 for CPU, fractions share a GPU.
        threads_per_replica: CPU threads of one replica; part of what makes the bytes.
        pairs_per_shard: the unit of retry and commit.
        shard_deadline_s: seconds after which a shard counts as hung.
        placement_deadline_s: seconds without a place for any replica after which the job gives up.
        max_retries: further attempts after a shard's first.
        max_quarantined: rows that may fail for good before the job ends without `_SUCCESS`.
    """

    replicas: Count = 1
    gpus_per_replica: Annotated[float, Field(ge=0)] = 0.0
    threads_per_replica: Count = 1
    pairs_per_shard: Annotated[int, Field(ge=1, le=100_000)] = 32
    shard_deadline_s: Annotated[float, Field(gt=0)] = 900.0
    placement_deadline_s: Annotated[float, Field(gt=0)] = 60.0
    max_retries: Annotated[int, Field(ge=0)] = 2
    max_quarantined: Annotated[int, Field(ge=0)] = 0

    @property
    def shards_in_flight(self) -> int:
        """Orders that one replica has at a time: with a GPU two, so that judging and writing overlap generating."""
        return 2 if self.gpus_per_replica else 1

    @model_validator(mode="after")
    def _whole_or_shared(self) -> ComputeSection:
        if self.gpus_per_replica > 1 and not self.gpus_per_replica.is_integer():
            raise ValueError(
                f"gpus_per_replica = {self.gpus_per_replica} is neither a whole number nor a share below 1"
            )
        return self


def _known_filter(name: str) -> str:
    """The name, which is that of a filter or of a plugin.

    Raises:
        ValueError: it is neither.
    """
    return kind_of(name).name


class FilterSection(Section):
    """One judgement and its policy; without thresholds it only annotates.

    Attributes:
        name: which filter.
        drop_below: pairs whose main score is below are dropped.
        drop_above: pairs whose main score is above are dropped.
        action: what becomes of such pairs, and of those that `options` exclude: `drop` leaves them out, `regenerate`
            leaves them out and makes them again with other seeds, `keep` counts them and keeps them.
        options: the filter's own settings.
    """

    name: Annotated[str, AfterValidator(_known_filter)]
    drop_below: float | None = None
    drop_above: float | None = None
    action: Action = "drop"
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_passes(self) -> FilterSection:
        low, high = self.drop_below, self.drop_above
        if low is not None and high is not None and low > high:
            raise ValueError(f"drop_below = {low} is above drop_above = {high}, so every pair would be dropped")
        return self

    @model_validator(mode="after")
    def _bounds_are_in_range(self) -> FilterSection:
        kind = kind_of(self.name)
        if kind.low_is and self.drop_below is not None:
            raise ValueError(f"{self.name}: drop_below would drop what is {kind.low_is}; give drop_above")
        for key in ("drop_below", "drop_above") if kind.unit else ():
            bound = getattr(self, key)
            if bound is not None and not 0 <= bound <= 1:
                raise ValueError(f"{self.name}: {key} = {bound:g}, but its score runs from 0 to 1")
        return self

    @model_validator(mode="after")
    def _action_has_a_bound(self) -> FilterSection:
        kind = kind_of(self.name)
        if kind.never_kept and self.action == "keep":
            raise ValueError(f"{self.name}: action: keep is not possible, because data/ never holds exact copies")
        bounded = self.drop_below is not None or self.drop_above is not None
        bounded = bounded or any(key in self.options for key in kind.bounding)
        if self.action != "drop" and not bounded and not kind.never_kept:
            raise ValueError(f"{self.name}: action: {self.action} has nothing to act on; give drop_below or drop_above")
        return self


class DicomSection(Section):
    """How DICOM objects are written.

    Attributes:
        sop_class: `auto` picks by domain and by what is known of the image; `secondary_capture` claims no modality.
        imager_pixel_spacing_mm: of generated chest images, at the detector; with it those whose view is known become
            Digital X-Ray images. The embedded domain's is known without it.
        microns_per_pixel: of generated pathology images; with it they become Whole Slide Microscopy images.
        transfer_syntax: of the images; all are lossless.
        archive: None for a file per object; else one `dicom.zip` or `dicom.tar` per shard.
    """

    sop_class: Literal["auto", "secondary_capture"] = "auto"
    imager_pixel_spacing_mm: Annotated[float, Field(gt=0, le=100)] | None = None
    microns_per_pixel: Annotated[float, Field(gt=0, le=1000)] | None = None
    transfer_syntax: Literal["explicit_vr_little_endian", "jpeg_ls_lossless", "jpeg_2000_lossless"] = (
        "explicit_vr_little_endian"
    )
    archive: Literal["zip", "tar"] | None = None

    @model_validator(mode="after")
    def _secondary_capture_has_no_scale(self) -> DicomSection:
        scales = ("imager_pixel_spacing_mm", "microns_per_pixel")
        given = [name for name in scales if getattr(self, name) is not None]
        if self.sop_class == "secondary_capture" and given:
            raise ValueError(f"{given[0]} is of a modality's image, and sop_class: secondary_capture claims none")
        return self


class OutputSection(Section):
    """Where the dataset goes. Parquet is always written.

    Attributes:
        dir: the output folder, relative to the working directory, or `s3://bucket/prefix`.
        dicom: None for no DICOM.
    """

    dir: Annotated[Text, AfterValidator(_folder_or_prefix)]
    dicom: DicomSection | None = Field(default_factory=DicomSection)


class FolderSection(Section):
    """Where a job without a dataset leaves its results.

    Attributes:
        dir: the output folder, relative to the working directory.
    """

    dir: Annotated[Text, AfterValidator(_folder)]
