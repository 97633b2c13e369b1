from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.store import scratch

HOLD = "from medim_forge.generator.store.scratch import scratch_folder; print(scratch_folder(), flush=True); input()"


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "_mine", {})
    yield
    scratch._leave()


def holder(repository: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder until its input ends, and the folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD], cwd=repository, env=dict(os.environ), **pipes)
    return process, Path(process.stdout.readline().strip())


def test_a_process_has_one_folder_that_others_cannot_look_into(tmp_path):
    folder = scratch.scratch_folder()
    assert folder == scratch.scratch_folder()
    assert folder.is_relative_to(tmp_path)
    assert folder.parent.stat().st_mode & 0o077 == 0


def test_what_a_killed_process_left_goes_with_the_next_and_a_live_one_keeps_its_own(repository):
    (killed, left), (alive, kept) = holder(repository), holder(repository)
    (left / "shard").mkdir()
    with killed, alive:
        killed.kill()
        killed.wait()
        assert left.exists()
        mine = scratch.scratch_folder()
        assert not left.exists()
        assert kept.exists()
        assert mine.exists()
        alive.communicate("\n")
    assert not kept.exists()


def test_a_temporary_directory_that_cannot_be_used_is_a_clear_error(tmp_path):
    (tmp_path / f"medim-scratch-{os.getuid()}").write_text("in the way")
    with pytest.raises(StoreError, match="set TMPDIR"):
        scratch.scratch_folder()
