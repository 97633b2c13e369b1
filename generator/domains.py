"""What a domain is: a kind of medical image and of the reports that describe it. Every other room reads it here.

A domain is a name. The table `DOMAINS` has the facts of the known ones; a checkpoint that was trained on something
else brings a name of its own, `mammogram` or `our_ct_slices`, of which nothing is claimed that nobody said. A domain
whose facts are known is a new row of the table. Where it has them, a grammar and drawings in `phantoms/` give it
findings that prompts can ask for; without them its prompts give their own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

# What a domain may be called: it stands in file names, column values and DICOM texts.
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

# Value, coding scheme and meaning, as DICOM writes a code (PS3.3 8.8).
Code = tuple[str, str, str]
# Keys of `output.dicom` that state a scale.
ScaleKey = Literal["imager_pixel_spacing_mm", "microns_per_pixel"]
SCALE_KEYS: tuple[ScaleKey, ...] = get_args(ScaleKey)


@dataclass(frozen=True, kw_only=True)
class DicomFacts:
    """How a pair of a domain is written as DICOM.

    Attributes:
        family: SOP classes of the image. `radiograph`: Digital X-Ray where view and spacing are known, else Computed
            Radiography. `slide`: Whole Slide Microscopy where the scale is known, else VL Microscopic, each with a
            specimen. `capture`: Secondary Capture, which claims no modality.
        study: what a study of it shows, in words that follow "Synthetic" or "Given".
        report_title: of the report.
        report_template: template of CID 7000 that the report follows; None for none.
        body_part: defined term of the body part; None where the image has none. A `radiograph` needs it.
        region: code of the anatomic region; a `radiograph` needs it.
        scale_key: states the scale of generated images; None where there is none to state.
        padding_cropped: whether flat bars that pad an image to a square are left out.
    """

    family: Literal["radiograph", "slide", "capture"] = "capture"
    study: str
    report_title: Code
    report_template: str | None = None
    body_part: str | None = None
    region: Code | None = None
    scale_key: ScaleKey | None = None
    padding_cropped: bool = False


@dataclass(frozen=True, kw_only=True)
class DomainFacts:
    """What a domain is.

    Attributes:
        title: heading above several of its images.
        tags: of a dataset that holds it, on its card.
        colour: whether images are RGB; grey images have one channel. None where each image says so itself.
        stained: whether images show stained tissue on a slide, so that the share of tissue can be measured.
        opening: words that its reports begin with, unless the job or the checkpoint says otherwise.
        chexpert: whether its reports are labelled with the 14 CheXpert observations.
        images_by: how images are compared: by `phash`, or by the replica's `embedding` where it has one.
        evaluate_key: key of an `evaluate` job that says how many pairs are measured; None where none can be.
        dicom: how its pairs are written as DICOM.
    """

    title: str
    tags: tuple[str, ...] = ()
    colour: bool | None
    stained: bool = False
    opening: str = ""
    chexpert: bool = False
    images_by: Literal["phash", "embedding"] = "phash"
    evaluate_key: Literal["chest_pairs", "pathology_pairs"] | None = None
    dicom: DicomFacts


# Every domain by the name that job files and the column `domain` call it, in the order of errors, tables and cards.
DOMAINS: Mapping[str, DomainFacts] = {
    "chest_xray": DomainFacts(
        title="Chest radiographs",
        tags=("radiology",),
        colour=False,
        opening="The image is a radiograph of the chest, showing the thoracic cavity structures.",
        chexpert=True,
        evaluate_key="chest_pairs",
        dicom=DicomFacts(
            family="radiograph",
            study="chest radiograph",
            # Spelled as CID 7000 spells it: validators compare the meaning, capitals included.
            report_title=("18748-4", "LN", "Diagnostic Imaging Report"),
            report_template="2000",
            body_part="CHEST",
            region=("51185008", "SCT", "Chest"),
            scale_key="imager_pixel_spacing_mm",
            padding_cropped=True,
        ),
    ),
    "pathology": DomainFacts(
        title="Histopathology patches",
        tags=("pathology",),
        colour=True,
        stained=True,
        opening="The image is a histopathology patch of tissue stained with hematoxylin and eosin.",
        # Stained tissue is texture, which a perceptual hash does not hold; see docs/benchmarks.md.
        images_by="embedding",
        evaluate_key="pathology_pairs",
        dicom=DicomFacts(
            family="slide",
            study="histopathology patch",
            # CID 7000 has no title for pathology, so that its reports follow no template.
            report_title=("11526-1", "LN", "Pathology study"),
            scale_key="microns_per_pixel",
        ),
    ),
}


def facts_of(domain: str) -> DomainFacts:
    """What is known of a domain: its row, or, of a name of a checkpoint's own, what any image and report have."""
    return DOMAINS[domain] if domain in DOMAINS else _own(domain)


@lru_cache(maxsize=64)
def _own(domain: str) -> DomainFacts:
    """The facts of a domain that the table does not know: a capture of something that its name says."""
    words = domain.replace("_", " ")
    return DomainFacts(
        title=words[:1].upper() + words[1:],
        colour=None,
        images_by="embedding",
        dicom=DicomFacts(study=words, report_title=("18748-4", "LN", "Diagnostic Imaging Report")),
    )
