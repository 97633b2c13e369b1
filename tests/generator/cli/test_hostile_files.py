"""A sample of the hostile files of `benchmarks.fuzz`: whatever a file holds, a command ends with one plain message."""

from __future__ import annotations

import itertools

import pytest

from benchmarks import fuzz, fuzz_checkpoints, fuzz_jobs, fuzz_tables
from medim_forge.generator.errors import SpecError

SEED = 3


@pytest.mark.parametrize("kind", ["bytes", "tokens", "values", "leaves", "no_file"])
def test_hostile_job_files_are_planned_or_refused_in_plain_words(kind):
    found = fuzz.tallied(fuzz_jobs.cases, SEED, 60, 1.0, kind)[kind]
    assert found.outcomes["traceback"] == found.outcomes["unclear"] == 0, found.trouble
    assert found.outcomes["refused"] > 10
    assert kind == "no_file" or found.outcomes["done"] > 0


@pytest.mark.parametrize("kind", ["config", "card", "tokenizer", "familiarity", "weights", "files"])
def test_hostile_checkpoints_are_loaded_or_refused_in_plain_words(kind):
    found = fuzz.tallied(fuzz_checkpoints.cases, SEED, 6, 1.0, kind)[kind]
    assert found.outcomes["traceback"] == found.outcomes["unclear"] == 0, found.trouble
    assert kind == "card" or found.outcomes["refused"] > 0


@pytest.mark.parametrize("kind", ["bytes", "types", "columns", "counts"])
def test_hostile_tables_are_planned_and_read_or_refused_in_plain_words(kind):
    found = fuzz.tallied(fuzz_tables.cases, SEED, 10, 1.0, kind)[kind]
    assert found.outcomes["traceback"] == found.outcomes["unclear"] == 0, found.trouble
    assert found.outcomes["refused"] > 0
    assert found.outcomes["done"] > 0


def test_the_judge_notices_tracebacks_and_words_of_libraries():
    def raising(error):
        def run():
            raise error

        return run

    errors = [
        ValueError("anything"),
        SpecError("a.yaml: Input should be a valid tuple."),
        SpecError("a.yaml: [Errno 2] is there."),
        SpecError(f"a.yaml: {'x' * 5000}."),
        SpecError("a.yaml: \x1b[31m is red."),
        SpecError("b.yaml: is of another name."),
        SpecError("a.yaml: no end"),
        SpecError("a.yaml:3: pairs is missing; add it."),
    ]
    tally = fuzz.Tally()
    for number, error in enumerate(errors):
        fuzz.judge(fuzz_jobs.Case(kind="made", number=number, run=raising(error), names=("a.yaml",)), tally)
    assert tally.outcomes == {"traceback": 1, "unclear": 6, "refused": 1}


def test_a_case_is_the_same_whenever_it_is_made(tmp_path, monkeypatch):
    contents = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        made = fuzz_jobs.cases(folder, SEED, 5, "tokens")
        contents.append([(folder / "tokens.yaml").read_bytes() for _ in itertools.islice(made, 5)])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) > 1
