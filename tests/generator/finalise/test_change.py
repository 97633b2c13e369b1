"""Commands on a whole dataset: one at a time, carried on after any kill, and nothing in between to be seen."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medim_forge.generator.audit.status import status
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli.text import status_text
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import StoreError
from medim_forge.generator.finalise.change import finish_pending, read_change, whole_dataset
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.finalise.rules import POLICY
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.store import PENDING, SUCCESS, store_at
from tests.doubles.kill_scenarios import OTHERS, SCENARIOS, SOME, Trial
from tests.doubles.kills import dying
from tests.doubles.toy_jobs import QUOTAS, run
from tests.doubles.toy_replica import PARTS, content_of, toy_job


@pytest.fixture
def job(tmp_path):
    """A finished dataset of the toy."""
    spec = toy_job(tmp_path, filters=SOME)
    run(spec)
    return spec


def other(spec):
    """The same job with other filters."""
    out = Path(spec.output.dir)
    return toy_job(out.parent, Path(spec.model.checkpoint), filters=OTHERS, output={"dir": str(out), "dicom": None})


def interrupted(spec, at: int = 14) -> Path:
    """The dataset, on which `medim refilter` was killed."""
    with dying(Path(spec.output.dir).parent, at) as death:
        refilter(spec.output.dir, other(spec))
    assert death.dead
    out = Path(spec.output.dir)
    assert (out / PENDING).exists()
    assert not (out / SUCCESS).exists()
    return out


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_command_that_was_killed_anywhere_is_finished_by_running_it_again(scenario, tmp_path):
    trial = Trial(scenario, tmp_path)
    # A few of all calls; benchmarks/kills.py takes every one.
    for at in random.Random(scenario.name).sample(range(1, trial.calls + 1), 2):  # noqa: S311 - a sample of a test
        trial.kill(at)
    found = trial.found
    assert found.killed >= 1
    assert (found.different, found.unfinished, found.unseen, found.left) == ([], [], [], [])


def test_two_commands_cannot_work_on_a_dataset_at_once(job):
    store = store_at(job.output.dir)
    with whole_dataset(store, "privacy"):
        program = (
            "from medim_forge.generator.finalise.change import whole_dataset\n"
            "from medim_forge.generator.store import store_at\n"
            f"with whole_dataset(store_at({job.output.dir!r}), 'refilter'): pass\n"
        )
        refused = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "StoreError" in refused.stderr
    assert "`medim privacy` on " in refused.stderr
    assert re.search(
        r"is at work on the whole dataset since \d{4}-\d\d-\d\d \d\d:\d\d UTC\. Wait until", refused.stderr
    )
    allowed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (allowed.returncode, allowed.stderr) == (0, "")


def test_between_kill_and_rerun_readers_refuse_and_status_says_why(job):
    out = interrupted(job)
    for look in (open_dataset, verify):
        with pytest.raises(StoreError, match=r"is at work or was interrupted \(_pending\.json\)"):
            look(out)
    assert status(out).pending == "refilter"
    assert "`medim refilter` is at work on data/, or was interrupted" in status_text(status(out))


def test_any_command_first_finishes_what_was_interrupted(job, tmp_path):
    out = interrupted(job)
    finish_pending(store_at(out), "privacy")
    assert (out / SUCCESS).exists()
    twin = toy_job(tmp_path / "twin", Path(job.model.checkpoint), filters=SOME)
    run(twin)
    refilter(twin.output.dir, other(twin))
    assert content_of(out) == content_of(Path(twin.output.dir))


def test_run_finishes_a_refilter_and_keeps_its_filters(job):
    out = interrupted(job)
    run(job)
    assert (out / SUCCESS).exists()
    assert status(out).refiltered


def test_a_lost_manifest_loses_no_filters(job):
    out = Path(job.output.dir)
    refilter(out, other(job))
    before = content_of(out)
    (out / "manifest.json").unlink()
    (out / SUCCESS).unlink()
    run(job)
    assert content_of(out) == before
    refilter(out, job)
    assert not (out / POLICY).exists()


@pytest.mark.parametrize("damage", [lambda text: text[:40], lambda text: text.replace("0.25", "0.35"), lambda _: "[]"])
def test_a_damaged_note_or_policy_is_named_with_the_way_out(job, damage):
    out = interrupted(job)
    for name in (PENDING, POLICY):
        path = out / name
        if name == POLICY:
            finish_pending(store_at(out), "run")
            (out / "manifest.json").unlink()
            (out / SUCCESS).unlink()
        text = path.read_text()
        path.write_text(damage(text))
        with pytest.raises(StoreError, match=rf"{name}: cannot be read .* (Delete it and run|Put it back, or)"):
            run(job)
        path.write_text(text)


FILES = ("data/train-00000-of-00001.parquet", "README.md", "contact_sheet.png", "manifest.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_dataset_that_lost_a_file_is_not_finished_and_run_makes_it_again(job, name, damage):
    out = Path(job.output.dir)
    before = content_of(out)
    damage(out / name)
    assert not status(out).finished
    assert name in status(out).lost
    assert "damaged: " in status_text(status(out))
    said = []
    run_job(job, local=True, on_event=said.append, parts=PARTS)
    assert any("are made again from the shards" in event.message for event in said)
    assert content_of(out) == before
    assert status(out).finished


def test_a_bit_that_flipped_in_a_shard_gets_into_no_data_and_names_the_shard(job):
    out = Path(job.output.dir)
    before = content_of(out)
    table = out / "shards" / "000001" / "pairs.parquet"
    whole = table.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2):
        table.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(StoreError, match=r"shards/000001/pairs\.parquet: was changed since it was committed"):
            refilter(out, other(job))
        assert (out / SUCCESS).exists()
        assert not (out / PENDING).exists()
    shutil.rmtree(table.parent)
    run(job)
    assert content_of(out) == before


def test_a_shard_that_was_lost_after_an_interrupted_refilter_is_remade_first(job, tmp_path):
    out = interrupted(job)
    shutil.rmtree(out / "shards" / "000001")
    run(job)
    twin = toy_job(tmp_path / "twin", Path(job.model.checkpoint), filters=SOME)
    run(twin)
    refilter(twin.output.dir, other(twin))
    assert content_of(out) == content_of(Path(twin.output.dir))


def test_a_lost_round_stops_every_command_on_the_whole_dataset(tmp_path):
    spec = toy_job(tmp_path, filters=SOME, balance=QUOTAS)
    run(spec)
    rounds = sorted((Path(spec.output.dir) / "rounds").iterdir())
    rounds[-1].unlink()
    with pytest.raises(StoreError, match=r"shards/0000\d\d is beyond the \d+ shards of plan\.json and rounds/"):
        refilter(spec.output.dir, toy_job(tmp_path, Path(spec.model.checkpoint), filters=OTHERS, balance=QUOTAS))


def test_the_note_holds_what_the_command_needs_and_nothing_of_where_it_ran(job):
    out = interrupted(job)
    note = json.loads((out / PENDING).read_text())
    assert note["command"] == "refilter"
    assert read_change(store_at(out)).policy == note["policy"]
    assert str(out) not in (out / PENDING).read_text()
