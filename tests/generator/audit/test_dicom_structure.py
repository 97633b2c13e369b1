"""The self-check by the standard's tables: silent on our objects, and not blind."""

from __future__ import annotations

import io
import warnings

import pydicom
import pytest

from medim_forge.generator.audit.dicom_structure import structure_problems
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_pair, make_provenance


def objects(index=0, section=None, **changes):
    files = DicomWriter(make_provenance(**changes), DicomSection(**(section or {}))).objects(make_pair(index))
    return {name: pydicom.dcmread(io.BytesIO(content)) for name, content in files.items()}


@pytest.mark.parametrize(
    ("index", "section", "changes"),
    [
        (0, {}, {}),
        (0, {}, {"learned_from": "patients"}),
        (0, {"sop_class": "secondary_capture"}, {}),
        (1, {}, {}),
        (1, {"microns_per_pixel": 0.5}, {}),
        (1, {"sop_class": "secondary_capture"}, {}),
        (1, {"transfer_syntax": "jpeg_2000_lossless"}, {}),
    ],
)
def test_every_kind_of_object_has_what_its_mandatory_modules_ask_for(index, section, changes):
    for dataset in objects(index, section, **changes).values():
        assert list(structure_problems(dataset)) == []


@pytest.mark.parametrize(
    ("keyword", "value", "problem"),
    [
        ("DetectorType", None, "DetectorType is missing"),
        ("ImagerPixelSpacing", None, "ImagerPixelSpacing is missing"),
        ("RescaleType", "", "RescaleType is empty"),
        ("PatientID", "x" * 65, "PatientID: The value length (65) exceeds the maximum length of 64 allowed for VR LO."),
        ("StudyDate", "26-11-2026", "StudyDate: Invalid value for VR DA: '26-11-2026'."),
        ("SOPClassUID", "1.2.3", "SOP class 1.2.3 is not one of the standard's"),
    ],
)
def test_what_is_missing_empty_or_too_long_is_named(keyword, value, problem):
    image = objects()["image.dcm"]
    if value is None:
        del image[keyword]
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            setattr(image, keyword, value)
    assert list(structure_problems(image)) == [problem]


def test_an_attribute_of_a_sequence_item_is_looked_for_in_every_item():
    report = objects()["report.dcm"]
    del report.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID
    (problem,) = structure_problems(report)
    assert problem == "CurrentRequestedProcedureEvidenceSequence/StudyInstanceUID is missing"


def test_a_long_job_name_still_fits_every_element():
    image, report = objects(name="n" * 40).values()
    assert list(structure_problems(image)) == list(structure_problems(report)) == []
    assert len(image.ManufacturerModelName) <= 64
