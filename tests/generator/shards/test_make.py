from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from medim_forge.generator.errors import DeviceMemoryError, RowError, ShardError, StoreError
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.records import FileRecord, Judged, Pair, Quarantined, Shard, ShardRecord, Verdict
from medim_forge.generator.shards.make import run_shard
from medim_forge.generator.shards.schedule import Failure, Order
from tests.doubles.toy_replica import ToyReplica, toy_job


class Ledger:
    """A writer that keeps what it was last given."""

    def __init__(self) -> None:
        self.judged: list[Judged] = []
        self.quarantined: list[Quarantined] = []

    def write(
        self, folder: Path, shard: Shard, judged: Sequence[Judged], quarantined: Sequence[Quarantined]
    ) -> list[FileRecord]:
        self.judged, self.quarantined = list(judged), list(quarantined)
        (folder / "ledger").write_text(f"{len(judged)} {len(quarantined)}")
        return [FileRecord(path="ledger", size=3, sha256="00")]

    @property
    def made(self) -> list[int]:
        return [item.pair.request.pair_index for item in self.judged]

    @property
    def bad(self) -> dict[int, str]:
        return {row.request.pair_index: row.error for row in self.quarantined}


class Failing(ToyReplica):
    """A toy that first calls `fault` with every request, which may raise."""

    def __init__(self, spec, fault) -> None:
        super().__init__(spec)
        self.fault = fault
        self.calls: list[list[int]] = []

    def generate(self, shard: Shard) -> list[Pair]:
        self.calls.append([request.pair_index for request in shard.requests])
        for request in shard.requests:
            self.fault(request)
        return super().generate(shard)


def keep(pair: Pair) -> Verdict:
    return Verdict(kept=True, reasons=(), scores={})


@pytest.fixture
def job(tmp_path):
    return toy_job(tmp_path, compute={"pairs_per_shard": 8})


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "attempt"
    path.mkdir()
    return path


@pytest.fixture
def run(job, folder):
    def go(replica=None, judge=keep, writers=None, order=None) -> tuple[ShardRecord, Ledger]:
        ledger = Ledger()
        shard = make_plan(job).shard(0)
        writers = [ledger] if writers is None else [*writers, ledger]
        return run_shard(shard, job, replica or ToyReplica(job), judge, writers, folder, order), ledger

    return go


def refuse(*indices, error=ValueError):
    def fault(request):
        if request.pair_index in indices:
            raise RowError(request.pair_id, "logits are NaN") if error is RowError else error("indigestible")

    return fault


def test_a_healthy_shard_is_made_in_order_and_counted(run):
    record, ledger = run()
    assert ledger.made == list(range(8))
    assert (record.counts.pairs, record.counts.kept, record.counts.dropped, record.counts.quarantined) == (8, 8, 0, 0)
    assert record.files == (FileRecord(path="ledger", size=3, sha256="00"),)
    assert record.run["attempt"] == 1
    assert record.run["device"] == "toy"


def test_dropped_pairs_are_counted_by_every_reason_in_sorted_order(run):
    def judge(pair):
        reasons = ("b<1", "a<1") if pair.request.pair_index < 3 else ()
        return Verdict(kept=not reasons, reasons=reasons, scores={})

    record, _ = run(judge=judge)
    assert (record.counts.kept, record.counts.dropped) == (5, 3)
    assert list(record.counts.rejects.items()) == [("a<1", 3), ("b<1", 3)]


def test_a_row_that_says_it_cannot_be_made_is_quarantined_and_the_rest_are_unchanged(run, job):
    _, whole = run()
    replica = Failing(job, refuse(3, 5, error=RowError))
    record, ledger = run(replica)
    assert ledger.made == [0, 1, 2, 4, 6, 7]
    assert sorted(ledger.bad) == [3, 5]
    assert ledger.bad[3].startswith("RowError: pair ")
    assert (record.counts.kept, record.counts.quarantined) == (6, 2)
    assert len(replica.calls) == 3
    by_index = {item.pair.request.pair_index: item.pair for item in whole.judged}
    assert all((item.pair.image == by_index[item.pair.request.pair_index].image).all() for item in ledger.judged)


