"""Compares the DICOM objects of a pair with its Parquet row. Needs no validator and no network."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, BasicTextSRStorage, ExplicitVRLittleEndian

from medim_forge.generator.audit.dicom_structure import structure_problems
from medim_forge.generator.dataset import Provenance
from medim_forge.generator.errors import InputError
from medim_forge.generator.finalise.restored import RESTORED
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.origins import Origin
from medim_forge.generator.store import Store
from medim_forge.generator.writers.dicom.archive import IMAGE_FILE, REPORT_FILE, beside, object_path, read_object
from medim_forge.generator.writers.dicom.encode import TRANSFER_SYNTAXES
from medim_forge.generator.writers.dicom.known import known
from medim_forge.generator.writers.dicom.pixels import stored_pixels
from medim_forge.generator.writers.dicom.report import sections

_UNREADABLE = (
    InputError,
    OSError,
    InvalidDicomError,
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
)


def dicom_problems(
    store: Store, row: Mapping[str, Any], pixels: NDArray[np.uint8], provenance: Provenance, section: DicomSection
) -> Iterator[str]:
    """What is wrong with image and report of a row; nothing when all is well.

    Args:
        store: of the dataset.
        row: of `pairs.parquet`, or of `data/` where its objects are restored ones.
        pixels: of the row's image.
        provenance: of the job.
        section: `output.dicom` of the job.
    """
    place = row["dicom_path"]
    wanted = f"shards/{row['shard']:06d}/{object_path(row['pair_id'], IMAGE_FILE, section.archive)}"
    if place not in (wanted, f"{RESTORED}/{row['pair_id']}/{IMAGE_FILE}"):
        yield f"dicom_path is {place!r}, where the job writes {wanted}"
        return
    try:
        image, report = _opened(store, place), _opened(store, beside(place, REPORT_FILE))
        facts = known(provenance, section, row["domain"], row["report"], row["width"])
        yield from _common(image, facts.sop_class, TRANSFER_SYNTAXES[section.transfer_syntax], IMAGE_FILE)
        yield from _synthetic(image, provenance.image, IMAGE_FILE)
        yield from _common(report, BasicTextSRStorage, ExplicitVRLittleEndian, REPORT_FILE)
        yield from _synthetic(report, provenance.report, REPORT_FILE)
        yield from _image(image, row, stored_pixels(row["domain"], pixels))
        yield from _report(report, image, row)
    except _UNREADABLE as error:
        yield f"DICOM cannot be read ({type(error).__name__}: {error})"


def _opened(store: Store, path: str) -> FileDataset:
    return pydicom.dcmread(io.BytesIO(read_object(store, path)))


def _common(dataset: FileDataset, sop_class: UID, syntax: UID, name: str) -> Iterator[str]:
    """What is wrong with an object of either kind: class, marks, header, transfer syntax, structure."""
    if sop_class != dataset.SOPClassUID:
        yield f"{name}: SOP class is {dataset.SOPClassUID}, not {sop_class} ({sop_class.name})"
    if dataset.file_meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID:
        yield f"{name}: the file header names another instance"
    if syntax != dataset.file_meta.TransferSyntaxUID:
        yield f"{name}: transfer syntax is {dataset.file_meta.TransferSyntaxUID}, not {syntax} ({syntax.name})"
    for problem in structure_problems(dataset):
        yield f"{name}: {problem}"


def _synthetic(dataset: FileDataset, origin: Origin, name: str) -> Iterator[str]:
    """What was made here says that it is synthetic; of what was given only its source may say so."""
    if origin != "given" and dataset.get("SyntheticData") != "YES":
        yield f"{name}: Synthetic Data (0008,001C) is {dataset.get('SyntheticData')!r}, not YES"


def _image(image: Dataset, row: Mapping[str, Any], expected: NDArray[np.uint8]) -> Iterator[str]:
    """What differs between the image object and its row."""
    if row["sop_instance_uid"] != image.SOPInstanceUID:
        yield f"{IMAGE_FILE}: SOP Instance UID is {image.SOPInstanceUID}, the row says {row['sop_instance_uid']}"
    if not np.array_equal(image.pixel_array, expected):
        yield f"{IMAGE_FILE}: pixels differ from the PNG"


def _report(report: Dataset, image: Dataset, row: Mapping[str, Any]) -> Iterator[str]:
    """What differs between the report object, its image object and its row."""
    for keyword in ("StudyInstanceUID", "PatientID"):
        if report[keyword].value != image[keyword].value:
            yield f"{REPORT_FILE}: {keyword} is not that of {IMAGE_FILE}"
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    if evidence.ReferencedSOPInstanceUID != image.SOPInstanceUID:
        yield f"{REPORT_FILE}: refers to another image"
    texts = [item.TextValue for section in report.ContentSequence for item in section.get("ContentSequence", ())]
    if texts != [text for text in sections(row["report"]) if text]:
        yield f"{REPORT_FILE}: its words are not those of the row"
