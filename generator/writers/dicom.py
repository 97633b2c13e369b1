"""DICOM: an image and a structured report for every kept pair, in one study of one synthetic patient."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from generator.provenance import Provenance
from generator.records import FileRecord, Judged, Pair, Quarantined, Shard
from generator.writers.dicom_image import SopChoice, image_dataset
from generator.writers.dicom_report import report_dataset
from generator.writers.dicom_study import contribution
from generator.writers.png import sha256_hex
from generator.writers.uids import IMPLEMENTATION_CLASS_UID, pair_uids

IMAGE_FILE = "image.dcm"
REPORT_FILE = "report.dcm"
_IMPLEMENTATION_VERSION = "MEDIM_FORGE_0_1"


class DicomWriter:
    """Writes `dicom/<pair_id>/{image,report}.dcm` for kept pairs.

    Args:
        provenance: of the job.
        sop_class: `auto` picks by domain.

    Raises:
        SpecError: the checkpoint's terms do not fit where DICOM wants them.
    """

    def __init__(self, provenance: Provenance, *, sop_class: SopChoice) -> None:
        contribution(provenance)
        self.provenance = provenance
        self.sop_class: SopChoice = sop_class

    def write(
        self,
        folder: Path,
        shard: Shard,  # noqa: ARG002 - the `Writer` protocol
        judged: Sequence[Judged],
        quarantined: Sequence[Quarantined],  # noqa: ARG002 - the same
    ) -> list[FileRecord]:
        """Writes the objects of every kept pair; dropped and quarantined rows get none.

        Raises:
            RowError: a pair cannot be written as DICOM.
        """
        records = []
        for item in judged:
            if item.verdict.kept:
                for name, content in self.objects(item.pair).items():
                    path = folder / "dicom" / item.pair.pair_id / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                    relative = path.relative_to(folder).as_posix()
                    records.append(FileRecord(path=relative, size=len(content), sha256=sha256_hex(content)))
        return sorted(records, key=lambda record: record.path)

    def objects(self, pair: Pair) -> dict[str, bytes]:
        """The files of one pair by name."""
        uids = pair_uids(self.provenance, pair)
        image = image_dataset(self.provenance, pair, uids, self.sop_class)
        report = report_dataset(self.provenance, pair, uids, image)
        return {IMAGE_FILE: encode_dicom(image), REPORT_FILE: encode_dicom(report)}


def encode_dicom(dataset: Dataset) -> bytes:
    """The DICOM file (PS3.10) of an object, Explicit VR Little Endian; the same object always gives the same bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = _IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
