"""The DICOM programs that judge our objects, for the slow tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = {
    "dciodvfy": "dicom3tools",
    "dcmdump": "dcmtk",
    "dsr2html": "dcmtk",
    "dcmj2pnm": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmdjpls": "dcmtk",
    "storescu": "dcmtk",
    "Orthanc": "orthanc orthanc-dicomweb",
}


def need(*programs: str) -> None:
    """Every program is there; else the test is skipped, or fails in CI, whose script installs them."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        packages = sorted({PACKAGES[name] for name in missing})
        message = f"{', '.join(missing)} not found; install the Debian packages {' '.join(packages)}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def viewer() -> str:
    """The program of dcmtk that renders images: `dcm2img`, which was called `dcmj2pnm` before dcmtk 3.6.9."""
    if shutil.which("dcm2img") is not None:
        return "dcm2img"
    need("dcmj2pnm")
    return "dcmj2pnm"


def output(*command: str | Path) -> str:
    """What a program prints on both streams; the test fails when it fails."""
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def complaints(path: Path, iod: str) -> list[str]:
    """The errors and warnings of dciodvfy, without those about Synthetic Data, which it is too old to know."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    # Its exit code says little, and a validator that did not start would look content: it must name the object.
    assert iod in lines, lines
    return [line for line in lines if re.match("Error|Warning", line) and "(0008,001c)" not in line.lower()]
