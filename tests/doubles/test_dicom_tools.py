"""A validator that is missing may be skipped by people, never by CI."""

from __future__ import annotations

import pytest

from tests.doubles.dicom_tools import PACKAGES, need


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), (None, pytest.skip.Exception)])
def test_a_missing_program_fails_in_ci_and_is_skipped_elsewhere(monkeypatch, ci, outcome):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=r"dciodvfy, Orthanc not found; install the Debian packages dicom3tools orthanc"):
        need("dciodvfy", "Orthanc")


def test_every_program_has_a_package_that_ci_installs(repository):
    script = (repository / ".ci" / "run").read_text()
    for packages in PACKAGES.values():
        assert all(package in script for package in packages.split())
