"""`locks/install` in an environment of its own, with wheels made here and no network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TAG = f"py{sys.version_info.major}{sys.version_info.minor}"


def write_wheel(folder, name, version, needs=()):
    """A wheel with one module; returns its sha256."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {one}\n" for one in needs
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class House:
    """A copy of the script beside locks of its own, an environment, and a folder of wheels instead of an index."""

    def __init__(self, folder, repository):
        self.wheels, self.locks, self.python = folder / "wheels", folder / "locks", folder / "venv" / "bin" / "python"
        (self.locks / TAG).mkdir(parents=True)
        self.wheels.mkdir()
        (self.locks / "install").write_bytes((repository / "locks" / "install").read_bytes())
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)

    def lock(self, tier, text):
        (self.locks / TAG / f"{tier}.txt").write_text(text)

    def install(self, *tiers):
        own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        command = ["bash", self.locks / "install", self.python, *tiers]
        return subprocess.run(command, env=os.environ | own, check=False, capture_output=True, text=True)

    def installed(self):
        done = subprocess.run(
            [self.python, "-m", "pip", "list", "--format", "freeze"], check=True, capture_output=True, text=True
        )
        names = done.stdout.replace("_", "-").split()
        return {one for one in names if not one.startswith(("pip=", "setuptools="))}


@pytest.fixture(scope="module")
def house(tmp_path_factory, repository):
    return House(tmp_path_factory.mktemp("house"), repository)


def test_only_wheels_with_the_hash_of_the_lock_are_installed(house):
    given = write_wheel(house.wheels, "first", "1.0")
    write_wheel(house.wheels, "torch", "2.0")
    house.lock("torch", "torch==2.0\n")

    house.lock("run", f"first==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    refused = house.install("run")
    assert refused.returncode != 0
    assert "0" * 64 in refused.stderr
    assert given in refused.stderr

    house.lock("run", "first==1.0\n")
    refused = house.install("run")
    assert refused.returncode != 0
    assert "hash" in refused.stderr
    assert house.installed() == set()

    house.lock("run", f"first==1.0 \\\n    --hash=sha256:{given}\n")
    done = house.install("run")
    assert done.returncode == 0, done.stderr
    assert house.installed() == {"first==1.0", "torch==2.0"}


def test_torch_brings_its_cuda_libraries_by_version_where_it_needs_them_and_nothing_that_no_lock_names(house):
    digest = write_wheel(house.wheels, "second", "1.0", needs=["unlocked"])
    house.lock("run", f"second==1.0 \\\n    --hash=sha256:{digest}\n")
    house.lock("torch", "nvidia-demo==3.0\ntorch==2.1\n")
    for version in ("3.0", "3.1"):
        write_wheel(house.wheels, "nvidia_demo", version)
    for name, version in (("unlocked", "1.0"), ("torch", "2.2")):
        write_wheel(house.wheels, name, version)

    write_wheel(house.wheels, "torch", "2.1+cpu", needs=["second"])
    done = house.install("run")
    assert done.returncode == 0, done.stderr
    there = house.installed()
    assert there >= {"second==1.0", "torch==2.1+cpu"}
    assert not [one for one in there if one.startswith(("nvidia", "unlocked"))]

    # A local version goes before another that comes earlier in the alphabet: pip takes this one of the two.
    write_wheel(house.wheels, "torch", "2.1+gpu", needs=["second", "nvidia-demo>=3"])
    subprocess.run([house.python, "-m", "pip", "uninstall", "--quiet", "--yes", "torch"], check=True)
    done = house.install("run")
    assert done.returncode == 0, done.stderr
    assert house.installed() - there == {"torch==2.1+gpu", "nvidia-demo==3.0"}

    write_wheel(house.wheels, "torch", "2.1+rocm", needs=["hip>=1"])
    subprocess.run([house.python, "-m", "pip", "uninstall", "--quiet", "--yes", "torch"], check=True)
    refused = house.install("run")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"this build of torch needs what {TAG}/torch.txt does not name")
    assert "torch 2.1+rocm requires hip" in refused.stderr


def test_a_package_without_a_wheel_is_refused_because_building_it_would_run_its_code(house):
    source = house.wheels / "built-1.0.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("built-1.0/setup.py", "raise SystemExit('ran')\n")
    house.lock("test", f"built==1.0 \\\n    --hash=sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}\n")
    refused = house.install("test")
    assert refused.returncode != 0
    assert "ran" not in refused.stdout + refused.stderr.replace("warning", "")
    assert "No matching distribution found for built==1.0" in refused.stderr


def test_a_python_or_tier_without_a_lock_is_named(house):
    refused = house.install("nothing")
    assert (refused.returncode, refused.stderr) == (2, "no tier called nothing; there are run, test and dev\n")
    (house.locks / TAG).rename(house.locks / "py20")
    try:
        refused = house.install("run")
    finally:
        (house.locks / "py20").rename(house.locks / TAG)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"no lock for Python {TAG[2]}.{TAG[3:]}, only py20/:")
