"""What is known of a pair's image, and therefore which DICOM image it may be. Nothing here guesses.

A Digital X-Ray image must state its view, its orientation and the spacing of its detector; where one of them is not
known, the same picture is a Computed Radiography image, which may leave them empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    VLMicroscopicImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.domains import facts_of
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.phantoms import FIELD_CM
from medim_forge.generator.records import Domain
from medim_forge.generator.writers.dicom.view import View, stated_view


@dataclass(frozen=True, kw_only=True)
class Known:
    """What may be claimed of an image.

    Attributes:
        sop_class: the object it is stored as.
        view: of a Digital X-Ray image.
        spacing_mm: between pixel centres at the detector.
        microns_per_pixel: of a Whole Slide Microscopy image.
        unannotated: whether its pixels are known to name no patient.
    """

    sop_class: UID
    view: View | None = None
    spacing_mm: float | None = None
    microns_per_pixel: float | None = None
    unannotated: bool


def known(provenance: Provenance, section: DicomSection, domain: Domain, report: str, columns: int) -> Known:
    """What is known of a pair's image.

    Of an image that was given nothing is: it was padded and resized, and a view that its generated report states is
    the model's guess. A generated image has the view that its report states, for they were made for each other.

    Args:
        provenance: of the job.
        section: `output.dicom` of the job.
        domain: of the pair.
        report: of the pair.
        columns: width of the pair's image, pixels.
    """
    unannotated = provenance.image != "given"
    family = facts_of(domain).dicom.family
    if section.sop_class == "secondary_capture" or family == "capture":
        return Known(sop_class=SecondaryCaptureImageStorage, unannotated=unannotated)
    if family == "slide":
        scale = section.microns_per_pixel if provenance.image != "given" else None
        sop_class = VLMicroscopicImageStorage if scale is None else VLWholeSlideMicroscopyImageStorage
        return Known(sop_class=sop_class, microns_per_pixel=scale, unannotated=unannotated)
    if provenance.image != "generated":
        return Known(sop_class=ComputedRadiographyImageStorage, unannotated=unannotated)
    drawn = provenance.phantom and domain in FIELD_CM
    spacing = 10 * FIELD_CM[domain] / columns if drawn else section.imager_pixel_spacing_mm
    view = stated_view(report)
    if view is None or spacing is None:
        return Known(sop_class=ComputedRadiographyImageStorage, spacing_mm=spacing, unannotated=unannotated)
    return Known(
        sop_class=DigitalXRayImageStorageForPresentation, view=view, spacing_mm=spacing, unannotated=unannotated
    )
