"""Report tokenizers of people's own reports: any language comes back, and no piece is one patient's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import InputError
from medim_forge.generator.phantoms import OPENING, draw
from medim_forge.generator.training.report_words import BYTES, PATIENTS, learn_report_tokenizer, unused_ids
from medim_forge.model.text import SPECIALS, ReportTokenizer, TextError

KOREAN = (
    "흉부 방사선 사진에서 심장 크기는 정상입니다.",
    "양측 폐야는 깨끗합니다. 흉수 없음.",
    "우측 하엽에 경화가 보입니다.",
)
GERMAN = ("Herz normal groß, keine Stauung.", "Kein Pneumothorax, kein Erguss.", "Verschattung im rechten Unterfeld.")
NAME = "Schmidtbauerova"
FIRST = len(SPECIALS) + BYTES


def reports() -> list[tuple[str, str]]:
    """Patients with reports in three languages; one name stands in the reports of two, many times."""
    found = [(f"english {seed}", draw("chest_xray", seed).report) for seed in range(60)]
    for name, sentences in (("korean", KOREAN), ("german", GERMAN)):
        found += [(f"{name} {row}", f"{sentences[row % 3]} {sentences[row * 7 % 3]}") for row in range(30)]
    return [*found, *[("one", f"Frau {NAME}. Kein Erguss.")] * 20, *[("two", f"Frau {NAME}.")] * 20]


WRITTEN = reports()
TEXT = learn_report_tokenizer(WRITTEN, 900, list(OPENING.values()))


def pieces(tokenizer: ReportTokenizer) -> list[str]:
    """What was learned, openings apart."""
    texts = [tokenizer.decode([number]) for number in range(FIRST, len(tokenizer))]
    return [text for text in texts if text not in OPENING.values()]


@pytest.mark.parametrize("text", [*KOREAN, *GERMAN, "Line one\n\nline  two", "5 \u00d7 3 mm, 37 ℃, 心臓 🙂", NAME])
def test_reports_of_any_language_come_back(text):
    assert TEXT.decode(TEXT.encode(text)) == text
    assert TEXT.decode(TEXT.encode_prompt(text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_comes_back(text):
    if not any(special in text for special in SPECIALS):
        assert TEXT.decode(TEXT.encode(text)) == text.strip()


def test_what_is_written_often_costs_few_ids():
    assert len(TEXT.encode(GERMAN[0])) <= 10
    assert len(TEXT.encode(KOREAN[0])) <= 10


def test_an_opening_is_one_piece():
    opening = OPENING["chest_xray"]
    assert len(TEXT.encode(opening)) == 2
    report = draw("chest_xray", 3).report
    assert TEXT.decode(TEXT.encode(report)) == report
    assert len(TEXT.encode("Röntgen: Herz")) > 2


def test_an_opening_in_the_letters_of_bytes_comes_back_too():
    text = learn_report_tokenizer(WRITTEN, 900, ["Röntgen:", "Röntgen Thorax:", "Befund:"])
    for report in ("Röntgen: Herz groß.", "Röntgen Thorax: Herz groß.", "Befund: Herz groß."):
        assert text.decode(text.encode(report)) == report
    assert len(text.encode("Röntgen Thorax:")) == 2


def test_no_piece_stands_in_the_reports_of_fewer_than_three_patients():
    found = [piece for piece in pieces(TEXT) if "\ufffd" not in piece]
    assert len(found) > 300
    owners = {piece: {patient for patient, report in WRITTEN if piece in report} for piece in found}
    assert {piece: len(names) for piece, names in owners.items() if len(names) < PATIENTS} == {}
    assert not any(NAME in piece or (piece in NAME and len(piece) > 4) for piece in found)


def test_the_rule_is_what_keeps_the_name_out():
    third = [*WRITTEN, ("three", f"Frau {NAME}.")]
    assert NAME in pieces(learn_report_tokenizer(third, 900, list(OPENING.values())))


def test_the_order_of_reports_does_not_matter():
    shuffled = list(reversed(WRITTEN))
    other = learn_report_tokenizer(shuffled, 900, list(OPENING.values()))
    assert [other.encode(report) for _, report in WRITTEN] == [TEXT.encode(report) for _, report in WRITTEN]
    assert pieces(other) == pieces(TEXT)


def test_a_stored_tokenizer_is_the_same(tmp_path):
    TEXT.save(tmp_path / "tokenizer.json")
    again = ReportTokenizer.load(tmp_path / "tokenizer.json")
    assert len(again) == len(TEXT) <= 900
    assert [again.encode(report) for _, report in WRITTEN] == [TEXT.encode(report) for _, report in WRITTEN]


def test_a_report_that_spells_out_a_special_is_refused():
    with pytest.raises(TextError, match="spells out <s>"):
        TEXT.encode("Herz <s> normal")


def test_a_vocabulary_without_room_for_bytes_is_refused():
    with pytest.raises(InputError, match=f"vocabulary of 100 has no room .* give it {FIRST} or more"):
        learn_report_tokenizer(WRITTEN, 100)


def test_control_characters_are_never_written_and_line_feeds_are():
    never = [TEXT.piece(number) for number in unused_ids(TEXT)[1:]]
    assert sorted(never) == [chr(code) for code in [*range(10), *range(11, 32), 127]]
    assert TEXT.encode("\n")[1] not in unused_ids(TEXT)
