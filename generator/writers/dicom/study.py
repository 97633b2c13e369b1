"""What both DICOM objects of a pair say: one study, who made it, and what `people.py` says of the patient."""

from __future__ import annotations

import re
from functools import lru_cache

from highdicom import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.provenance import SOFTWARE, SOFTWARE_VERSION
from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.records import Pair, Task
from medim_forge.generator.writers.dicom.people import Side, add_people, origin_of, study_description

MIDNIGHT = "000000"
_MADE: dict[Task, str] = {
    "joint": "Image and report generated",
    "report_to_image": "Image generated from a given report",
    "image_to_report": "Report generated from a given image",
}
# LO and PN hold at most 64 characters; `GIVEN-` and `Synthetic^` come before the id.
_PAIR_ID = re.compile(r"[A-Za-z0-9_.-]{1,54}")
_MAX_DESCRIPTION = 1024


def base_dataset(
    provenance: Provenance, pair: Pair, side: Side, study_uid: str, sop_class: UID, sop_instance: str
) -> Dataset:
    """Patient, study, equipment and SOP common modules of the object of a side.

    Raises:
        RowError: the pair's id does not fit into a DICOM identifier.
    """
    if not _PAIR_ID.fullmatch(pair.pair_id):
        raise RowError(pair.pair_id, "id is no DICOM identifier; use at most 54 letters, digits, `_`, `.` and `-`")
    dataset = Dataset()
    _add_sop_common(dataset, provenance, side, sop_class, sop_instance)
    add_people(dataset, provenance, pair, side)
    dataset.StudyInstanceUID = study_uid
    dataset.StudyID = str(pair.request.pair_index)
    dataset.StudyDate = _date(provenance)
    # No time is known; viewers and DICOMDIR ask for one.
    dataset.StudyTime = MIDNIGHT
    dataset.StudyDescription = study_description(provenance, pair)
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


def _add_sop_common(dataset: Dataset, provenance: Provenance, side: Side, sop_class: UID, sop_instance: str) -> None:
    """SOP common module (C.12.1)."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_instance
    dataset.InstanceCreationDate = _date(provenance)
    dataset.ContentQualification = "RESEARCH"
    dataset.ContributingEquipmentSequence = [_contributor(provenance, synthetic=origin_of(provenance, side) != "given")]


@lru_cache(maxsize=4)
def _contributor(provenance: Provenance, *, synthetic: bool) -> ContributingEquipment:
    """The model as contributing equipment, which all objects of a side share: making it costs."""
    return ContributingEquipment(
        manufacturer=SOFTWARE,
        purpose_of_reference=codes.DCM.SynthesizingEquipment if synthetic else codes.DCM.ProcessingEquipment,
        manufacturer_model_name="MeDiM",
        device_serial_number=provenance.model_sha256,
        software_versions=SOFTWARE_VERSION,
        contribution_description=contribution(provenance),
    )


def _date(provenance: Provenance) -> str:
    """The job's date as DICOM writes it (DA)."""
    # Not strftime, which writes years before 1000 with fewer than four digits.
    return provenance.date.isoformat().replace("-", "")
