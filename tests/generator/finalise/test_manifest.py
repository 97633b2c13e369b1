"""How the manifest is written: lists as long as a dataset are streamed, and the text is JSON all the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.finalise.manifest import stream_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_without_iterators_the_text_is_that_of_json(value):
    assert "".join(stream_json(value)) == json.dumps(value, indent=2, ensure_ascii=False)


def test_an_iterator_becomes_a_list_with_one_entry_a_line():
    run = {"device": "cpu", "shards": iter([])}
    value = {"a": "line\nend", "files": iter([{"path": "x"}, {"path": "y"}]), "run": run}
    assert "".join(stream_json(value)) == (
        '{\n  "a": "line\\nend",\n  "files": [\n    {"path": "x"},\n    {"path": "y"}\n  ],\n'
        '  "run": {\n    "device": "cpu",\n    "shards": [\n    ]\n  }\n}'
    )


@given(st.lists(JSON, max_size=4), st.lists(JSON, max_size=4))
def test_the_text_holds_what_the_iterators_gave(files, shards):
    text = "".join(stream_json({"files": iter(files), "run": {"shards": iter(shards)}}))
    assert json.loads(text) == {"files": files, "run": {"shards": shards}}


def test_an_iterator_is_read_as_the_text_is_taken():
    read: list[int] = []

    def entries():
        for number in range(3):
            read.append(number)
            yield number

    pieces = stream_json({"files": entries()})
    assert read == []
    for _ in range(4):
        next(pieces)
    assert read == [0, 1]


def test_what_json_cannot_say_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        "".join(stream_json({"files": iter([float("nan")])}))
