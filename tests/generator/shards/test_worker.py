"""What a worker does with its replica: one shard generates while another is written, and nothing is computed twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import datasketch
import imagehash
import pytest

from medim_forge.generator.errors import ReplicaError
from medim_forge.generator.filters import build_judge
from medim_forge.generator.plan.plan import make_plan, plan_record
from medim_forge.generator.plan.stored import claim_dataset
from medim_forge.generator.records import Pair
from medim_forge.generator.shards.make import run_shard
from medim_forge.generator.shards.schedule import Order
from medim_forge.generator.shards.worker import Done, Parts, Worker, WorkerSetup
from medim_forge.generator.store.places import store_at
from medim_forge.generator.writers import build_writers, parquet
from tests.doubles.pairs import committed
from tests.doubles.toy_replica import PARTS, FaultyWriter, ShufflingToy, ToyReplica, toy_facts, toy_job

GENERATING: list[int] = []
MOST: list[int] = []
SECOND_GENERATES = threading.Event()
NEXT_WAITS = threading.Event()
WAITED: list[bool] = []


class CountingReplica(ToyReplica):
    """Notes how many shards generate at once."""

    def generate(self, shard):
        GENERATING.append(shard.index)
        MOST.append(len(GENERATING))
        if shard.index == 1:
            SECOND_GENERATES.set()
        made = super().generate(shard)
        GENERATING.remove(shard.index)
        return made


class PatientWriter(FaultyWriter):
    """Writes the first shard only when the second one is being generated."""

    def write(self, folder, shard, judged, quarantined):
        if shard.index == 0:
            WAITED.append(SECOND_GENERATES.wait(timeout=20))
        return super().write(folder, shard, judged, quarantined)


def load_counting(spec):
    return CountingReplica(spec)


def patient_writers(spec, facts):
    return [*build_writers(spec, facts), PatientWriter(spec)]


OVERLAPPING = Parts(
    facts=PARTS.facts,
    replica="tests.generator.shards.test_worker:load_counting",
    writers="tests.generator.shards.test_worker:patient_writers",
)


def setup(tmp_path: Path, parts: Parts, model_sha256: str | None = None, **compute: int) -> WorkerSetup:
    spec = toy_job(tmp_path, compute=compute)
    sha = model_sha256 or toy_facts(spec).model_sha256
    store = store_at(spec.output.dir)
    claim_dataset(store, spec, plan_record(make_plan(spec), model_sha256=sha, versions={}))
    return WorkerSetup(spec=spec, store=store, model_sha256=sha, parts=parts, directory=tmp_path)


def test_one_shard_generates_while_another_is_written(tmp_path):
    made = setup(tmp_path, OVERLAPPING)
    worker, plan = Worker(made), make_plan(made.spec)
    worker.start()
    with ThreadPoolExecutor(2) as threads:
        orders = [threads.submit(worker.make, plan.shard(index), Order(shard=index)) for index in range(2)]
        done = [order.result(timeout=60) for order in orders]
    assert WAITED == [True], "the first shard was written before the second one began to generate: nothing overlapped"
    assert max(MOST) == 1, "two shards generated at once on one replica"
    assert sorted(committed(made.store)) == [0, 1]
    for outcome in done:
        assert isinstance(outcome, Done)
        assert outcome.record is not None
        assert outcome.record.files == (), "the driver needs no list of files"


def test_a_replica_with_other_weights_than_the_plan_does_not_start(tmp_path):
    with pytest.raises(ReplicaError, match="a replica found weights"):
        Worker(setup(tmp_path, PARTS, model_sha256="0" * 64)).start()


def test_a_shard_keeps_its_turn_until_its_mismatched_pairs_are_scored(tmp_path):
    """Otherwise it would wait for all of the next shard's generation, and look as if it hung."""
    made = setup(tmp_path, PARTS, pairs_per_shard=4)
    order: list[str] = []

    class Shuffling(ToyReplica):
        def generate(self, shard):
            order.append(f"generate {shard.index}")
            if shard.index == 0:
                NEXT_WAITS.wait(timeout=20)
            return super().generate(shard)

        def shuffled(self, pairs, others):
            order.append(f"shuffle {pairs[0].request.pair_index // 4}")
            return [0.0] * len(pairs)

    NEXT_WAITS.clear()
    replica, plan, turn = Shuffling(made.spec), make_plan(made.spec), threading.Lock()
    judge, folders = build_judge(made.spec), [tmp_path / str(index) for index in range(2)]
    for folder in folders:
        folder.mkdir()

    def run(index: int) -> None:
        if index == 1:
            NEXT_WAITS.set()
        run_shard(plan.shard(index), made.spec, replica, judge, [], folders[index], turn=turn)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(run, 0)
        while not order:
            time.sleep(0.01)
        second = threads.submit(run, 1)
        first.result(timeout=60)
        second.result(timeout=60)
    assert order == ["generate 0", "shuffle 0", "generate 1", "shuffle 1"]


def test_hashes_and_png_are_computed_once_per_pair(tmp_path, monkeypatch):
    """Judge, comparison, Parquet and DICOM use the same values."""
    calls: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counting(*args, **kwargs):
            calls[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    count(imagehash, "phash")
    count(datasketch, "MinHash")
    count(parquet, "encode_png")
    hash_pixels = Pair.pixels_sha256.func
    once = cached_property(lambda pair: calls.update(["pixels"]) or hash_pixels(pair))
    once.__set_name__(Pair, "pixels_sha256")
    monkeypatch.setattr(Pair, "pixels_sha256", once)
    spec = toy_job(tmp_path, compute={"pairs_per_shard": 4}, output={"dir": str(tmp_path / "out"), "dicom": {}})
    shard, replica = make_plan(spec).shard(0), ShufflingToy(spec)
    record = run_shard(shard, spec, replica, build_judge(spec), build_writers(spec, replica.facts), tmp_path)
    assert record.counts.kept == 4
    assert len(record.files) == 2 + 2 * record.counts.kept
    assert calls == {"phash": 4, "MinHash": 4, "encode_png": 4, "pixels": 4}
