"""Tests stand where what they test stands, and share doubles instead of each other's functions."""

from __future__ import annotations

import ast

import pytest

PACKAGES = ("generator", "model")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_tests_is_a_room(repository, package):
    tests = repository / "tests" / package
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert folders
    assert [folder.as_posix() for folder in folders if not (repository / package / folder).is_dir()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_with_code_has_tests(repository, package):
    rooms = {path.parent for path in (repository / package).rglob("*.py") if path.name != "__init__.py"}
    untested = [
        room.relative_to(repository).as_posix()
        for room in rooms
        if not any((repository / "tests").glob(f"{room.relative_to(repository).as_posix()}/test_*.py"))
    ]
    assert untested == []


def test_no_test_imports_another(repository):
    for path in (repository / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert ".test_" not in (node.module or ""), f"{path}: put what tests share into tests/doubles"


def test_every_double_is_in_the_readme(repository):
    doubles = repository / "tests" / "doubles"
    text = (doubles / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in doubles.glob("*.py") if not path.name.startswith("test_")]
    assert [name for name in names if f"`{name}`" not in text] == []
