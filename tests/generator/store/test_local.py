from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.plan.stored import claim_dataset, read_spec
from medim_forge.generator.records import Counts, FileRecord, ShardRecord
from medim_forge.generator.store.documents import unsealed
from medim_forge.generator.store.folder import differences
from medim_forge.generator.store.local import LocalStore
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.protocol import process_name, shard_folder
from tests.doubles.pairs import committed

PLAN = {"model_sha256": "aa" * 32, "pairs": 8, "versions": {"torch": "2.13"}}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def record(index: int = 42, attempt: int = 1) -> ShardRecord:
    return ShardRecord(
        index=index,
        spec_sha256="11" * 32,
        model_sha256="22" * 32,
        counts=Counts(
            shards=1,
            pairs=2,
            kept=1,
            dropped=1,
            quarantined=0,
            rejects={"report_form<0.5": 1},
        ),
        files=(
            FileRecord(path="dicom/a/image.dcm", size=3, sha256="33"),
            FileRecord(path="pairs.parquet", size=5, sha256="44"),
        ),
        run={"seconds": 1.5, "attempt": attempt},
    )


def attempt(out: Path, index: int = 42, number: int = 1, content: bytes = b"12345") -> Path:
    folder = LocalStore(out).new_attempt(index, number)
    (folder / "pairs.parquet").write_bytes(content)
    (folder / "dicom" / "a").mkdir(parents=True)
    (folder / "dicom" / "a" / "image.dcm").write_bytes(b"dcm")
    return folder


def test_a_commit_shows_the_whole_shard_under_its_number(out):
    assert LocalStore(out).commit(attempt(out), record())
    folder = out / "shards" / "000042"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["_shard.json", "dicom/a/image.dcm", "pairs.parquet"]
    assert LocalStore(out).record(42) == record()
    assert committed(out) == {42: record()}


def test_an_attempt_is_seen_by_nobody_before_its_commit(out):
    attempt(out)
    assert committed(out) == {}
    assert not (out / "shards").exists()


def test_the_first_commit_of_a_shard_wins_and_the_second_is_discarded(out):
    first, second = attempt(out, number=1), attempt(out, number=2, content=b"later")
    assert LocalStore(out).commit(first, record(attempt=1))
    assert not LocalStore(out).commit(second, record(attempt=2))
    assert (shard_folder(out, 42) / "pairs.parquet").read_bytes() == b"12345"
    assert LocalStore(out).record(42).run["attempt"] == 1
    assert not second.exists()


def test_two_attempts_of_one_shard_never_share_a_folder(out):
    assert LocalStore(out).new_attempt(1, 1) != LocalStore(out).new_attempt(1, 1)


def test_committed_shards_come_in_numeric_order_even_beyond_a_million(out):
    for index in (1_000_000, 7, 999_999):
        LocalStore(out).commit(attempt(out, index), record(index))
    assert list(committed(out)) == [7, 999_999, 1_000_000]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "pairs.parquet").write_bytes(b"123"), "pairs.parquet has 3 bytes, not 5"),
        (lambda folder: (folder / "pairs.parquet").unlink(), "pairs.parquet is missing"),
        (lambda folder: (folder / "_shard.json").write_text("{"), "_shard.json: cannot be read"),
        (lambda folder: (folder / "_shard.json").write_text("{}"), "_shard.json: cannot be read"),
        (lambda folder: (folder / "_shard.json").unlink(), "_shard.json: cannot be read"),
        (lambda folder: folder.rename(folder.with_name("000043")), "is of shard 42"),
    ],
)
def test_a_shard_damaged_after_its_commit_is_an_error_that_names_it(out, damage, message):
    LocalStore(out).commit(attempt(out), record())
    damage(shard_folder(out, 42))
    with pytest.raises(StoreError, match=message) as caught:
        committed(out)
    assert "shards/00004" in str(caught.value)
    assert "run again" in str(caught.value)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_sweep_removes_what_a_dead_process_of_this_host_left_and_nothing_else(out):
    mine = attempt(out, 1)
    dead = mine.rename(mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{dead_pid()}.")))
    alive = attempt(out, 2)
    assert LocalStore(out).sweep(deadline_s=0) == [dead.name]
    assert not dead.exists()
    assert (alive / "pairs.parquet").exists()


def test_a_later_process_of_the_same_number_hides_nothing(out):
    left = attempt(out, 1)
    start = process_name().split(".")[1]
    other = left.rename(left.with_name(left.name.replace(f".{start}.", ".1.")))
    assert LocalStore(out).sweep(deadline_s=0) == [other.name]


def test_an_attempt_of_another_host_lives_as_long_as_anything_in_it_changes(out):
    host = socket.gethostname().replace("-", "_")
    folder = attempt(out, 1)
    folder = folder.rename(folder.with_name(folder.name.replace(host, "elsewhere")))
    os.utime(folder, (1, 1))
    assert LocalStore(out).sweep(deadline_s=900) == []
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (1, 1))
    assert LocalStore(out).sweep(deadline_s=900) == [folder.name]


