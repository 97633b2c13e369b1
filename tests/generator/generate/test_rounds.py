"""Rounds and their files: the same bytes whatever happens to a job on its way, and errors that can be mended."""

import contextlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.audit.status import status
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli.text import status_text
from medim_forge.generator.errors import DrainedError, QuarantineError, StoreError, VerifyError
from medim_forge.generator.events import Progress
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.plan.rounds import round_text
from medim_forge.generator.plan.stored import stored_plan
from medim_forge.generator.selection.growth import Growth
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.protocol import SUCCESS
from tests.doubles.pairs import committed
from tests.doubles.toy_jobs import AGAIN, QUOTAS, rows_of, run
from tests.doubles.toy_replica import PARTS, content_of, set_faults, toy_job


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """The folder of a job with rounds, which no test may change."""
    folder = tmp_path_factory.mktemp("rounds")
    run(toy_job(folder, filters=AGAIN, balance={"budget": 80}))
    return folder


@pytest.fixture
def finished(made_once, tmp_path):
    """A job with rounds whose dataset lies there, finished; a test may change it."""
    shutil.copytree(made_once / "out", tmp_path / "out")
    return toy_job(tmp_path, made_once / "checkpoint", filters=AGAIN, balance={"budget": 80})


@pytest.mark.slow
def test_a_job_stopped_anywhere_makes_the_same_bytes_as_one_that_was_not(tmp_path):
    def job(name):
        folder = tmp_path / name
        return toy_job(folder, tmp_path / "weights", filters=AGAIN, balance=QUOTAS, compute={"max_retries": 0})

    whole = job("whole")
    run(whole)
    expected = content_of(Path(whole.output.dir))
    shards = len(committed(Path(whole.output.dir)))
    assert len(list(Path(whole.output.dir).glob("rounds/*.json"))) > 2
    spec, stops = job("stopped"), 0
    for stop in range(1, shards, 3):

        def interrupt(event, stop=stop):
            if event.kind == "committed" and event.done.shards >= stop:
                raise DrainedError("stopped")

        with pytest.raises(DrainedError):
            run_job(spec, local=True, on_event=interrupt, parts=PARTS)
        stops += 1
    run(spec)
    assert stops > 5
    assert content_of(Path(spec.output.dir)) == expected


def test_a_round_is_what_its_file_says_even_if_a_shard_before_it_was_lost_and_remade(finished):
    out = Path(finished.output.dir)
    expected = content_of(out)
    for index in (0, 5):
        shutil.rmtree(out / "shards" / f"{index:06d}")
    (out / SUCCESS).unlink()
    run(finished)
    assert content_of(out) == expected


def telling(growth, shards=0, pairs=0):
    growth.report_to(Progress(shards, pairs, lambda event: None))
    return growth


def test_a_round_that_another_driver_wrote_first_is_the_one_that_counts(finished):
    store = store_at(Path(finished.output.dir))
    shutil.rmtree(Path(finished.output.dir) / "rounds")
    growth = telling(Growth(store, make_plan(finished)))
    other = make_plan(finished).extended(np.asarray([7, 0], np.int64), 1)
    store.create("rounds/0001.json", round_text(other))
    assert list(growth.more()) == [4]
    assert growth.plan.rounds[0].repeats.tolist() == [7, 0]


def test_a_round_that_appears_while_the_shards_are_listed_is_read(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80})
    growth = Growth(store_at(Path(spec.output.dir)), make_plan(spec))
    assert not growth.holds(4)
    run(spec)
    assert growth.holds(4)


def test_a_pair_of_a_round_is_reproduced(finished):
    again = next(row for row in rows_of(finished) if row.repeats is not None)
    assert reproduce(finished.output.dir, again.pair_id, PARTS).pair_id == again.pair_id


def test_a_round_file_that_was_changed_is_noticed(finished):
    out = finished.output.dir
    path = Path(out) / "rounds" / "0001.json"
    (path.parent / ".0001.json.swp").write_text("of an editor")
    assert "finished" in status_text(status(out))
    (path.parent / ".0001.json.swp").unlink()
    text = path.read_text()
    path.write_text(text.replace('"repeats": [', '"repeats": [0, '))
    with pytest.raises(VerifyError, match=r"rounds/0001\.json: is not the file that was written"):
        verify(out)
    sha = f'"spec_sha256": "{finished.sha256}"'
    for old, new in (
        ('"first_shard": 4', '"first_shard": 5'),
        ("[", '["x", '),
        (sha, '"spec_sha256": "ab"'),
        ("{", ""),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(StoreError, match=r"rounds/0001\.json: .* Put the file back, or delete rounds/0001\.json"):
            stored_plan(store_at(out))


@pytest.mark.parametrize(
    ("lost", "said"), [(1, r"0001\.json: is missing"), (-1, "is beyond the .* shards of plan.json")]
)
def test_a_lost_round_file_is_mended_as_the_error_says(finished, lost, said):
    out = Path(finished.output.dir)
    expected, files = content_of(out), sorted(out.glob("rounds/*.json"))
    files[min(0, lost)].unlink()
    with pytest.raises(StoreError, match=said) as error:
        run(finished)
    first = int(re.search(r"shards from (\d+) on", str(error.value))[1])
    for path in files[1:] if lost > 0 else ():
        path.unlink()
    for folder in (out / "shards").iterdir():
        if int(folder.name) >= first:
            shutil.rmtree(folder)
    (out / SUCCESS).unlink()
    run(finished)
    assert content_of(out) == expected


@pytest.mark.slow
def test_no_round_follows_from_a_dataset_that_too_many_rows_are_missing_from(tmp_path):
    def job(name):
        made = {"filters": AGAIN, "balance": {"budget": 80}, "compute": {"max_retries": 0}}
        return toy_job(tmp_path / name, tmp_path / "weights", **made)

    whole, spec = job("whole"), job("broken")
    run(whole)
    set_faults(spec, {"at": "generate", "do": "row", "pair": 3})
    with pytest.raises(QuarantineError):
        run(spec)
    out = Path(spec.output.dir)
    assert len(committed(out)) == 4
    set_faults(spec)
    shutil.rmtree(out / "shards" / "000001")
    run(spec)
    assert content_of(out) == content_of(Path(whole.output.dir))


def test_a_job_that_was_stopped_between_a_round_and_its_shards_goes_on(made_once, tmp_path):
    whole = made_once / "out"
    spec = toy_job(tmp_path, made_once / "checkpoint", filters=AGAIN, balance={"budget": 80})
    number = 0

    def interrupt(event):
        if event.kind == "note" and event.message.startswith("round"):
            raise DrainedError("stopped")

    while not (Path(spec.output.dir) / SUCCESS).exists() and number < 50:
        number += 1
        with contextlib.suppress(DrainedError):
            run_job(spec, local=True, on_event=interrupt, parts=PARTS)
    assert number == len(list(whole.glob("rounds/*.json"))) + 1 > 2
    assert content_of(Path(spec.output.dir)) == content_of(whole)
