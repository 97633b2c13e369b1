"""Reports become ids and come back; what has no id is an error, not a blank."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.phantoms import DOMAINS, OPENING, draw, sentences
from medim_forge.generator.training.data import domain_report_ids, report_tokenizer
from medim_forge.model.text import BOS_ID, SPECIALS, ReportTokenizer, TextError

TEXT = report_tokenizer()
PRINTED = string.printable[:95]


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_sentence_of_a_phantom_report_is_one_piece(domain):
    known = {*sentences(domain), *OPENING.values()}
    for seed in range(40):
        report = draw(domain, seed).report
        ids = TEXT.encode(report)
        pieces = [TEXT.decode([number]) for number in ids[1:]]
        assert " ".join(pieces) == report
        assert set(pieces) <= known
        assert TEXT.decode(ids) == report


@given(st.text(PRINTED, min_size=1, max_size=60))
def test_any_printed_ascii_comes_back(text):
    # Text that spells out a special id is refused; see below.
    if not any(special in text for special in SPECIALS):
        assert TEXT.decode(TEXT.encode(text)) == text.strip()


def test_unknown_words_cost_more_ids_than_known_ones():
    assert len(TEXT.encode("The heart")) < len(TEXT.encode("Tge hexrt"))


@pytest.mark.parametrize(
    ("text", "shown"), [("cardiomégalie", "é"), ("no\teffusion", r"\\t"), ("心臓 is normal", "心")]
)
def test_characters_without_an_id_are_shown(text, shown):
    with pytest.raises(TextError, match=f"does not know: .*{shown}"):
        TEXT.encode(text)


@pytest.mark.parametrize("special", ["<pad>", "<s>", "</s>"])
def test_text_that_spells_out_a_special_id_is_refused(special):
    with pytest.raises(TextError, match=f"spells out {special}"):
        TEXT.encode(f"The heart {special} is normal.")


def test_special_ids_leave_no_trace_in_the_text():
    ids = TEXT.encode(OPENING["chest_xray"])
    assert ids[0] == BOS_ID
    assert TEXT.decode([*ids, 2, 0, 0, 3, 4, 5, 6]) == OPENING["chest_xray"]


def test_the_tokenizer_file_gives_the_same_ids(tmp_path):
    TEXT.save(tmp_path / "tokenizer.json")
    loaded = ReportTokenizer.load(tmp_path / "tokenizer.json")
    assert len(loaded) == len(TEXT)
    report = draw("pathology", 4).report
    assert loaded.encode(report) == TEXT.encode(report)
    again = tmp_path / "again.json"
    loaded.save(again)
    assert again.read_bytes() == (tmp_path / "tokenizer.json").read_bytes()


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TextError, match=r"tokenizer\.json is not a tokenizer"):
        ReportTokenizer.load(tmp_path / "tokenizer.json")
    with pytest.raises(TextError, match=r"missing\.json does not exist"):
        ReportTokenizer.load(tmp_path / "missing.json")


def test_each_domain_has_its_own_sentences_and_no_special_id():
    ids = domain_report_ids(TEXT)
    assert set(ids) == set(DOMAINS)
    for domain, own in ids.items():
        assert own == sorted(set(own))
        assert min(own) >= len(SPECIALS)
        wanted = {i for seed in range(40) for i in TEXT.encode(draw(domain, seed).report)[2:]}
        assert wanted <= set(own)


@pytest.mark.parametrize("text", [" The heart", "The heart ", "The heart\u00a0"])
def test_a_prompt_that_does_not_come_back_is_refused(text):
    with pytest.raises(TextError, match=r"white space changes|does not know"):
        TEXT.encode_prompt(text)


def test_a_prompt_comes_back_at_the_beginning_of_its_report():
    ids = TEXT.encode_prompt("The heart is  large")
    assert TEXT.decode([*ids, *TEXT.encode("No effusion.")[1:]]).startswith("The heart is  large")
