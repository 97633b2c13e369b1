"""DICOM: an image and a structured report for every kept pair, in one study of one synthetic patient."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from generator.errors import RowError
from generator.provenance import Provenance
from generator.records import FileRecord, Judged, Pair, Quarantined, Shard
from generator.spec_sections import DicomSection
from generator.writers.dicom_archive import IMAGE_FILE, REPORT_FILE, Item, write_objects
from generator.writers.dicom_image import image_dataset
from generator.writers.dicom_report import report_dataset
from generator.writers.dicom_study import contribution
from generator.writers.uids import IMPLEMENTATION_CLASS_UID, pair_uids

_IMPLEMENTATION_VERSION = "MEDIM_FORGE_0_1"
# By `output.dicom.transfer_syntax`. The encoder is named, because another one would make other bytes.
TRANSFER_SYNTAXES: Mapping[str, UID] = MappingProxyType(
    {
        "explicit_vr_little_endian": ExplicitVRLittleEndian,
        "jpeg_ls_lossless": JPEGLSLossless,
        "jpeg_2000_lossless": JPEG2000Lossless,
    }
)
_ENCODERS: Mapping[UID, str] = MappingProxyType({JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"})


class DicomWriter:
    """Writes image and report of kept pairs: `dicom/<pair_id>/{image,report}.dcm`, or an archive of them.

    Args:
        provenance: of the job.
        section: `output.dicom` of the job.

    Raises:
        SpecError: the checkpoint's terms do not fit where DICOM wants them.
    """

    def __init__(self, provenance: Provenance, section: DicomSection) -> None:
        contribution(provenance)
        self.provenance = provenance
        self.section = section

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
        return write_objects(folder, self._items(judged), self.section.archive)

    def objects(self, pair: Pair) -> dict[str, bytes]:
        """The files of one pair by name.

        Raises:
            RowError: the pair cannot be written as DICOM.
        """
        uids = pair_uids(self.provenance, pair)
        image = image_dataset(self.provenance, pair, uids, self.section)
        report = report_dataset(self.provenance, pair, uids, image)
        syntax = TRANSFER_SYNTAXES[self.section.transfer_syntax]
        try:
            content = encode_dicom(image, syntax)
        except RuntimeError as error:
            size = f"{image.Columns} x {image.Rows} pixels"
            raise RowError(
                pair.pair_id,
                f"its image of {size} cannot be encoded as {syntax.name} ({error}); "
                "JPEG 2000 wants at least 32 pixels a side. Choose another output.dicom.transfer_syntax",
            ) from error
        return {IMAGE_FILE: content, REPORT_FILE: encode_dicom(report)}

    def _items(self, judged: Sequence[Judged]) -> Iterator[Item]:
        for item in judged:
            if item.verdict.kept:
                for name, content in self.objects(item.pair).items():
                    yield item.pair.pair_id, name, content


def encode_dicom(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The DICOM file (PS3.10) of an object; the same object always gives the same bytes.

    Compressing an image is lossless and keeps its SOP Instance UID. It changes the dataset.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = _IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    if syntax in _ENCODERS:
        if syntax == JPEG2000Lossless and dataset.SamplesPerPixel == 3:
            # The encoder's reversible colour transform, which is lossless (PS3.5 8.2.4).
            dataset.PhotometricInterpretation = "YBR_RCT"
        dataset.compress(syntax, encoding_plugin=_ENCODERS[syntax], generate_instance_uid=False)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
