"""What the objects of a pair say of people follows from where each side comes from, and from nothing else."""

from __future__ import annotations

import io
from dataclasses import replace

import pydicom
import pytest

from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.origins import GivenDicom, GivenSource
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_pair, make_provenance

SOURCE = GivenDicom(sop_class="1.2.840.10008.5.1.4.1.1.1", sop_instance="1.2.3.4")
GIVEN_IMAGE = {"task": "image_to_report", "image": "given"}
GIVEN_REPORT = {"task": "report_to_image", "report": "given"}


def objects(dicom=None, content=b"given", **changes):
    pair = make_pair(0)
    if changes.get("image") == "given":
        given = GivenSource(sha256="0" * 64, dicom=dicom)
        pair = replace(pair, request=replace(pair.request, given_image=content, given=given))
    files = DicomWriter(make_provenance(**changes), DicomSection()).objects(pair)
    return [pydicom.dcmread(io.BytesIO(files[f"{name}.dcm"])) for name in ("image", "report")]


@pytest.mark.parametrize("learned_from", ["phantoms", "patients", "unknown"])
def test_generated_sides_are_synthetic_and_have_no_patient(learned_from):
    for one in objects(learned_from=learned_from):
        assert one.SyntheticData == "YES"
        assert one.PatientIdentityRemoved == "YES"
        assert str(one.PatientName).startswith("Synthetic^")
        assert one.PatientID.startswith("SYN-")
        assert "SYNTHETIC" in one.SeriesDescription
        # A model that learned from patients may repeat them: nobody can say that there is no source patient.
        assert ("no source patient" in one.DeidentificationMethod) is (learned_from == "phantoms")


def test_a_given_image_is_not_synthetic_and_the_report_on_it_is():
    image, report = objects(**GIVEN_IMAGE)
    assert "SyntheticData" not in image
    assert report.SyntheticData == "YES"
    for one in (image, report):
        assert "PatientIdentityRemoved" not in one
        assert "DeidentificationMethod" not in one
        assert str(one.PatientName).startswith("Given^")
        assert one.IssuerOfPatientID == "MeDiM Forge"
        assert one.StudyDescription == "Given chest radiograph, generated report"
    assert image.SeriesDescription == "NOT FOR DIAGNOSTIC USE"
    assert report.SeriesDescription == "SYNTHETIC - NOT FOR DIAGNOSTIC USE"
    (equipment,) = image.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Equipment"


def test_a_given_report_is_not_synthetic_and_the_image_of_it_is():
    image, report = objects(**GIVEN_REPORT)
    assert image.SyntheticData == "YES"
    assert "SyntheticData" not in report
    assert "PatientIdentityRemoved" not in image
    # A report may be about somebody, though the image is of a phantom: the study has one subject.
    assert "QualityControlSubject" not in image
    assert "QualityControlSubject" not in report
    assert report.SeriesDescription == "NOT FOR DIAGNOSTIC USE"


def test_a_given_dicom_image_is_derived_from_its_source():
    image, report = objects(SOURCE, **GIVEN_IMAGE)
    assert image.ImageType[0] == "DERIVED"
    (source,) = image.SourceImageSequence
    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (SOURCE.sop_class, SOURCE.sop_instance)
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert image.DerivationCodeSequence[0].CodeMeaning == "Spatial resampling"
    assert "SourceImageSequence" not in report


@pytest.mark.parametrize("said", ["YES", "NO", ""])
def test_what_the_source_says_of_burned_in_text_and_synthesis_is_carried_over(said):
    image, _ = objects(replace(SOURCE, burned_in=said, synthetic=said), **GIVEN_IMAGE)
    assert image.get("BurnedInAnnotation", "") == said
    assert image.get("SyntheticData", "") == said


@pytest.mark.parametrize(("said", "method"), [("YES", "Basic profile"), ("YES", ""), ("NO", ""), ("", "")])
def test_removal_of_the_identity_is_claimed_only_where_the_source_claims_it(said, method):
    image, report = objects(replace(SOURCE, identity_removed=said, method=method), **GIVEN_IMAGE)
    for one in (image, report):
        assert one.get("PatientIdentityRemoved", "") == ("YES" if said == "YES" else "")
        assert one.get("DeidentificationMethod", "") == ((method or "As the given image says") if said == "YES" else "")


@pytest.mark.parametrize("said", ["01", "00", ""])
def test_loss_is_denied_of_a_given_image_only_where_its_source_denies_it(said):
    image, _ = objects(replace(SOURCE, lossy=said), **GIVEN_IMAGE)
    assert image.get("LossyImageCompression", "") == said
    assert objects()[0].LossyImageCompression == "00"


def test_a_given_jpeg_is_lossy_and_of_another_image_that_is_not_known():
    assert "LossyImageCompression" not in objects(**GIVEN_IMAGE)[0]
    assert objects(content=b"\xff\xd8\xff\xe0", **GIVEN_IMAGE)[0].LossyImageCompression == "01"


def test_the_model_is_not_named_as_the_observer_of_a_given_report():
    for report, named in ((objects()[1], True), (objects(**GIVEN_REPORT)[1], False)):
        names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in report.ContentSequence]
        assert ("Device Observer Name" in names) is named
        assert any(name.startswith("Language") for name in names) is named
        assert ("ContentTemplateSequence" in report) is named


def test_a_phantom_that_was_given_is_synthetic_like_a_generated_image():
    image, _ = objects(task="image_to_report", image="drawn")
    assert image.SyntheticData == "YES"
    assert image.DerivationDescription == "Drawn by an algorithm"
    assert image.QualityControlSubject == "YES"
