"""The section `output`: where results go, and how DICOM objects are written."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from medim_forge.generator.domains import SCALE_KEYS
from medim_forge.generator.files import is_url
from medim_forge.generator.jobspec.fields import Place, Section

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
    imager_pixel_spacing_mm: Annotated[float, Field(ge=0.001, le=100)] | None = None
    microns_per_pixel: Annotated[float, Field(ge=0.001, le=1000)] | None = None
    transfer_syntax: Literal["explicit_vr_little_endian", "jpeg_ls_lossless", "jpeg_2000_lossless"] = (
        "explicit_vr_little_endian"
    )
    archive: Literal["zip", "tar"] | None = None

    @model_validator(mode="after")
    def _secondary_capture_has_no_scale(self) -> DicomSection:
        given = [name for name in SCALE_KEYS if getattr(self, name) is not None]
        if self.sop_class == "secondary_capture" and given:
            raise ValueError(f"{given[0]} is of a modality's image, and sop_class: secondary_capture claims none")
        return self


class OutputSection(Section):
    """Where the dataset goes. Parquet is always written.

    Attributes:
        dir: the output folder, relative to the working directory, or `s3://bucket/prefix`.
        dicom: None for no DICOM.
    """

    dir: Annotated[Place, AfterValidator(_folder_or_prefix)]
    dicom: DicomSection | None = Field(default_factory=DicomSection)


class FolderSection(Section):
    """Where a job without a dataset leaves its results.

    Attributes:
        dir: the output folder, relative to the working directory.
    """

    dir: Annotated[Place, AfterValidator(_folder)]
