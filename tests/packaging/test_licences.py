"""docs/licences.md is what the locks and the metadata of the packages say, and no licence is there unseen."""

from __future__ import annotations

import re
from email.message import Message
from importlib.metadata import PackageNotFoundError, PackagePath, distribution

import pytest

from locks.licences import NOTES, licence_of, locked, unexplained

ROW = re.compile(r"^\| (\S+) \| (\S+) \| (run|test|dev|torch) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows(repository):
    text = (repository / "docs" / "licences.md").read_text(encoding="utf-8")
    return {name: (version, tier, licence) for name, version, tier, licence in ROW.findall(text)}


def test_every_package_of_the_locks_has_its_row_and_nothing_else_has(rows):
    assert {name: row[:2] for name, row in rows.items()} == locked()
    assert "none named" not in {licence for _, _, licence in rows.values()}


def test_every_row_says_what_the_package_itself_says_and_nothing_is_unexplained(rows):
    asked = 0
    for name, (_, _, licence) in rows.items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        asked += 1
        assert licence_of(found) == licence, name
        assert list(unexplained(found)) == []
    assert asked > 100


def test_every_note_is_about_a_package_of_the_locks_and_on_the_page(repository):
    page = (repository / "docs" / "licences.md").read_text(encoding="utf-8")
    assert set(NOTES) <= set(locked())
    assert all(f"- **{name}**: {note}\n" in page for name, note in NOTES.items())


class Made:
    """A distribution with this metadata and, if any, one licence file."""

    name = "demo"

    def __init__(self, fields, text=""):
        self.metadata = Message()
        for field, value in fields:
            self.metadata[field] = value
        self.files = [MadeFile("demo-1.0.dist-info/licenses/LICENSE.txt")]
        self.files[0].text = text


class MadeFile(PackagePath):
    def read_text(self, encoding="utf-8"):
        return self.text


OSI = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("License", "whatever")], "MIT OR Apache-2.0"),
        ([("License", "Apache License 2.0")], "Apache-2.0"),
        ([("License", "a whole text"), ("Classifier", OSI + "BSD License")], "BSD"),
        (
            [("License", "Dual"), ("Classifier", OSI + "BSD License"), ("Classifier", OSI + "MIT License")],
            "BSD AND MIT",
        ),
        ([], "none named"),
    ],
)
def test_a_licence_is_read_from_whichever_field_names_it(fields, licence):
    assert licence_of(Made(fields)) == licence


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([("License-Expression", "AGPL-3.0-only")], ""),
        ([("License", "GPLv3"), ("Classifier", OSI + "GNU General Public License v3 (GPLv3)")], ""),
        ([("License-Expression", "MIT AND LGPL-2.1-or-later")], ""),
        ([], ""),
        ([("License-Expression", "MIT")], "Name: libfoo\nLicense: LGPL-2.1-or-later\n"),
    ],
    ids=["AGPL", "GPL by classifier", "LGPL in part", "none", "LGPL in a bundled library"],
)
def test_a_licence_that_nobody_has_looked_at_is_noticed(fields, text):
    assert list(unexplained(Made([("License-Expression", "MIT")], "MIT"))) == []
    (fault,) = unexplained(Made(fields, text))
    assert "explain it in NOTES" in fault
