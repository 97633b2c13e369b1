"""Cutting text into words and statements, in any script."""

import pytest

from medim_forge.generator.filters.text import sentences, statements, tokens, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The heart's size, 3/4.", ["the", "heart's", "size"]),
        ("Лёгкие чистые.", ["лёгкие", "чистые"]),
        ("폐는 깨끗하다", ["폐는", "깨끗하다"]),
        ("Lungenödem, Größe", ["lungenödem", "größe"]),
        ("Größe".replace("ö", "o\u0308"), ["größe"]),
        ("a_b 12", ["a", "b"]),
    ],
)
def test_words_are_letters_of_any_script(text, expected):
    assert words(text) == expected


def test_tokens_keep_numbers_and_compounds():
    assert tokens("Left-sided, 3/4 правый-левый 5") == ["left-sided", "3/4", "правый-левый", "5"]


def test_statements_are_cut_at_headings_and_not_at_line_ends_alone():
    assert statements("Findings: No\nedema. Body: No edema.") == ["findings", "no edema", "body", "no edema"]
    assert sentences("No\nedema") == ["no edema"]
