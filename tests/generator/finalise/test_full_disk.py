from __future__ import annotations

import contextlib

import pytest

from medim_forge.generator.finalise import view
from tests.doubles.full_disks import FileLimit, Found, Trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return Trial(tmp_path_factory.mktemp("full"))


@pytest.mark.slow
@pytest.mark.parametrize(("command", "kib"), [("generate", 4), ("refilter", 8)])
def test_a_disk_that_is_full_is_told_in_a_sentence_and_the_command_run_again_completes(trial, tmp_path, command, kib):
    """Some of all cases; `benchmarks/full_disk.py` has them all, on file systems of their own."""
    found = Found()
    trial.fill(command, FileLimit(tmp_path), kib, found)
    assert found == Found(cases=1, full=1)


@pytest.mark.slow
def test_a_full_disk_that_nobody_explains_would_be_noticed(trial, tmp_path, monkeypatch):
    """Control: without the explanation, the error of the system comes through."""
    monkeypatch.setattr(view, "writing", lambda out, only: contextlib.nullcontext())
    found = Found()
    trial.fill("refilter", FileLimit(tmp_path), 20, found)
    assert (len(found.tracebacks), found.different) == (1, [])
