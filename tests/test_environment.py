"""The environment: every dependency is pinned exactly, and what is installed is what is pinned."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s#]+)", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;]", name)[0]).lower()


@pytest.fixture(scope="session")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def pins(repository):
    return {canonical(name): pinned for name, pinned in PIN.findall((repository / "constraints.txt").read_text())}


def test_every_direct_dependency_is_pinned_and_nothing_else_is(project, pins):
    extras = project["optional-dependencies"]
    wanted = {canonical(one) for one in [*project["dependencies"], *extras["test"], *extras["dev"]]} - {"medim-forge"}
    assert wanted == set(pins)


def test_every_runtime_and_test_dependency_is_installed_as_pinned(project, pins):
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        name = canonical(requirement)
        assert version(name).partition("+")[0] == pins[name], name


def test_every_pin_meets_the_lower_bound(project, pins):
    from packaging.requirements import Requirement

    for requirement in map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["test"]]):
        assert requirement.specifier.contains(pins[canonical(requirement.name)]), str(requirement)


def test_no_gpl_codec_is_installed():
    with pytest.raises(PackageNotFoundError):
        version("pylibjpeg-libjpeg")
