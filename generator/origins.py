"""Where the sides of a pair come from, and what a model learned from, as far as the outputs say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# What a side of a pair is: made by the model, drawn by the embedded phantoms and given to the job, or given by people.
Origin = Literal["generated", "drawn", "given"]
# Whose data the weights of a checkpoint were trained on, as its card says; `unknown` where it says nothing.
LearnedFrom = Literal["phantoms", "patients", "unknown"]


@dataclass(frozen=True, kw_only=True)
class GivenDicom:
    """What a given DICOM image says of itself; the image that is made of it says it too.

    Attributes:
        sop_class, sop_instance: UIDs of the object.
        burned_in: Burned In Annotation, `YES` or `NO`; empty where it says nothing.
        synthetic: Synthetic Data, `YES` or `NO`; empty where it says nothing.
        identity_removed: Patient Identity Removed, `YES` or `NO`; empty where it says nothing.
        method: how the identity was removed.
        lossy: Lossy Image Compression, `01` also where its pixels are coded so, or `00`; empty where it says nothing.
    """

    sop_class: str
    sop_instance: str
    burned_in: str = ""
    synthetic: str = ""
    identity_removed: str = ""
    method: str = ""
    lossy: str = ""


@dataclass(frozen=True, kw_only=True)
class GivenSource:
    """Where the given side of a pair comes from, so that an output can be traced to its input.

    Attributes:
        sha256: hex, of the bytes of the file or cell; of a report's text in UTF-8.
        name: of the file, or of the image in its table; None unless the job keeps names, for they are often people's.
        columns: of the input table, as text, those that the job keeps.
        dicom: what a given DICOM image says of itself; None where it is none.
    """

    sha256: str
    name: str | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    dicom: GivenDicom | None = None
