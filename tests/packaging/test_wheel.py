"""The wheel, as somebody has it who never saw the repository: one name, beside files called like our folders."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

import medim_forge
from medim_forge.generator.dataset import open_dataset
from tests.doubles.tiny_jobs import run_here, tiny_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("wheel")
    # Built from a copy of what git tracks, because setuptools leaves its own folders beside the sources.
    source = folder / "source"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=repository, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (repository / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((repository / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, source], check=True, capture_output=True, text=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `python` of an environment that has the wheel, and the libraries of this one without our checkout."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (site,) = (folder / "lib").glob("python3*/site-packages")
    # The folder alone: the .pth files in it, and with them an editable installation of ours, are not read.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture
def strange_folder(tmp_path):
    """A working directory whose files have the names of our folders."""
    for name in ("generator", "model", "jobs", "tests"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was imported')\n")
    return tmp_path


def run(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_brings_one_top_level_name_and_all_that_a_job_needs(wheel, repository):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"medim_forge"}
    for folder in ("generator", "model", "jobs"):
        wanted = {
            f"medim_forge/{path.relative_to(repository).as_posix()}"
            for path in (repository / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted <= set(names), sorted(wanted - set(names))
    assert "medim_forge/py.typed" in names


def test_a_job_runs_beside_files_with_our_names_and_makes_the_same_bytes(
    installed, strange_folder, tiny_checkpoint, tmp_path_factory
):
    here = tiny_job(tmp_path_factory.mktemp("here") / "out", tiny_checkpoint)
    run_here(here)
    job = strange_folder / "tiny.yaml"
    values = here.model_dump(mode="json", exclude_defaults=True)
    values["output"]["dir"] = "out"
    job.write_text(yaml.safe_dump({"kind": "generate", **values}))
    run([installed.parent / "medim", "run", job, "--local"], strange_folder)
    read = "from medim_forge.generator.dataset import open_dataset; print(len(list(open_dataset('out').rows())))"
    assert int(run([installed, "-c", read], strange_folder)) == len(list(open_dataset(here.output.dir).rows()))
    there = strange_folder / "out"
    for pattern in ("data/*.parquet", "shards/*/*.parquet", "shards/*/dicom/*/*.dcm"):
        made = sorted(path.relative_to(there) for path in there.glob(pattern))
        assert made, pattern
        for path in made:
            assert (there / path).read_bytes() == (Path(here.output.dir) / path).read_bytes(), path


def test_the_module_is_the_command_and_says_its_version(installed, strange_folder):
    version = medim_forge.__version__
    assert run([installed.parent / "medim", "--version"], strange_folder).split()[-1] == version
    assert run([installed, "-m", "medim_forge", "--version"], strange_folder).split()[-1] == version


def test_bundled_jobs_are_found_by_name(installed, strange_folder):
    planned = run([installed.parent / "medim", "plan", "quickstart"], strange_folder)
    assert re.search("^pairs +64$", planned, re.MULTILINE)
