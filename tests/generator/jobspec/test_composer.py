"""The values of a job file are bounded before they are built, and every key knows its line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from medim_forge.generator.jobspec import composer
from medim_forge.generator.jobspec.composer import MOST_DEEP, MOST_VALUES, Composer, Refused


def composed(text):
    return Composer(text).document()


def test_every_key_and_entry_has_its_line():
    found = Composer("a: 1\nb:\n- x\n- {c: 2,\n   d: [3]}\n")
    assert found.document() == {"a": 1, "b": ["x", {"c": 2, "d": [3]}]}
    assert found.places == {
        ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4, ("b", 1, "d"): 5, ("b", 1, "d", 0): 5,
    }  # fmt: skip


def test_aliases_and_merges_give_what_they_name_and_the_mapping_goes_before_what_it_takes():
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nown: {<<: [*b, *o], x: 9}\nsame: *b\n'<<': text\n"
    found = composed(text)
    assert found["own"] == {"x": 9, "y": 2, "z": 4}
    assert found["same"] == found["base"]
    assert found["<<"] == "text"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "stands within what it names"),
        ("a: *b", "names no value before it"),
        ("<<: 1", "takes a mapping"),
        ("a: 1\n---\nb: 2", "a second document begins"),
        (f"a: {'[' * (MOST_DEEP + 1)}", "nested too deeply"),
        ("a: [" + MOST_VALUES * "1," + "]", "it holds more than 50,000 values"),
        ("? ' '\n: 1", "a key is empty"),
        (f"{'k' * 101}: 1", "is no word of at most 100 characters"),
        ('"a\\x1b": 1', r"the key a\\x1b is no word"),
        ("!!str a: 1", "take no tags"),
        ("a: !!set {b}", "take no tags"),
        ("a: ! b", "take no tags"),
    ],
)
def test_what_no_job_needs_is_refused_with_its_place(text, said):
    with pytest.raises(Refused, match=said) as caught:
        composed(text)
    assert caught.value.problem_mark is not None


def test_a_bomb_of_aliases_is_refused_before_it_is_built():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 60)]
    with pytest.raises(Refused, match="those of aliases counted each time"):
        composed("\n".join(levels))


PIECES = st.sampled_from(
    ["a", "é", "b: ", "- ", "[", "]", "{", "}", ",", "\n", "  ", "'", '"', "1", "0.5", "~", "yes", "#", "|", ">", "&x "]
)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_both_parsers_of_the_library_take_they_take_alike(text):
    def outcome(parser):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(composer, "_PARSER", parser)
            try:
                return composed(text)
            except yaml.YAMLError:
                return yaml.YAMLError

    found = [outcome(composer._Python), outcome(composer._PARSER)]
    assert found[0] == found[1] or yaml.YAMLError in found
