"""What the DICOM objects of a pair hold, read back with pydicom."""

from __future__ import annotations

import dataclasses
import datetime
import io
import uuid

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.writers.dicom.pixels import stored_pixels
from medim_forge.generator.writers.dicom.report import sections
from medim_forge.generator.writers.dicom.writer import DicomWriter
from medim_forge.generator.writers.uids import pair_uids, uid
from tests.doubles.pairs import make_judged, make_pair, make_provenance, make_quarantined, make_shard

DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
VL_MICROSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"


def objects(pair, choice="auto", **changes):
    files = DicomWriter(make_provenance(**changes), DicomSection(sop_class=choice)).objects(pair)
    return tuple(pydicom.dcmread(io.BytesIO(files[name])) for name in ("image.dcm", "report.dcm"))


def texts(report):
    return {
        section.ConceptNameCodeSequence[0].CodeMeaning: section.ContentSequence[0].TextValue
        for section in report.ContentSequence
        if section.ValueType == "CONTAINER"
    }


@pytest.mark.parametrize(
    ("index", "choice", "sop_class", "modality"),
    [
        (0, "auto", DX_FOR_PRESENTATION, "DX"),
        (1, "auto", VL_MICROSCOPIC, "GM"),
        (0, "secondary_capture", SECONDARY_CAPTURE, "OT"),
        (1, "secondary_capture", SECONDARY_CAPTURE, "OT"),
    ],
)
def test_the_image_object_suits_its_domain_and_holds_the_pixels(index, choice, sop_class, modality):
    pair = make_pair(index)
    image, report = objects(pair, choice)
    assert (image.SOPClassUID, image.Modality) == (sop_class, modality)
    assert image.file_meta.MediaStorageSOPClassUID == sop_class
    assert image.PhotometricInterpretation == ("MONOCHROME2" if index == 0 else "RGB")
    assert np.array_equal(image.pixel_array, pair.image)
    assert (report.SOPClassUID, report.Modality) == (BASIC_TEXT_SR, "SR")


@pytest.mark.parametrize("index", [0, 1])
def test_both_objects_say_in_several_places_that_they_are_synthetic(index):
    for dataset in objects(make_pair(index)):
        assert dataset.SyntheticData == "YES"
        assert dataset.ContentQualification == "RESEARCH"
        assert dataset.SeriesDescription == dataset.PatientComments == "SYNTHETIC - NOT FOR DIAGNOSTIC USE"
        assert dataset.PatientID.startswith("SYN-")
        assert str(dataset.PatientName).startswith("Synthetic^")
        (equipment,) = dataset.ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert equipment.DeviceSerialNumber == "ab" * 32
        assert equipment.ContributionDescription.endswith("Embedded phantoms only: no patient data.")
        assert dataset.PatientIdentityRemoved == "YES"
        assert "no source patient" in dataset.DeidentificationMethod


@pytest.mark.parametrize("index", [0, 1])
def test_nothing_is_invented(index):
    image, report = objects(make_pair(index))
    for dataset in (image, report):
        assert dataset.PatientSex == ""
        assert dataset.PatientBirthDate == ""
        assert "PatientAge" not in dataset
    for keyword in ("PixelSpacing", "Laterality", "KVP", "DetectorID", "PatientWeight"):
        assert keyword not in image


def test_the_date_is_the_jobs_and_no_element_knows_the_clock():
    for dataset in objects(make_pair(0)):
        dates = {element.value for element in dataset.iterall() if element.VR in ("DA", "DT")} - {""}
        assert dates == {"20261123"}
        assert {element.value for element in dataset.iterall() if element.VR == "TM"} <= {"000000", ""}


def test_image_and_report_are_one_study_of_one_patient_and_the_report_names_the_image():
    image, report = objects(make_pair(1))
    assert image.StudyInstanceUID == report.StudyInstanceUID
    assert image.PatientID == report.PatientID
    assert image.SeriesInstanceUID != report.SeriesInstanceUID
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == image.SeriesInstanceUID
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    finding = next(item for item in report.ContentSequence if item.ValueType == "CONTAINER").ContentSequence[0]
    assert finding.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert finding.ContentSequence[0].RelationshipType == "INFERRED FROM"


def test_findings_and_impression_have_sections_of_their_own():
    pair = make_pair(0, report="The heart is large. Größe 5 µm. IMPRESSION: Cardiomegaly.")
    assert texts(objects(pair)[1]) == {"Findings": "The heart is large. Größe 5 µm.", "Impressions": "Cardiomegaly."}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Clear lungs.", ("Clear lungs.", "")),
        ("Findings: Clear lungs. Impression: Normal.", ("Clear lungs.", "Normal.")),
        ("Impression: Normal.", ("", "Normal.")),
        ("A. Impression: B. Impression: C.", ("A.", "B. Impression: C.")),
        ("The impressions: none.", ("The impressions: none.", "")),
        ("The overall impression: normal.", ("The overall impression: normal.", "")),
        ("No impression: see above.\nImpression:\nNormal.", ("No impression: see above.", "Normal.")),
        ("FINDINGS: Clear lungs IMPRESSION: Normal", ("Clear lungs", "Normal")),
    ],
)
def test_a_report_is_split_at_its_first_impression_heading(report, expected):
    assert sections(report) == expected


