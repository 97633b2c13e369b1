"""What a job file says is read as it looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec import parse_spec
from medim_forge.generator.jobspec.document import parse_yaml, yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8), ("-3", -3), ("0", 0), ("1_000", 1000), ("1.5", 1.5), ("1e5", "1e5"), ("1.0e+5", 1e5), (".5", 0.5),
        ("1:30", "1:30"), ("0x1F", "0x1F"), ("1.2.3", "1.2.3"), ("yes", True), ("~", None),
    ],
)  # fmt: skip
def test_a_number_is_what_people_take_it_for(text, value):
    found = parse_yaml(f"key: {text}".encode(), "a.yaml")["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key: 010", "a.yaml:1:6: is not a job file: 010 begins with 0; write 10"),
        ("a: 1\nkey: 2026-13-40", "a.yaml:2:6: .* 2026-13-40 is no date"),
        ("[a, b]: 1", "a.yaml:1:1: .* a key is a list or a mapping; write a word"),
        ("{a: b}: 1", "a.yaml:1:1: .* a key is a list or a mapping"),
        ("a: 1\nb: !!str 8", "a.yaml:2:4: .* job files take no tags such as !!str; leave it out"),
        ("a: !!bool maybe", "a.yaml:1:4: .* job files take no tags"),
        ("a: " + 5000 * "9", "a.yaml:1:4: .* a number of 5000 digits is beyond every range"),
        ("a: " + 5000 * "[", "a.yaml:1:36: .* it is nested too deeply: more than 32 levels"),
        ("a: 1\nb: x\0", "a.yaml:2:5: .* holds the control character"),
        ("a: 1\na: 2", "a.yaml:2:1: .* the key a is given twice"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused_with_its_place(text, said):
    with pytest.raises(SpecError, match=said):
        parse_yaml(text.encode(), "a.yaml")


def test_text_in_another_encoding_is_refused_with_its_place():
    with pytest.raises(SpecError, match=r"a.yaml:2:5: is not UTF-8 text"):
        parse_yaml(b"a: 1\nb: x\xff", "a.yaml")


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()))
def test_values_that_are_written_are_read_back(values):
    values = {key: value for key, value in values.items() if key.isprintable()}
    values = {key: value for key, value in values.items() if not isinstance(value, str) or value.isprintable()}
    if values:
        assert parse_yaml(yaml_text(values).encode(), "a.yaml") == values


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompts": "prompts.csv"}, "prompts = 'prompts.csv': give a list"),
        ({"prompts": {"domain": "chest_xray", "pairs": 8}}, "give a list"),
        ({"prompts": [{"domain": "chest_xray", "pairs": "8"}]}, "give a whole number; it is text: write 8, without"),
        ({"prompts": [{"domain": "chest_xray", "pairs": 8.5}]}, "give a whole number"),
        ({"prompts": [{"domain": "chest_xray", "pairs": 8, "text": False}]}, "quote it"),
        ({"name": "A b"}, "use lower case letters, digits and underscores, at most 40"),
        ({"date": "today"}, "is no date; write year-month-day"),
        ({"output": {"dir": "a\nb"}}, "holds a line end or another control character"),
        ({"output": {"dir": "~/out"}}, "write the whole path"),
        ({"model": {"checkpoint": "$HOME/medim"}}, "write the whole path"),
        ({"output": "out"}, "output = 'out': give a mapping of keys to values"),
    ],
)
def test_mistakes_are_told_in_words_that_help(job, changes, said):
    with pytest.raises(SpecError) as caught:
        parse_spec(job(**changes), source="a.yaml")
    assert said in str(caught.value)
    assert "tuple" not in str(caught.value)


def test_blanks_and_line_ends_of_a_prompt_are_single_blanks(job):
    prompts = [{"domain": "chest_xray", "pairs": 2, "text": "  The image \n\t is\u00a0a film. \n"}]
    assert parse_spec(job(prompts=prompts), source="a.yaml").prompts[0].text == "The image is a film."
