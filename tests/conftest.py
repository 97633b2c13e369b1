"""What every test may use; fixtures of one room live beside its tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One profile for every property test: the same examples on every run, and none fails because the machine is busy.
settings.register_profile(
    "house", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", type=Path, default=ROOT / "tests" / "golden", help="folder of golden files for tests/parity"
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository root, so that no test depends on the working directory."""
    return ROOT


@pytest.fixture(scope="session")
def official_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder converted from tiny random weights in the official format; see `official_files.py`."""
    from tests.doubles.official_files import write_converted

    return write_converted(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with two random layers; see `tiny_checkpoint.py`."""
    from tests.doubles.tiny_checkpoint import write_tiny_checkpoint

    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")
