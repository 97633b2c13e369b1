"""Parts of reports are found by their headings, in several languages and ways of writing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.corpus.sections import choose, split_report, tidy

ENGLISH = {"findings": "Clear lungs.", "impression": "Normal."}


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: Clear lungs.\nIMPRESSION: Normal.",
        "FINDINGS:\n\n Clear  lungs.\n\nIMPRESSION:\n Normal.\n",
        "INDICATION: Cough.\nFindings : Clear lungs.\nConclusion: Normal.\nRECOMMENDATION: None.",
        "EXAM: CHEST. COMPARISON: None. FINDINGS: Clear lungs. IMPRESSION: Normal.",
        "Comparison: None. Findings: Clear lungs. Impression: Normal.",
        "**Findings:** Clear lungs.\r\n**Impression:** Normal.",
        "1. FINDINGS: Clear lungs.\n2. IMPRESSION: Normal.",
        "Findings\nClear lungs.\nImpression\nNormal.",
        "cough FINDINGS: Clear lungs. IMPRESSION: Normal.",
        "WET READ: no.\n FINAL REPORT\n FINDINGS: Clear\n lungs.\n OPINION: Normal.",
    ],
)
def test_findings_and_impression_are_found_however_they_are_written(text):
    assert split_report(text) == ENGLISH


@pytest.mark.parametrize(
    ("text", "findings", "impression"),
    [
        ("Klinische Angaben: Husten.\nBefund: Lunge frei.\nBeurteilung: Unauffällig.", "Lunge frei.", "Unauffällig."),
        ("Motivo: tos.\nHallazgos: Sin derrame.\nImpresión: Normal.", "Sin derrame.", "Normal."),
        ("Indication : toux.\nRésultats : Poumons clairs.\nConclusion : Normal.", "Poumons clairs.", "Normal."),
        ("Referto: polmoni chiari.\nConclusioni: normale.", "polmoni chiari.", "normale."),
        ("임상정보: 기침\n소견: 양측 폐야 깨끗함.\n결론: 정상.", "양측 폐야 깨끗함.", "정상."),
        ("所见\uff1a两肺清晰。\n印象\uff1a正常。", "", "正常。"),
        ("影像所见\uff1a两肺清晰。\n诊断意见\uff1a正常。", "两肺清晰。", "正常。"),
        ("Befund\u0301: x.\nBeurteilung: y.", "", "y."),
    ],
)
def test_headings_of_other_languages_are_known(text, findings, impression):
    found = split_report(text)
    assert (found.get("findings", ""), found.get("impression", "")) == (findings, impression)


def test_words_that_are_no_headings_end_nothing():
    text = "FINDINGS: LUNGS: clear. The impression of a nodule remains: stable. HEART: normal.\nIMPRESSION: Fine."
    assert split_report(text)["findings"] == "LUNGS: clear. The impression of a nodule remains: stable. HEART: normal."


def test_a_report_without_headings_has_no_part_but_a_whole():
    text = "Heart is normal."
    assert split_report(text) == {}
    assert choose("findings", text, {}) is None
    assert choose("findings_and_impression", text, {}) is None
    assert choose("whole", " Heart\nis  normal. ", {}) == text


def test_a_part_that_stands_twice_is_both_and_an_empty_one_is_none():
    text = "FINDINGS: One.\nADDENDUM: later.\nFINDINGS: Two.\nIMPRESSION:\n"
    assert split_report(text) == {"findings": "One. Two."}


@pytest.mark.parametrize(
    ("section", "parts", "expected"),
    [
        ("findings", ENGLISH, "Clear lungs."),
        ("impression", ENGLISH, "Normal."),
        ("findings_and_impression", ENGLISH, "Clear lungs. Normal."),
        ("findings_or_impression", ENGLISH, "Clear lungs."),
        ("findings_or_impression", {"impression": "Normal."}, "Normal."),
        ("findings_and_impression", {"impression": "Normal."}, "Normal."),
        ("impression", {"findings": "Clear lungs."}, None),
        ("whole", ENGLISH, "Clear lungs. Normal."),
    ],
)
def test_the_part_that_a_job_asks_for_is_taken(section, parts, expected):
    assert choose(section, None, parts) == expected


def test_headings_of_a_job_stand_in_the_place_of_the_known_ones():
    own = {"findings": ("Was man sieht",), "other": ("Wer es sah",)}
    text = "Was man sieht: Herz groß.\nWer es sah: Niemand.\nFINDINGS: not known now.\nImpression: Normal."
    assert split_report(text, own) == {"findings": "Herz groß.", "impression": "Normal."}


def test_text_is_composed_and_blanks_are_single():
    assert tidy(" Ro\u0308ntgen\u00a0\t\nThorax\0 ") == "R\u00f6ntgen Thorax"


@given(st.text(max_size=400))
def test_any_text_has_parts_that_are_its_own_words(text):
    for body in split_report(f"FINDINGS: {text}").values():
        assert set(body.split()) <= set(tidy(text.replace("*", " ").replace("_", " ")).split()) | set(
            tidy(text).split()
        )