def test_the_sweep_keeps_young_attempts_of_other_hosts_and_removes_old_ones(out):
    host = socket.gethostname().replace("-", "_")
    young, old = attempt(out, 1), attempt(out, 2)
    young = young.rename(young.with_name(young.name.replace(host, "elsewhere")))
    old = old.rename(old.with_name(old.name.replace(host, "elsewhere")))
    for path in (*old.rglob("*"), old):
        os.utime(path, (1, 1))
    assert LocalStore(out).sweep(deadline_s=900) == [old.name]
    assert young.exists()


def test_tidying_leaves_an_attempt_that_somebody_writes(out):
    folder = attempt(out)
    LocalStore(out).tidy()
    assert folder.exists()
    LocalStore(out).commit(folder, record())
    LocalStore(out).tidy()
    assert not (out / ".tmp").exists()


def test_opening_a_new_folder_writes_spec_and_plan(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    assert read_spec(store_at(out)).model_dump() == spec().model_dump()
    assert unsealed((out / "plan.json").read_bytes()) == PLAN
    assert list((out / ".tmp").iterdir()) == []


def test_opening_it_again_changes_nothing_even_with_other_replicas_and_limits(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    before = (out / "spec.yaml").read_bytes()
    other = spec(compute={"pairs_per_shard": 3, "replicas": 8, "max_retries": 5, "max_quarantined": 9})
    claim_dataset(store_at(out), other, PLAN)
    assert (out / "spec.yaml").read_bytes() == before


def test_opening_after_a_kill_between_the_two_files_writes_the_second(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    (out / "plan.json").unlink()
    claim_dataset(store_at(out), spec(), PLAN)
    assert (out / "plan.json").exists()


def test_the_folder_of_another_spec_is_refused_naming_every_key_that_differs(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    other = spec(seed=8, sampling={"steps": 5})
    with pytest.raises(StoreError, match=r"another spec") as caught:
        claim_dataset(store_at(out), other, PLAN)
    assert "seed: 7 -> 8" in str(caught.value)
    assert "sampling.steps: 24 -> 5" in str(caught.value)
    assert "name" not in str(caught.value).split("different:")[1].split("Give")[0]


def test_the_folder_of_other_weights_is_refused_naming_both(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    with pytest.raises(StoreError, match=f"other weights.*model_sha256: '{'aa' * 32}' -> '{'bb' * 32}'"):
        claim_dataset(store_at(out), spec(), {**PLAN, "model_sha256": "bb" * 32})


def test_other_library_versions_are_refused_by_name(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    with pytest.raises(StoreError, match=r"versions.torch: '2.13' -> '2.14'"):
        claim_dataset(store_at(out), spec(), {**PLAN, "versions": {"torch": "2.14"}})


def test_a_folder_with_shards_of_unknown_origin_is_refused(out, spec):
    (out / "shards").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"no spec\.yaml"):
        claim_dataset(store_at(out), spec(), PLAN)


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path, spec):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written \(Not a directory.*--out"):
        claim_dataset(store_at(tmp_path / "file" / "out"), spec(), PLAN)


def test_a_broken_spec_in_the_folder_is_a_clear_error(out, spec):
    claim_dataset(store_at(out), spec(), PLAN)
    (out / "spec.yaml").write_text("kind: generate\nnope: 1\n")
    with pytest.raises(StoreError, match="nope"):
        claim_dataset(store_at(out), spec(), PLAN)


def test_a_commit_that_cannot_be_written_is_a_clear_error(out):
    folder = attempt(out)
    (out / "shards").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        LocalStore(out).commit(folder, record())


def test_differences_name_nested_keys_and_absent_ones():
    assert differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}) == [
        "a.c: 2 -> 4",
        "d: 3 -> None",
        "e: None -> 5",
    ]


def test_records_that_differ_in_run_alone_are_equal_without_it():
    assert replace(record(attempt=1), run={}) == replace(record(attempt=2), run={})
