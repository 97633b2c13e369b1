"""The JSON files of a checkpoint are read within bounds, and nothing in them is taken for something else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.model.strict_json import OPTIONAL, JsonError, built, parse_mapping, plain, read_mapping, read_text


@dataclass(frozen=True, kw_only=True)
class Part:
    size: int
    share: float = 0.5
    names: tuple[str, ...] = ()
    rule: Literal["whole", "half"] = "whole"
    end: int | None = field(default=None, metadata=OPTIONAL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"a\.json is not JSON: .* at line 1, column 2"),
        ('{"a": 1, "a": 2}', "the key a is given twice"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ("[1]", r"must be a mapping, is \[1\]"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON of ours"),
    ],
)
def test_text_that_is_no_mapping_is_refused(text, said):
    with pytest.raises(JsonError, match=said) as caught:
        parse_mapping(text, "a.json")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, r"part\.size is missing"),
        ({"size": 1.0}, r"part\.size = 1\.0 has the wrong type; give a whole number"),
        ({"size": True}, "give a whole number"),
        ({"size": 1, "share": float("inf")}, "beyond every range"),
        ({"size": 1, "share": "x" * 1000}, r"give a number"),
        ({"size": 1, "names": "ab"}, "give a list"),
        ({"size": 1, "names": ["a", 1]}, r"part\.names\[1\] = 1 has the wrong type; give text"),
        ({"size": 1, "rule": ["whole"]}, "is none of 'whole', 'half'"),
        ({"size": 1, "end": "x"}, "give a whole number or null"),
        ({"size": 1, "x" * 1000: 1}, "is not a known key; known: end, names, rule, share, size"),
    ],
)
def test_what_does_not_fit_is_named_by_key(raw, said):
    raw = {"share": 0.5, "names": [], "rule": "whole", **raw}
    with pytest.raises(JsonError, match=said) as caught:
        built(Part, raw, "part")
    assert len(str(caught.value)) < 400


SHARES = st.floats(allow_nan=False, allow_infinity=False)


@given(st.builds(Part, size=st.integers(), share=SHARES, end=st.none() | st.integers()))
def test_a_dataclass_survives_its_json(part):
    assert built(Part, plain(part), "part") == part


def test_what_is_no_file_of_text_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, said in {"pipe": "a pipe or device", "loop": "cannot be read", "binary": "not UTF-8"}.items():
        with pytest.raises(JsonError, match=said):
            read_text(tmp_path / name)
    with pytest.raises(JsonError, match="cannot be read"):
        read_mapping(tmp_path)