def test_only_the_chest_report_claims_the_imaging_template():
    chest, pathology = objects(make_pair(0))[1], objects(make_pair(1))[1]
    assert chest.ContentTemplateSequence[0].TemplateIdentifier == "2000"
    assert chest.ConceptNameCodeSequence[0].CodeMeaning == "Diagnostic Imaging Report"
    assert "ContentTemplateSequence" not in pathology
    assert (chest.VerificationFlag, chest.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_phantoms_are_marked_as_quality_control_subjects_and_nothing_else_is():
    assert objects(make_pair(0), learned_from="phantoms")[0].QualityControlSubject == "YES"
    assert "QualityControlSubject" not in objects(make_pair(0), learned_from="patients")[0]


def test_a_given_image_is_not_called_generated():
    image, report = objects(make_pair(0), task="image_to_report", image="given")
    assert image.DerivationDescription == "Resampled from an image given to the generator"
    (equipment,) = report.ContributingEquipmentSequence
    assert equipment.ContributionDescription.startswith("Report generated from a given image")
    assert objects(make_pair(0), "secondary_capture", task="image_to_report", image="given")[0].ConversionType == "WSD"
    assert objects(make_pair(0), "secondary_capture")[0].ConversionType == "SYN"


def test_a_colour_chest_image_is_stored_as_luminance_and_a_grey_patch_as_rgb():
    colour = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    image, _ = objects(make_pair(0, image=colour))
    assert image.PhotometricInterpretation == "MONOCHROME2"
    expected = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(image.pixel_array - expected).max() <= 0.5
    grey = colour[:, :, 0]
    assert np.array_equal(stored_pixels("chest_xray", np.stack([grey] * 3, axis=2)), grey)
    assert np.array_equal(objects(make_pair(1, image=grey))[0].pixel_array, np.stack([grey] * 3, axis=2))


def test_the_same_pair_is_the_same_bytes():
    writer = DicomWriter(make_provenance(), DicomSection())
    assert writer.objects(make_pair(0)) == writer.objects(make_pair(0))


def test_uids_are_uuids_under_their_own_root_and_follow_the_content():
    pair, provenance = make_pair(0), make_provenance()
    uids = pair_uids(provenance, pair)
    for value in dataclasses.astuple(uids):
        assert UID(value).is_valid
        assert uuid.UUID(int=int(value.removeprefix("2.25."))).version == 5
    assert len(set(dataclasses.astuple(uids))) == 7
    assert uids == pair_uids(provenance, make_pair(0))
    other_words = pair_uids(provenance, dataclasses.replace(pair, report="No."))
    assert (uids.study, uids.image) == (other_words.study, other_words.image)
    assert uids.report != other_words.report
    assert pair_uids(provenance, dataclasses.replace(pair, image=255 - pair.image)).image != uids.image
    assert pair_uids(make_provenance(model_sha256="cd" * 32), pair).study != uids.study
    assert uid("ab", "c") != uid("a", "bc")


def test_only_kept_pairs_get_objects(tmp_path):
    judged = [make_judged(make_pair(0)), make_judged(make_pair(1), reasons=("std<4",))]
    shard = make_shard(0, [item.pair.request for item in judged])
    records = DicomWriter(make_provenance(), DicomSection()).write(tmp_path, shard, judged, [make_quarantined(2)])
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.dcm"))
    assert written == [f"dicom/3f2a9c1b-0000000/{name}.dcm" for name in ("image", "report")]
    assert [record.path for record in records] == written
    assert [record.size for record in records] == [(tmp_path / name).stat().st_size for name in written]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"report": "  "}, "the report has no words"), ({"report": "Effusion\x07."}, "control characters")],
)
def test_a_report_that_dicom_cannot_hold_names_the_pair(changes, words):
    with pytest.raises(RowError, match=rf"3f2a9c1b-0000000: .*{words}"):
        objects(make_pair(0, **changes))


def test_terms_that_do_not_fit_are_refused_before_anything_is_written():
    with pytest.raises(SpecError, match=r"1065 characters where DICOM \(0018,A003\) holds 1024"):
        DicomWriter(make_provenance(training_data_terms=("x" * 1000,)), DicomSection())


def test_an_early_date_has_four_digits_of_the_year():
    image, _ = objects(make_pair(0), date=datetime.date(987, 1, 5))
    assert image.StudyDate == image.InstanceCreationDate == "09870105"
