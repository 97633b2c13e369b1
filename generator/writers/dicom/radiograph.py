"""What makes an image a radiograph: Digital X-Ray (PS3.3 A.26) where view and spacing are known, else CR (A.2)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import DSfloat

from medim_forge.generator.domains import DicomFacts
from medim_forge.generator.writers.dicom.codes import code_item
from medim_forge.generator.writers.dicom.known import Known
from medim_forge.generator.writers.dicom.view import View

_VIEWS: dict[View, Code] = {"PA": codes.cid4010.PosteroAnterior, "AP": codes.cid4010.AnteroPosterior}


def add_radiograph(dataset: Dataset, known: Known, domain: DicomFacts) -> None:
    """Series, anatomy, positioning and detector of a frontal radiograph."""
    assert domain.region is not None, "a radiograph has an anatomic region"
    dataset.BodyPartExamined = domain.body_part
    # Shown as stored: the generator's levels are those of a display.
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    if known.spacing_mm is not None:
        dataset.ImagerPixelSpacing = [DSfloat(known.spacing_mm, auto_format=True)] * 2
    if known.view is None:
        dataset.Modality = "CR"
        dataset.ViewPosition = ""
        return
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "U"
    dataset.AnatomicRegionSequence = [code_item(Code(*domain.region))]
    # A frontal radiograph is shown as if the patient faced the reader (C.7.6.1.1.1), whichever way the rays went.
    dataset.PatientOrientation = ["L", "F"]
    dataset.ViewPosition = known.view
    view = code_item(_VIEWS[known.view])
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.PositionerType = ""
    dataset.DetectorType = ""
    dataset.AcquisitionContextSequence = []
    # Bright where fewer rays came through, on a scale of its own.
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "IDENTITY"
