"""Words that look as if they named a person are counted by kind and masked; medicine is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.corpus.phi import find, masked, parts_of

FOUND = {
    "e-mail": ["Send to jane.doe+x@hospital.example.org today."],
    "telephone": [
        "Call (617) 555-0123 at once.",
        "Called 617-555-0123.",
        "Tel: 0511 532 1234",
        "Reached at +49 511 532-0.",
        "paged, pager 31234.",
    ],
    "date": [
        "Compared with 2026-11-23.",
        "Compared with 11/23/2026.",
        "Compared with 3/7/19, no change.",
        "Voraufnahme vom 23.11.2026.",
        "on November 23, 2026",
        "am 23. November 2026",
        "el 3 de marzo de 2019",
        "2026년 11월 23일 검사와 비교",
        "2026年11月23日",
    ],
    "record number": [
        "MRN 12-345-67",
        "Medical record number: 0012345",
        "Patient ID: A1234567",
        "Accession number 9876543.",
        "SSN 123-45-6789",
        "image 123456789 reviewed",
        "Fallnummer: 1234567",
    ],
    "title and name": [
        "Discussed with Dr. Smith.",
        "Discussed with Dr. J. R. Smith-Jones by telephone.",
        "Mrs Miller was told.",
        "Frau Müller wurde informiert.",
        "Sr. García",
        "telephoned to Dr. O'Neil",
    ],
}
CLEAN = [
    "Heart size is normal. Lungs are clear. 3.5 cm nodule, 12 x 14 mm, at T8-T9.",
    "Discussed with Dr. ___ on ___ at 12:30.",
    "A 54-year-old woman with SpO2 of 92.5 percent and 1500 ml of fluid.",
    "Compared with ___, images 4/25 and 6 of 120.",
    "Dr has seen the images, prof of concept.",
    "Grade 2/3, series 5, kVp 120, 1.234567 mm.",
    "Follow-up in 6-12 months; 1-2 cm effusion, 3-4 ribs.",
    "The don of the house; the miss distance is short. Ms are milliseconds.",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_what_looks_like_a_person_is_counted_by_kind_and_masked(kind, text):
    counts, stretches = find(text)
    assert dict(counts) == {kind: 1}
    hidden = masked(text, stretches)
    assert "___" in hidden
    assert not find(hidden)[0]


@pytest.mark.parametrize("text", CLEAN)
def test_medicine_is_left_alone(text):
    counts, stretches = find(text)
    assert (dict(counts), masked(text, stretches)) == ({}, text)


@pytest.mark.parametrize(
    ("value", "text", "hidden"),
    [
        ("Doe^Jane", "JANE was seen. Mr doe too.", "___ was seen. Mr ___ too."),
        ("M\u00fcller^Eva", "Fall Eva Mu\u0308ller".replace("u\u0308", "\u00fc"), "Fall ___ ___"),
        ("P0012", "id P0012.", "id ___."),
        ("19500203", "born 03.02.1950 or 1950-02-03", "born ___ or ___"),
        ("Lee^Bo", "The lee side, Bo.", "The ___ side, Bo."),
    ],
)
def test_values_of_the_patient_are_found_in_the_report_of_the_study(value, text, hidden):
    counts, stretches = find(text, [value])
    assert masked(text, stretches) == hidden
    assert set(counts) == {"DICOM value"}


def test_a_name_within_a_word_is_no_name():
    assert not find("Adoeration of janets", ["Doe^Jane"])[0]


def test_short_values_are_not_looked_for():
    assert parts_of("Wu^Li") == []


@given(st.text(max_size=300), st.lists(st.text(max_size=12), max_size=3))
def test_stretches_are_in_order_and_do_not_overlap(text, values):
    counts, stretches = find(text, values)
    assert sum(counts.values()) == len(stretches)
    ends = [0, *(end for _, end in stretches)]
    assert all(start >= end for end, (start, _) in zip(ends, stretches, strict=False))


@pytest.mark.parametrize(
    "text", ["1" * 20_000, "1-" * 10_000, "A." * 10_000, "Dr. " * 5_000, "a@" * 10_000, "(12) " * 4_000]
)
def test_hostile_texts_are_scanned_to_their_end(text):
    counts, stretches = find(text)
    assert sum(counts.values()) == len(stretches)
