from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.escaping import markdown, visible
from medim_forge.generator.finalise.card import _size_category
from medim_forge.generator.templates import _quoted

HOSTILE = "\x1b]0;owned\x07 \x1b[2J \u202eknil\u202c \x9b31m \ud800"


def test_controls_are_written_out_and_text_stays():
    assert visible("Größe 5 µm,\n\t大動脈") == "Größe 5 µm,\n\t大動脈"
    assert visible(HOSTILE) == r"\x1b]0;owned\x07 \x1b[2J \u202eknil\u202c \x9b31m \ud800"


@given(st.text())
def test_nothing_that_is_shown_can_command_a_terminal(text):
    shown = visible(text)
    assert all(letter.isprintable() or letter in "\n\t" or letter.isspace() or ord(letter) > 0xA0 for letter in shown)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<!-- hidden -->", "&lt;!-- hidden -->"),
        ("![pixel](http://x.example/p.png)", r"![pixel\](http://x.example/p.png)"),
        ("[click][1] me", r"[click\][1] me"),
        ("report_form<0.5, 3 < 5", "report_form<0.5, 3 < 5"),
        ("a `code` | cell", "a `code` | cell"),
    ],
)
def test_markup_in_text_is_no_markup_of_the_card(text, shown):
    assert markdown(text) == _quoted(text) == shown


@pytest.mark.parametrize(
    ("rows", "name"),
    [(5, "n<1K"), (5_000, "1K<n<10K"), (50_000, "10K<n<100K"), (500_000, "100K<n<1M"), (5_000_000, "1M<n<10M")],
)
def test_the_size_of_a_dataset_stands_in_its_card_in_the_words_of_hugging_face(rows, name):
    assert _quoted(_size_category(rows)) == name
    assert _quoted(_size_category(20_000_000)) == "n>10M"
