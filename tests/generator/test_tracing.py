from __future__ import annotations

import json
import sys

import pytest

from medim_forge.generator.errors import InputError, MedimError, is_environment
from medim_forge.generator.tracing import one_line, portable, portable_traceback, wordless, wordless_causes


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


def test_planted_errors_of_libraries_lose_their_words_and_keep_their_class():
    def planted(name="Jane Doe"):
        try:
            float(name)
        except ValueError as error:
            raise MedimError("row 3 is wrong") from error

    with pytest.raises(MedimError) as caught, wordless_causes():
        planted()
    text = portable_traceback(caught.value)
    assert "Jane" not in text
    assert "ValueError" in text
    assert "row 3 is wrong" in text


@pytest.mark.parametrize(
    ("error", "around"),
    [
        (FileNotFoundError(2, "Failed to open '/share/Jane Doe'", "/share/Jane Doe"), True),
        (OSError(5, "Input/output error", "/share/Jane Doe"), True),
        (OSError("Jane Doe is truncated"), False),
        (MemoryError("Jane Doe"), True),
        (UnicodeDecodeError("utf-8", b"Jane Doe", 0, 1, "Jane Doe"), False),
        (KeyError("Jane Doe"), False),
        (ConnectionResetError("Jane Doe"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_without_its_words_is_still_of_its_kind(error, around):
    bare = wordless(error)
    assert type(bare) is type(error)
    assert is_environment(bare) is around
    assert "Jane" not in repr(bare) + str(bare)
    failed = InputError("row 3 cannot be read")
    failed.__cause__ = error
    assert is_environment(wordless(failed)) is around
    assert "Jane" not in portable_traceback(failed)
