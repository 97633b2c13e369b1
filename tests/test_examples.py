"""The examples do what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_eight_pairs_are_made_and_shown(repository, tmp_path):
    command = [sys.executable, repository / "examples" / "eight_pairs.py", tmp_path / "out"]
    environment = {"PYTHONPATH": str(repository)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.count(" chest_xray ") == done.stdout.count(" pathology ") == 4
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
