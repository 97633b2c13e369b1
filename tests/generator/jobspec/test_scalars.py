"""Unquoted words are what people take them for."""

from __future__ import annotations

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.jobspec.scalars import MOST_DIGITS, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("Null", None), ("On", True), ("NO", False), ("yEs", "yEs"), ("+7", 7), ("-0", 0),
        ("1.", 1.0), ("-.5", -0.5), ("1.5e+3", 1500.0), (".inf", math.inf), ("-.INF", -math.inf), ("0o17", "0o17"),
        ("2026-11-23", datetime.date(2026, 11, 23)), ("2026-11-23 10:00:00", "2026-11-23 10:00:00"), ("=", "="),
        ("١٢", "١٢"),
    ],
)  # fmt: skip
def test_a_word_is_what_it_looks_like(text, value):
    assert (scalar(text), type(scalar(text))) == (value, type(value))


@pytest.mark.parametrize("text", ["07", "-00", "9" * (MOST_DIGITS + 1), "2026-02-30", "0000-01-01"])
def test_a_word_that_would_be_taken_for_another_is_refused(text):
    with pytest.raises(ValueError, match=r"write|range"):
        scalar(text)


@given(st.integers(-(10**MOST_DIGITS) + 1, 10**MOST_DIGITS - 1))
def test_whole_numbers_are_read_as_they_are_written(number):
    assert scalar(str(number)) == number


@given(st.text(max_size=20))
def test_every_word_has_a_value_or_is_refused_in_words(text):
    said = "write"
    try:
        scalar(text)
    except ValueError as error:
        said = str(error)
    assert "write" in said or "range" in said
