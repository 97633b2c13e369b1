"""A validator that is missing may be skipped by people, never by CI; the script installs what it may."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.dicom_tools import PACKAGES, need

# What the script itself needs of a system.
TOOLS = ("bash", "chmod", "env", "rm", "sort", "tail", "tee", "touch", "tr", "true")


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), (None, pytest.skip.Exception)])
def test_a_missing_program_fails_in_ci_and_is_skipped_elsewhere(monkeypatch, ci, outcome):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=r"dciodvfy, Orthanc not found; install the Debian packages dicom3tools orthanc"):
        need("dciodvfy", "Orthanc")


@pytest.fixture
def system(tmp_path) -> Path:
    """The only folder of PATH: what a system without validators has, whose user is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    add(folder, "id", "echo 0")
    return folder


def add(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def install(system, tmp_path, repository) -> Callable[..., tuple[int, str]]:
    """Runs the script on that system; its exit code and what it said."""

    def run(*options: str) -> tuple[int, str]:
        environment = {"PATH": str(system), "POLICY_RC_D": str(tmp_path / "policy-rc.d"), "LOG": str(tmp_path / "log")}
        command = [str(system / "bash"), ".ci/packages", *options]
        done = subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    return run


# An apt-get that writes down what it is asked for, and whether services may start meanwhile.
APT = 'echo "$@" >>"$LOG"; case $1 in install) "$POLICY_RC_D" || echo "policy $?" >>"$LOG";; esac'


def test_what_is_missing_is_installed_and_no_service_starts(install, system, tmp_path):
    path = f'"{system}/$name"'
    programs = f"for name in dciodvfy storescu dsr2html Orthanc; do touch {path}; chmod +x {path}; done"
    add(system, "apt-get", f"{APT}; case $1 in install) {programs};; esac")
    _, said = install()
    packages = "dicom3tools dcmtk orthanc orthanc-dicomweb"
    assert said.startswith(f"installing {packages}, once")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["update -qq", f"install -y -qq --no-install-recommends {packages}", "policy 101"]
    assert not (tmp_path / "policy-rc.d").exists()
    # Only the plugin is no program: its file counts.
    (tmp_path / "log").unlink()
    install()
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so").exists()
    assert plugin != (tmp_path / "log").exists()


def test_a_policy_that_an_image_has_is_kept(install, system, tmp_path):
    add(system, "apt-get", APT)
    (tmp_path / "policy-rc.d").write_text("#!/bin/sh\nexit 104\n")
    (tmp_path / "policy-rc.d").chmod(0o755)
    install()
    assert "policy 104" in (tmp_path / "log").read_text()
    assert (tmp_path / "policy-rc.d").exists()


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "there is no apt-get here"),
        ({"id": "echo 1000", "apt-get": APT, "sudo": "exit 1"}, "that needs root or a sudo that asks for no password"),
        ({"id": "echo 1000", "apt-get": APT}, "that needs root or a sudo that asks for no password"),
        ({"apt-get": "echo first; echo E: Unable to locate package; exit 100"}, "apt-get: E: Unable to locate package"),
    ],
)
def test_what_cannot_be_installed_is_said_in_one_line_and_is_an_error_where_all_must_be_there(
    install, system, tmp_path, repository, programs, why
):
    for name, script in programs.items():
        add(system, name, script)
    code, said = install()
    line = said.splitlines()[-1]
    assert code == 0
    assert len(said.splitlines()) <= 2
    assert line.startswith(f"not installed: dicom3tools dcmtk orthanc orthanc-dicomweb ({why}); skipped for that: ")
    assert all((repository / name).exists() for name in re.findall(r"tests/\S+\.py", line))
    assert install("--strict") == (1, said)
    assert not (tmp_path / "policy-rc.d").exists()


def test_sudo_is_used_where_it_asks_for_no_password(install, system, tmp_path):
    add(system, "id", "echo 1000")
    add(system, "sudo", 'shift; exec "$@"')
    add(system, "apt-get", APT)
    install()
    assert "policy 101" in (tmp_path / "log").read_text()


def test_every_program_has_a_package_that_the_script_installs_and_every_test_that_needs_one_is_named(repository):
    script = (repository / ".ci" / "packages").read_text()
    for packages in PACKAGES.values():
        assert all(package in script for package in packages.split())
    tests = repository / "tests"
    users = [path for path in tests.rglob("test_*.py") if "tests.doubles.dicom_tools import" in path.read_text()]
    assert users
    for path in users:
        if path != Path(__file__):
            assert path.relative_to(tests / "generator").as_posix() in script


@pytest.mark.parametrize(("file", "line"), [("Makefile", "\t@.ci/packages\n"), (".ci/run", ".ci/packages --strict\n")])
def test_make_test_and_ci_call_the_script(repository, file, line):
    assert line in (repository / file).read_text()
