from __future__ import annotations

import json
import sys

import pytest

from medim_forge.generator.tracing import one_line, portable, portable_traceback


def test_a_message_is_one_line_without_addresses():
    assert one_line(ValueError("first\n  second <x at 0x7f3a5c0012d0>")) == "ValueError: first second <x at 0x0>"
    assert one_line(ValueError()) == "ValueError"


def test_files_are_named_by_their_module_wherever_it_was_found(monkeypatch):
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    text = portable_traceback(caught.value)
    monkeypatch.setattr(sys, "path", [*sys.path, json.__file__.rsplit("/", 1)[0]])
    assert portable_traceback(caught.value) == text
    assert 'File "json/__init__.py"' in text
    assert 'File "json/decoder.py"' in text
    assert 'File "tests/generator/test_tracing.py"' in text


def test_a_file_of_no_module_keeps_its_name_and_loses_its_folder():
    assert portable('  File "/somewhere/of/mine/scratch.py", line 1') == '  File "scratch.py", line 1'


def test_short_hexadecimal_numbers_stay():
    assert portable("0xFF is 255") == "0xFF is 255"
