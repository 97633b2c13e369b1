from __future__ import annotations

import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.store.documents import read_json, sealed_text, unsealed
from medim_forge.generator.store.local import LocalStore

VALUES = {"pairs": 120, "deep": {"é": [1, 2.5, None]}}


@pytest.mark.parametrize("values", [VALUES, {}])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_document_is_read_as_it_was_written(values, indent):
    assert unsealed(sealed_text(values, indent=indent).encode()) == values


def test_no_flipped_bit_of_a_document_goes_unnoticed():
    content = sealed_text(VALUES).encode()
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            with pytest.raises(ValueError, match=r"."):
                unsealed(bytes(damaged))


DAMAGE = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:40]), "no whole JSON"),
    "emptied": (lambda path: path.write_bytes(b""), "it is empty"),
    "another number": (lambda path: path.write_text(path.read_text().replace("120", "119")), "was changed since"),
    "a list": (lambda path: path.write_text("[1, 2]"), "holds list, not a mapping"),
    "without digest": (lambda path: path.write_text('{"pairs": 120}'), "does not end with its digest"),
    "too deep": (lambda path: path.write_text("[" * 100_000), "nested too deeply"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\xff{"), "it is no "),
    "missing": (lambda path: path.unlink(), "it is missing"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "it is a folder"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_document_is_named_with_its_mend(tmp_path, kind):
    damage, said = DAMAGE[kind]
    path = tmp_path / "plan.json"
    path.write_text(sealed_text(VALUES))
    assert read_json(LocalStore(tmp_path), "plan.json", "Put it back.") == VALUES
    damage(path)
    with pytest.raises(StoreError, match=rf"plan\.json: cannot be read \(.*{said}.*\)\. Put it back\."):
        read_json(LocalStore(tmp_path), "plan.json", "Put it back.")
