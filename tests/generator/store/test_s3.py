"""Commits, reads and errors of an object store, against a real S3 server behind a relay that can fail."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.errors import OutageError, StoreError
from medim_forge.generator.plan.stored import claim_dataset, read_plan, read_spec
from medim_forge.generator.records import Counts, FileRecord, ShardRecord
from medim_forge.generator.store import s3_client as object_client
from medim_forge.generator.store import s3_file as object_file
from medim_forge.generator.store.documents import sealed_text, unsealed
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.s3 import ObjectStore
from medim_forge.generator.store.s3_file import ObjectFile
from tests.doubles.object_server import BUCKET, keys_below, s3_server
from tests.doubles.pairs import committed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

PLAN = {"model_sha256": "aa" * 32, "pairs": 8, "versions": {"torch": "2.13"}}


@pytest.fixture
def store(url) -> ObjectStore:
    made = store_at(url)
    assert isinstance(made, ObjectStore)
    return made


def record(index: int = 42) -> ShardRecord:
    return ShardRecord(
        index=index,
        spec_sha256="11" * 32,
        model_sha256="22" * 32,
        counts=Counts(
            shards=1,
            pairs=2,
            kept=2,
            dropped=0,
            quarantined=0,
            rejects={},
        ),
        files=(FileRecord(path="pairs.parquet", size=5, sha256="44"),),
        run={"seconds": 1.5},
    )


def attempt(store: ObjectStore, index: int = 42, content: bytes = b"12345") -> Path:
    folder = store.new_attempt(index, 1)
    (folder / "pairs.parquet").write_bytes(content)
    (folder / "dicom" / "a").mkdir(parents=True)
    (folder / "dicom" / "a" / "image.dcm").write_bytes(b"dcm")
    return folder


def test_a_commit_shows_the_files_of_its_attempt_under_the_names_of_a_local_shard(store):
    folder = attempt(store)
    assert store.commit(folder, record())
    names = ["shards/000042/_shard.json", "shards/000042/dicom/a/image.dcm", "shards/000042/pairs.parquet"]
    assert store.files("shards") == names
    assert store.files("shards/000042/dicom/a") == names[1:2]
    assert store.read("shards/000042/pairs.parquet") == b"12345"
    assert committed(store)[42].files == record().files
    assert store.record(42).run == {"seconds": 1.5, "folder": folder.name}
    assert keys_below(str(store))[0] == f"shards/{folder.name}/dicom/a/image.dcm"


def upload(store: ObjectStore, folder: Path) -> None:
    """The files of an attempt that ended before its commit."""
    client = object_client.ObjectClient(str(store))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        client.put_file(f"shards/{folder.name}/{path.relative_to(folder).as_posix()}", path)


def test_files_without_a_record_are_seen_by_nobody(store):
    folder = attempt(store)
    upload(store, folder)
    assert committed(str(store)) == {}
    assert store.files("shards") == []
    with pytest.raises(StoreError, match="shard 42 is not committed"):
        store.read("shards/000042/pairs.parquet")


def test_the_first_commit_wins_and_nothing_is_left_of_a_zombie_that_comes_late(store):
    zombie, winner = attempt(store, content=b"later"), attempt(store)
    assert store.commit(winner, record())
    assert store.sweep(0) == []
    assert not store_at(str(store)).commit(zombie, record())
    assert store.read("shards/000042/pairs.parquet") == b"12345"
    assert not any(zombie.name in key for key in keys_below(str(store)))


def test_a_commit_whose_answer_is_lost_still_counts_as_its_own(store, relay):
    folder = attempt(store)
    relay.lose_answer_to = b"/shards/000042/_shard.json HTTP"
    assert store.commit(folder, record())
    assert relay.lost == 1
    assert store.record(42).run["folder"] == folder.name
    assert store.read("shards/000042/pairs.parquet") == b"12345"


def test_the_sweep_takes_lost_attempts_of_committed_shards_and_no_other(store):
    dead, waiting, winner = attempt(store), attempt(store, index=7), attempt(store)
    for folder in (dead, waiting):
        upload(store, folder)
    assert store.sweep(0) == []
    store.commit(winner, record())
    assert store.sweep(0) == [dead.name]
    left = {key.split("/")[1] for key in keys_below(str(store))}
    assert left == {"000042", winner.name, waiting.name}
    assert store.commit(waiting, record(7))


def test_a_shard_whose_files_were_deleted_is_named(store):
    folder = attempt(store)
    store.commit(folder, record())
    object_client.ObjectClient(str(store)).remove(keys_below(str(store), f"shards/{folder.name}"))
    with pytest.raises(StoreError, match=r"shards/000042: damaged since it was committed.*run again"):
        committed(store)


@pytest.mark.parametrize("content", [b"{", b"{}"])
def test_a_broken_record_is_named(store, content):
    store.commit(attempt(store), record())
    object_client.ObjectClient(str(store)).put("shards/000042/_shard.json", content)
    with pytest.raises(StoreError, match=r"shards/000042/_shard\.json: cannot be read.*run again"):
        committed(store)


def test_a_record_that_names_no_attempt_is_refused(store):
    store.commit(attempt(store), record())
    values = unsealed(store.read("shards/000042/_shard.json"))
    del values["run"]["folder"]
    object_client.ObjectClient(str(store)).put("shards/000042/_shard.json", sealed_text(values).encode())
    with pytest.raises(StoreError, match="was not written here"):
        committed(store)


def test_spec_and_plan_are_written_once_and_another_spec_is_refused(store, spec):
    claim_dataset(store, spec(), PLAN)
    claim_dataset(store_at(str(store)), spec(compute={"pairs_per_shard": 3, "replicas": 8}), PLAN)
    assert read_spec(store).model_dump() == spec().model_dump()
    assert read_plan(store) == PLAN
    with pytest.raises(StoreError, match=r"another spec.*seed: 7 -> 8"):
        claim_dataset(store, spec(seed=8), PLAN)
    with pytest.raises(StoreError, match="other weights"):
        claim_dataset(store, spec(), {**PLAN, "model_sha256": "bb" * 32})


def test_a_prefix_with_shards_of_unknown_origin_is_refused(store, spec):
    store.commit(attempt(store), record())
    with pytest.raises(StoreError, match=r"holds shards but no spec\.yaml"):
        claim_dataset(store, spec(), PLAN)


def test_a_store_that_ignores_conditional_puts_is_refused(store, spec, relay, monkeypatch):
    monkeypatch.setattr(relay, "replace", {b"If-None-Match: *": b"X-Not-A-Match: *"})
    with pytest.raises(StoreError, match=r"ignores conditional writes.*Use a store that knows them"):
        claim_dataset(store, spec(), PLAN)


def test_a_folder_is_replaced_without_leftovers(store):
    for names in (("a", "b"), ("b", "c")):
        made = store.new_attempt(0, 0) / "data"
        made.mkdir()
        for name in names:
            (made / name).write_text(f"{name} of {names}")
        store.replace_folder("data", made)
    assert store.files("data") == ["data/b", "data/c"]
    assert store.read("data/b") == b"b of ('b', 'c')"


def test_a_large_object_is_read_in_ranges_and_by_another_process_too(store, tmp_path, monkeypatch):
    table = pa.table({"number": list(range(50_000)), "text": [f"row {n}" for n in range(50_000)]})
    pq.write_table(table, tmp_path / "big.parquet", row_group_size=1000)
    object_client.ObjectClient(str(store)).put_file("big.parquet", tmp_path / "big.parquet")
    monkeypatch.setattr(object_file, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(object_file, "_AHEAD_BYTES", 5000)
    source = pickle.loads(pickle.dumps(store.handle("big.parquet")))  # noqa: S301 - our own
    assert isinstance(source, ObjectFile)
    assert pq.read_table(source).equals(table)
    assert pq.ParquetFile(source).read_row_group(3).equals(table.slice(3000, 1000))
    assert len(source._block) < (tmp_path / "big.parquet").stat().st_size / 2
    source.seek(0)
    assert source.readall() == (tmp_path / "big.parquet").read_bytes()


def test_many_records_come_in_order(store):
    for index in range(40):
        store.commit(attempt(store, index), record(index))
    assert list(committed(store)) == list(range(40))
    assert [record.index for record in store.records(range(39, -1, -1))] == list(range(39, -1, -1))


def test_an_outage_of_a_second_is_waited_for_and_said(store, relay, caplog):
    store.mark("a")
    relay.fail_until(lambda: caplog.records, 1.0)
    assert store.exists("a")
    met, over = [record.getMessage() for record in caplog.records]
    assert "no answer" in met
    assert "answers again after" in over


def test_an_outage_that_lasts_is_an_error_that_says_what_to_do(store, relay, monkeypatch):
    store.mark("a")
    monkeypatch.setattr(object_client, "OUTAGE_S", 1.0)
    relay.kill()
    with pytest.raises(OutageError, match=r"does not answer, tried for 1 s.*AWS_ENDPOINT_URL"):
        store.exists("a")
    relay.start()
    assert store.exists("a")


def test_an_endpoint_that_never_answered_is_given_up_sooner(store, spec, monkeypatch):
    monkeypatch.setattr(object_client, "FIRST_CONTACT_S", 0.5)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OutageError, match=r"does not answer, tried for 0 s .*now http://127\.0\.0\.1:9"):
        claim_dataset(store, spec(), PLAN)


def test_a_missing_bucket_is_named(relay, spec):
    with pytest.raises(StoreError, match=r"there is no bucket nowhere-at-all at http.*Create it, or correct"):
        claim_dataset(store_at("s3://nowhere-at-all/x"), spec(), PLAN)


def test_missing_credentials_are_named(store, spec, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match=r"no credentials were found.*AWS_ACCESS_KEY_ID.*runtime_env"):
        claim_dataset(store, spec(), PLAN)


def test_refused_access_is_named_at_once(relay, spec, monkeypatch):
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="0") as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match=r"access is refused by http.*need s3:ListBucket on") as caught:
            claim_dataset(store_at(f"s3://{BUCKET}/x"), spec(), PLAN)
        with pytest.raises(StoreError, match="access is refused"):
            store_at(f"s3://{BUCKET}/x").exists("spec.yaml")
    assert not isinstance(caught.value, OutageError)
