"""What both DICOM objects of a pair say: one synthetic patient, one study, who made it.

Every object is marked more than once, because de-identification tools remove tags they do not know:
Synthetic Data (0008,001C), content qualification, contributing equipment, patient id, descriptions and comments.
"""

from __future__ import annotations

import re
from functools import lru_cache

from highdicom import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.provenance import NOT_DIAGNOSTIC, SOFTWARE, SOFTWARE_VERSION
from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.records import Pair, Task

MIDNIGHT = "000000"
_ISSUER = "MeDiM Forge (synthetic)"
_MADE: dict[Task, str] = {
    "joint": "Image and report generated",
    "report_to_image": "Image generated from a given report",
    "image_to_report": "Report generated from a given image",
}
# LO and PN hold at most 64 characters; `SYN-` and `Synthetic^` come before the id.
_PAIR_ID = re.compile(r"[A-Za-z0-9_.-]{1,54}")
_MAX_DESCRIPTION = 1024


def base_dataset(provenance: Provenance, pair: Pair, study_uid: str, sop_class: UID, sop_instance: str) -> Dataset:
    """Patient, study, equipment and SOP common modules of an object.

    Raises:
        RowError: the pair's id does not fit into a DICOM identifier.
    """
    if not _PAIR_ID.fullmatch(pair.pair_id):
        raise RowError(pair.pair_id, "id is no DICOM identifier; use at most 54 letters, digits, `_`, `.` and `-`")
    dataset = Dataset()
    _add_sop_common(dataset, provenance, sop_class, sop_instance)
    _add_patient(dataset, provenance, pair)
    dataset.StudyInstanceUID = study_uid
    dataset.StudyID = str(pair.request.pair_index)
    dataset.StudyDate = _date(provenance)
    # No time is known; viewers and DICOMDIR ask for one.
    dataset.StudyTime = MIDNIGHT
    dataset.StudyDescription = DOMAINS[pair.request.prompt.domain].dicom.study
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = SOFTWARE
    dataset.ManufacturerModelName = f"MeDiM, job {provenance.name}"
    dataset.SoftwareVersions = SOFTWARE_VERSION
    return dataset


def contribution(provenance: Provenance) -> str:
    """What the contributing equipment did, and under which terms.

    Raises:
        SpecError: longer than DICOM allows.
    """
    text = " ".join(
        [f"{_MADE[provenance.task]} by a masked discrete diffusion model.", *provenance.training_data_terms]
    )
    if len(text) > _MAX_DESCRIPTION:
        raise SpecError(
            f"model.checkpoint: its training data terms make {len(text)} characters where DICOM (0018,A003) holds "
            f"{_MAX_DESCRIPTION}; shorten them to a name and an address of the terms, or use output.dicom: null"
        )
    return text


def code_item(code: Code) -> Dataset:
    """A code sequence item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _add_sop_common(dataset: Dataset, provenance: Provenance, sop_class: UID, sop_instance: str) -> None:
    """SOP common module (C.12.1)."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_instance
    dataset.InstanceCreationDate = _date(provenance)
    dataset.SyntheticData = "YES"
    dataset.ContentQualification = "RESEARCH"
    dataset.ContributingEquipmentSequence = [_synthesizer(provenance)]


@lru_cache(maxsize=4)
def _synthesizer(provenance: Provenance) -> ContributingEquipment:
    """The model as contributing equipment, which all objects of a job share: making it costs."""
    return ContributingEquipment(
        manufacturer=SOFTWARE,
        purpose_of_reference=codes.DCM.SynthesizingEquipment,
        manufacturer_model_name="MeDiM",
        device_serial_number=provenance.model_sha256,
        software_versions=SOFTWARE_VERSION,
        contribution_description=contribution(provenance),
    )


def _add_patient(dataset: Dataset, provenance: Provenance, pair: Pair) -> None:
    """Patient module (C.7.1.1): sex and birth date stay empty, since there is no patient who has them."""
    dataset.PatientName = f"Synthetic^{pair.pair_id}"
    dataset.PatientID = f"SYN-{pair.pair_id}"
    dataset.IssuerOfPatientID = _ISSUER
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.PatientComments = NOT_DIAGNOSTIC
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = (
        "No attribute taken over from the given image"
        if provenance.image_given
        else "Fully synthetic: no source patient"
    )
    if provenance.phantom:
        dataset.QualityControlSubject = "YES"


def _date(provenance: Provenance) -> str:
    """The job's date as DICOM writes it (DA)."""
    # Not strftime, which writes years before 1000 with fewer than four digits.
    return provenance.date.isoformat().replace("-", "")