def test_an_unexpected_exception_is_traced_to_its_row_by_halving(run, job):
    replica = Failing(job, refuse(6))
    _, ledger = run(replica)
    assert ledger.made == [0, 1, 2, 3, 4, 5, 7]
    assert ledger.bad == {6: "ValueError: indigestible"}
    assert replica.calls[:6] == [list(range(8)), [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [6, 7], [6]]


def test_several_failing_rows_of_both_kinds_are_all_found(run, job):
    breaking, refusing = refuse(0, 4), refuse(5, error=RowError)

    def fault(request):
        breaking(request)
        refusing(request)

    _, ledger = run(Failing(job, fault))
    assert ledger.made == [1, 2, 3, 6, 7]
    assert sorted(ledger.bad) == [0, 4, 5]


def test_an_exception_that_passes_costs_no_row(run, job):
    failures = iter([True])

    def fault(request):
        if next(failures, False):
            raise OSError("a glitch")

    record, ledger = run(Failing(job, fault))
    assert ledger.made == list(range(8))
    assert record.counts.quarantined == 0


def test_a_quarantined_row_keeps_prompt_seed_and_a_traceback_that_is_the_same_everywhere(run, job):
    def fault(request):
        if request.pair_index == 2:
            raise ValueError(f"cannot digest {object()}")

    _, ledger = run(Failing(job, fault))
    (row,) = ledger.quarantined
    assert row.request == make_plan(job).request(2)
    assert row.stage == "generate"
    assert row.error == "ValueError: cannot digest <object object at 0x0>"
    assert 'File "tests/generator/shards/test_make.py"' in row.traceback
    assert str(Path(__file__).parents[3]) not in row.traceback


def test_a_replica_that_can_make_nothing_is_to_blame_itself(run, job):
    with pytest.raises(ShardError, match=r"shard 0: not one pair could be made: ValueError: indigestible") as caught:
        run(Failing(job, refuse(*range(8))))
    assert "test_make.py" in caught.value.__notes__[0]


def test_rows_that_all_say_why_are_all_quarantined(run, job):
    record, ledger = run(Failing(job, refuse(*range(8), error=RowError)))
    assert ledger.made == []
    assert record.counts.quarantined == 8


def test_a_replica_that_breaks_for_good_at_one_row_blames_no_innocent_ones(run, job):
    calls = []

    def fault(request):
        # Row 5 is at fault; when it is met a second time the replica breaks for good, as a CUDA context does.
        calls.append(request.pair_index)
        if request.pair_index == 5 or calls.count(5) > 1:
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(ShardError, match=r"the replica broke on the way: RuntimeError: CUDA error"):
        run(Failing(job, fault))
    assert calls[-1] == 0, "the replica must be asked for a row that it has made"


def test_a_traceback_does_not_tell_how_the_row_was_searched(run, job):
    _, whole = run(Failing(job, refuse(6)))
    order = Order(shard=0, poisoned={make_plan(job).request(index).pair_id: Failure(kind="x") for index in range(6)})
    _, alone = run(Failing(job, refuse(6)), order=order)
    assert whole.quarantined[-1].traceback == alone.quarantined[-1].traceback
    assert "another exception" not in whole.quarantined[-1].traceback


@pytest.mark.parametrize("kind", [MemoryError, type("OutOfMemoryError", (RuntimeError,), {})])
def test_running_out_of_memory_names_the_batch_size_and_quarantines_nothing(run, job, kind):
    with pytest.raises(DeviceMemoryError, match=r"sampling\.batch_size = 16.*medim preview"):
        run(Failing(job, refuse(3, error=kind)))


def test_a_replica_that_returns_other_pairs_than_asked_is_an_error(run, job):
    class Forgetful(ToyReplica):
        def generate(self, shard):
            return super().generate(shard)[:-1]

    with pytest.raises(ShardError, match="one pair per request"):
        run(Forgetful(job))


def test_a_filter_that_raises_costs_its_row(run):
    def judge(pair):
        if pair.request.pair_index == 1:
            raise ZeroDivisionError("no tissue")
        return keep(pair)

    _, ledger = run(judge=judge)
    assert ledger.bad == {1: "ZeroDivisionError: no tissue"}
    assert ledger.quarantined[0].stage == "judge"
    assert 1 not in ledger.made


class Picky:
    """A writer that cannot write some pairs."""

    def __init__(self, *indices: int, error: Exception | None = None) -> None:
        self.indices = indices
        self.error = error

    def write(self, folder, shard, judged, quarantined):
        (folder / f"draft-of-{len(judged)}").touch()
        if self.error:
            raise self.error
        for item in judged:
            if item.pair.request.pair_index in self.indices:
                raise RowError(item.pair.pair_id, "pixels do not fit")
        return []


def test_a_row_that_cannot_be_written_is_quarantined_and_everything_written_again(run, folder):
    record, ledger = run(writers=[Picky(2, 6)])
    assert ledger.made == [0, 1, 3, 4, 5, 7]
    assert [row.stage for row in ledger.quarantined] == ["write", "write"]
    assert (record.counts.kept, record.counts.quarantined) == (6, 2)
    assert sorted(path.name for path in folder.iterdir()) == ["draft-of-6", "ledger"]


def test_a_full_disk_stops_the_job_and_says_so(run):
    with pytest.raises(StoreError, match=r"No space left on device.*what is committed stays"):
        run(writers=[Picky(error=OSError(errno.ENOSPC, "No space left on device"))])


def test_poisoned_rows_are_quarantined_unmade(run, job):
    replica = ToyReplica(job)
    row = make_plan(job).request(4).pair_id
    order = Order(shard=0, attempt=7, poisoned={row: Failure(kind="ReplicaDied", message="again", detail="pid 17")})
    failing = Failing(job, lambda request: None)
    record, ledger = run(failing, order=order)
    assert failing.calls == [[0, 1, 2, 3, 5, 6, 7]]
    assert ledger.bad == {4: "ReplicaDied: again"}
    assert "pid 17" not in repr(ledger.quarantined)
    assert record.run["attempt"] == 7
    assert replica.facts.model_sha256 == record.model_sha256


def test_rows_whose_input_cannot_be_read_are_quarantined_and_the_rest_go_on(run, job, monkeypatch):
    def load(spec, shard, planned=None):
        bad = Quarantined(
            request=shard.requests[0], error="InputError: <x at 0x7f00deadbeef>", traceback="t", stage="input"
        )
        return replace(shard, requests=shard.requests[1:]), [bad]

    monkeypatch.setattr("medim_forge.generator.shards.make.load_inputs", load)
    record, ledger = run()
    assert ledger.made == list(range(1, 8))
    assert ledger.bad == {0: "InputError: <x at 0x0>"}
    assert record.counts.quarantined == 1
