"""DICOM objects of a hospital: radiographs, structured reports and encapsulated PDF, as small as they can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
)


def write_image(
    path: Path, image: Image.Image, *, study: str, instance: str, patient: str, name: str, view: str, burned_in: str
) -> None:
    """A computed radiograph of 12 bits, of a patient with a name."""
    dataset = _object(ComputedRadiographyImageStorage, study, instance)
    dataset.Modality, dataset.ViewPosition, dataset.BurnedInAnnotation = "CR", view, burned_in
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = (
        patient,
        name,
        "19500203",
        "F",
    )
    dataset.AccessionNumber = f"A{study}"
    pixels = np.asarray(image, np.uint16) * 16
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = pixels.tobytes()
    _save(dataset, path)


def write_report(path: Path, study: str, findings: str, impression: str, at: str = "20260101") -> None:
    """A Basic Text SR: a container for each part, with a coded heading and one text in it."""
    dataset = _object(BasicTextSRStorage, study, f"{study}.9.{at}")
    dataset.Modality, dataset.ContentDate, dataset.ContentTime = "SR", at, "120000"
    dataset.update(_container("18748-4", "LN", "Diagnostic Imaging Report"))
    parts = []
    for value, meaning, text in (
        ("121060", "History", "Cough, of no matter here."),
        ("121070", "Findings", findings),
        ("121072", "Impressions", impression),
    ):
        part = _container(value, "DCM", meaning)
        part.RelationshipType = "CONTAINS"
        item = Dataset()
        item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", text
        part.ContentSequence = Sequence([item])
        parts.append(part)
    dataset.ContentSequence = Sequence(parts)
    _save(dataset, path)


def write_pages(path: Path, study: str) -> None:
    """A report as an encapsulated PDF."""
    dataset = _object(EncapsulatedPDFStorage, study, f"{study}.8")
    dataset.Modality, dataset.MIMETypeOfEncapsulatedDocument = "DOC", "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4 "
    _save(dataset, path)


def _object(sop_class: str, study: str, instance: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = sop_class, instance, study
    dataset.SeriesInstanceUID = f"{study}.7"
    return dataset


def _container(value: str, scheme: str, meaning: str) -> Dataset:
    code, item = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    item.ValueType, item.ConceptNameCodeSequence, item.ContinuityOfContent = "CONTAINER", Sequence([code]), "SEPARATE"
    return item


def _save(dataset: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
