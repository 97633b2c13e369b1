"""Structured reports become text by their content trees, also those that this software writes."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread

from medim_forge.generator.corpus.dicom_tree import PageWords, TreeWords, read_header
from medim_forge.generator.corpus.sections import split_report
from medim_forge.generator.errors import InputError
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.dicom_holdings import write_report
from tests.doubles.pairs import make_pair, make_provenance


def test_coded_headings_say_which_part_follows(tmp_path):
    write_report(tmp_path / "sr", "1.2", "Clear lungs.\nNo effusion.", "Normal.")
    text = TreeWords(tmp_path / "sr").text()
    assert split_report(text) == {"findings": "Clear lungs. No effusion.", "impression": "Normal."}
    german = TreeWords(tmp_path / "sr", "Befund", "Beurteilung").text()
    own = {"findings": ("Befund",), "impression": ("Beurteilung",)}
    assert split_report(german, own) == split_report(text)


def test_a_heading_without_a_known_code_is_its_words(tmp_path):
    write_report(tmp_path / "sr", "1.2", "Clear lungs.", "Normal.")
    dataset = dcmread(tmp_path / "sr")
    code = dataset.ContentSequence[1].ConceptNameCodeSequence[0]
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X1", "99OURS", "Befund"
    dataset.save_as(tmp_path / "sr")
    assert split_report(TreeWords(tmp_path / "sr").text())["findings"] == "Clear lungs."


def test_the_structured_report_of_our_own_writer_is_read(tmp_path):
    pair = make_pair(0)
    objects = DicomWriter(make_provenance(), DicomSection()).objects(pair)
    (tmp_path / "report.dcm").write_bytes(objects["report.dcm"])
    text = " ".join(TreeWords(tmp_path / "report.dcm").text().split())
    words = [word for word in pair.report.split() if not word.endswith(":")]
    assert [word for word in words if word not in text] == []


def test_the_patient_is_known_and_clinical_facts_are_none_of_the_names(holdings):
    header = read_header(holdings / "pacs" / "dicom" / "06")
    assert header.values["ViewPosition"] == "PA"
    assert header.values["BurnedInAnnotation"] == "NO"
    assert set(header.names) == {"P006", "Doe6Marker^Jane", "19500203"}


def test_what_is_no_dicom_has_no_header(tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    assert read_header(tmp_path / "notes.txt") is None


def test_damage_is_an_error_and_neither_warnings_nor_logs_repeat_values_or_files(tmp_path, holdings, caplog, recwarn):
    whole = (holdings / "pacs" / "dicom" / "06").read_bytes()
    generator, errors, read = np.random.default_rng(0), [], 0
    for _ in range(200):
        content = bytearray(whole)
        for place in generator.integers(132, 600, 8):
            content[place] = generator.integers(256)
        (tmp_path / "Doe6Marker.dcm").write_bytes(content)
        try:
            read += read_header(tmp_path / "Doe6Marker.dcm") is not None
        except InputError as error:
            errors.append(str(error))
    assert read > 20
    assert len(errors) > 20
    assert {error.partition(" (")[0] for error in errors} == {"is damaged DICOM"}
    assert not [error for error in errors if "Marker" in error]
    assert not caplog.records
    assert not recwarn.list


def test_a_tree_that_is_nested_without_end_is_refused(tmp_path):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    write_report(tmp_path / "sr", "1.2", "Clear lungs.", "Normal.")
    dataset = dcmread(tmp_path / "sr")
    inner = Dataset()
    inner.ValueType, inner.RelationshipType = "CONTAINER", "CONTAINS"
    for _ in range(40):
        outer = Dataset()
        outer.ValueType, outer.RelationshipType, outer.ContentSequence = "CONTAINER", "CONTAINS", Sequence([inner])
        inner = outer
    dataset.ContentSequence = Sequence([inner])
    dataset.save_as(tmp_path / "sr")
    with pytest.raises(InputError, match="nested too deeply"):
        TreeWords(tmp_path / "sr").text()


def test_pages_are_no_text():
    with pytest.raises(InputError, match="a picture of pages and no text; export the text"):
        PageWords().text()
