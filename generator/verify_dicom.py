"""Compares the DICOM objects of a pair with its Parquet row. Needs no validator and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, BasicTextSRStorage

from generator.store import Store
from generator.writers.dicom import REPORT_FILE
from generator.writers.dicom_image import SopChoice, sop_class_of, stored_pixels
from generator.writers.dicom_report import sections


def dicom_problems(store: Store, row: Mapping[str, Any], pixels: NDArray[np.uint8], choice: SopChoice) -> Iterator[str]:
    """What is wrong with image and report of a row; nothing when all is well.

    Args:
        store: of the dataset.
        row: of `pairs.parquet`.
        pixels: of the row's image.
        choice: `output.dicom.sop_class` of the job.
    """
    if row["dicom_path"] is None:
        yield "has no dicom_path, but the job writes DICOM"
        return
    path = PurePosixPath(row["dicom_path"])
    try:
        image, report = (pydicom.dcmread(store.source(str(one))) for one in (path, path.with_name(REPORT_FILE)))
        yield from _common(image, sop_class_of(row["domain"], choice), "image.dcm")
        yield from _common(report, BasicTextSRStorage, "report.dcm")
        yield from _image(image, row, stored_pixels(row["domain"], pixels))
        yield from _report(report, image, row)
    except (OSError, InvalidDicomError, AttributeError, KeyError, IndexError, ValueError, NotImplementedError) as error:
        yield f"DICOM cannot be read ({type(error).__name__}: {error})"


def _common(dataset: FileDataset, sop_class: UID, name: str) -> Iterator[str]:
    if sop_class != dataset.SOPClassUID:
        yield f"{name}: SOP class is {dataset.SOPClassUID}, not {sop_class} ({sop_class.name})"
    if dataset.get("SyntheticData") != "YES":
        yield f"{name}: Synthetic Data (0008,001C) is {dataset.get('SyntheticData')!r}, not YES"
    if dataset.file_meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID:
        yield f"{name}: the file header names another instance"


def _image(image: Dataset, row: Mapping[str, Any], expected: NDArray[np.uint8]) -> Iterator[str]:
    if row["sop_instance_uid"] != image.SOPInstanceUID:
        yield f"image.dcm: SOP Instance UID is {image.SOPInstanceUID}, the row says {row['sop_instance_uid']}"
    if not np.array_equal(image.pixel_array, expected):
        yield "image.dcm: pixels differ from the PNG"


def _report(report: Dataset, image: Dataset, row: Mapping[str, Any]) -> Iterator[str]:
    for keyword in ("StudyInstanceUID", "PatientID"):
        if report[keyword].value != image[keyword].value:
            yield f"report.dcm: {keyword} is not that of image.dcm"
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    if evidence.ReferencedSOPInstanceUID != image.SOPInstanceUID:
        yield "report.dcm: refers to another image"
    texts = [item.TextValue for section in report.ContentSequence for item in section.get("ContentSequence", ())]
    if texts != [text for text in sections(row["report"]) if text]:
        yield "report.dcm: its words are not those of the row"
