"""Holdings of people's own pairs, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.holdings import make


@pytest.fixture(scope="session")
def holdings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all holdings; it is read, never written."""
    return make(tmp_path_factory.mktemp("holdings"))


@pytest.fixture
def here(holdings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the working directory: relative paths start there."""
    monkeypatch.chdir(holdings)
    return holdings
