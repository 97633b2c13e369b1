from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medim_forge.generator.audit.status import status
from medim_forge.generator.cli.text import status_text
from medim_forge.generator.errors import (
    DeviceMemoryError,
    DrainedError,
    QuarantineError,
    ReplicaError,
    ShardError,
    StoreError,
)
from medim_forge.generator.events import JobEvent
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.store.protocol import shard_folder
from tests.doubles.pairs import committed
from tests.doubles.toy_replica import PARTS, content_of, fired, set_faults, toy_job


def run(spec: GenerateSpec, on_event=lambda event: None) -> JobResult:
    return run_job(spec, local=True, on_event=on_event, parts=PARTS)


def quarantined(out: Path) -> dict[int, str]:
    rows = [row for path in sorted(out.glob("shards/*/_rejected.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["pair_index"]: row["error"] for row in rows if row["error"]}


@pytest.fixture
def spec(tmp_path) -> GenerateSpec:
    return toy_job(tmp_path)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def test_a_job_leaves_a_complete_dataset(spec, out):
    events: list[JobEvent] = []
    result = run(spec, events.append)
    assert (result.counts.shards, result.made, result.counts.pairs, result.counts.quarantined) == (4, 4, 8, 0)
    assert result.counts.kept + result.counts.dropped == 8
    assert result.counts.dropped > 0, "the toy's agreement must drop some, or the reject path is not seen"
    assert (out / "_SUCCESS").exists()
    assert not (out / ".tmp").exists()
    kinds = [event.kind for event in events]
    assert kinds == ["opened", *["committed"] * 4, "finalising"]
    assert [event.done.pairs for event in events] == [0, 2, 4, 6, 8, 8]
    assert events[-1].planned.pairs == 8
    assert status_text(status(out)).count("finished") == 1


def test_the_same_spec_twice_gives_the_same_bytes(tmp_path):
    first_job = toy_job(tmp_path / "one")
    second_job = toy_job(tmp_path / "one", output={"dir": str(tmp_path / "two"), "dicom": {}})
    run(first_job.model_copy(update={"output": second_job.output.model_copy(update={"dir": first_job.output.dir})}))
    run(second_job)
    first, second = content_of(Path(first_job.output.dir)), content_of(tmp_path / "two")
    assert first == second
    assert sum(name.endswith(".dcm") for name in first) >= 8


def test_a_rerun_makes_only_what_is_missing_and_ends_with_the_same_bytes(spec, out):
    run(spec)
    before = content_of(out)
    untouched = (shard_folder(out, 0) / "_shard.json").stat().st_mtime_ns
    shutil.rmtree(shard_folder(out, 2))
    result = run(spec)
    assert result.made == 1
    assert content_of(out) == before
    assert (shard_folder(out, 0) / "_shard.json").stat().st_mtime_ns == untouched


def test_a_rerun_of_a_finished_job_does_nothing(spec, out):
    run(spec)
    manifest = (out / "manifest.json").stat().st_mtime_ns
    set_faults(spec, {"at": "load", "do": "raise"})
    result = run(spec)
    assert result.made == 0
    assert fired(spec) == 0
    assert (out / "manifest.json").stat().st_mtime_ns == manifest


def test_a_job_killed_before_it_was_finalised_is_finalised_by_the_rerun(spec, out):
    run(spec)
    before = content_of(out)
    (out / "_SUCCESS").unlink()
    shutil.rmtree(out / "data")
    assert run(spec).made == 0
    assert content_of(out) == before


def test_sigterm_finishes_the_running_shard_and_a_rerun_continues_to_the_same_bytes(spec, out, tmp_path):
    def stop(event: JobEvent) -> None:
        if event.kind == "committed" and event.done.shards == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(DrainedError, match="2 shards left"):
        run(spec, stop)
    assert signal.getsignal(signal.SIGTERM) is before
    assert sorted(committed(out)) == [0, 1]
    assert not (out / "_SUCCESS").exists()
    run(spec)
    other = toy_job(tmp_path, output={"dir": str(tmp_path / "undisturbed"), "dicom": None})
    run(other)
    assert content_of(out) == content_of(tmp_path / "undisturbed")


def test_a_failing_row_is_quarantined_and_the_job_exits_with_its_budget(spec, out):
    set_faults(spec, {"at": "generate", "do": "raise", "pair": 3})
    with pytest.raises(QuarantineError, match=r"1 rows were quarantined, compute\.max_quarantined = 0.*in shards 1"):
        run(spec)
    assert fired(spec) >= 2
    assert quarantined(out) == {3: "ValueError: the toy cannot digest this: <object object at 0x0>"}
    assert (out / "data").exists()
    assert not (out / "_SUCCESS").exists()
    assert run(toy_job(out.parent, compute={"max_quarantined": 1})).counts.quarantined == 1
    assert (out / "_SUCCESS").exists()


def test_quarantined_rows_are_made_when_their_shard_is_deleted_and_the_cause_is_gone(spec, out, tmp_path):
    set_faults(spec, {"at": "generate", "do": "row", "pair": 3})
    with pytest.raises(QuarantineError):
        run(spec)
    set_faults(spec)
    shutil.rmtree(shard_folder(out, 1))
    run(spec)
    run(toy_job(tmp_path, output={"dir": str(tmp_path / "undisturbed"), "dicom": None}))
    assert content_of(out) == content_of(tmp_path / "undisturbed")


def test_a_shard_that_fails_as_a_whole_is_tried_again_on_a_fresh_replica(spec, out, tmp_path):
    set_faults(spec, {"at": "write", "do": "raise", "pair": 4, "times": 1})
    events: list[JobEvent] = []
    run(spec, events.append)
    assert fired(spec) == 1
    assert next(event.message for event in events if event.kind == "failed").startswith(
        "shard 2, attempt 1: ValueError"
    )
    assert committed(out)[2].run["attempt"] == 2
    assert "ValueError" in str(committed(out)[2].run["failures"])
    run(toy_job(tmp_path, output={"dir": str(tmp_path / "undisturbed"), "dicom": None}))
    assert content_of(out) == content_of(tmp_path / "undisturbed")


def test_a_row_that_cannot_be_written_for_no_stated_reason_is_found_and_quarantined(spec, out):
    set_faults(spec, {"at": "write", "do": "raise", "pair": 4})
    with pytest.raises(QuarantineError):
        run(spec)
    assert list(quarantined(out)) == [4]
    assert sum(record.counts.kept + record.counts.dropped for record in committed(out).values()) == 7


def test_a_job_in_which_nothing_works_ends_with_the_cause(spec, out):
    set_faults(spec, {"at": "generate", "do": "raise"})
    with pytest.raises(ShardError, match=r"without one good pair.*the toy cannot digest this"):
        run(spec)


def test_memory_that_stays_short_ends_the_job_without_quarantine(spec, out):
    set_faults(spec, {"at": "generate", "do": "memory", "pair": 2})
    with pytest.raises(DeviceMemoryError, match=r"sampling\.batch_size = 16"):
        run(spec)
    assert fired(spec) == 2
    assert sorted(committed(out)) == [0]


def test_a_replica_that_cannot_start_ends_the_job_early(spec, out):
    set_faults(spec, {"at": "load", "do": "raise"})
    with pytest.raises(ReplicaError, match="the replica cannot start: ValueError"):
        run(spec)
    assert fired(spec) == 1
    assert committed(out) == {}


def test_other_weights_on_an_old_folder_are_refused(spec, out):
    run(spec)
    (Path(spec.model.checkpoint) / "weights").write_text("other")
    with pytest.raises(StoreError, match=r"other weights.*model_sha256"):
        run(spec)


def test_a_changed_spec_on_an_old_folder_is_refused(spec, out):
    run(spec)
    with pytest.raises(StoreError, match=r"another spec.*seed: 11 -> 12"):
        run(toy_job(out.parent, seed=12))


def test_a_shard_of_another_job_in_the_folder_is_refused(spec, out, tmp_path):
    run(spec)
    other = toy_job(tmp_path, seed=12, output={"dir": str(tmp_path / "other"), "dicom": None})
    run(other)
    shutil.rmtree(shard_folder(out, 1))
    shutil.copytree(shard_folder(tmp_path / "other", 1), shard_folder(out, 1))
    with pytest.raises(StoreError, match="shard 1 was made from spec"):
        run(spec)


def test_status_counts_an_unfinished_job_from_its_folder(spec, out):
    run(spec)
    shutil.rmtree(shard_folder(out, 3))
    (out / "_SUCCESS").unlink()
    seen = status(out)
    assert (seen.done.shards, seen.planned.shards, seen.done.pairs, seen.planned.pairs) == (3, 4, 6, 8)
    assert not seen.finished
    assert "2 left" in status_text(seen)
    assert sum(seen.done.rejects.values()) >= seen.done.dropped


def test_status_of_a_folder_that_is_no_dataset_is_a_clear_error(tmp_path):
    with pytest.raises(StoreError, match=r"plan\.json: cannot be read"):
        status(tmp_path)
