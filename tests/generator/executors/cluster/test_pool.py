"""The promises under faults, on a real Ray. One Ray serves all tests but the one of a private Ray."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.errors import QuarantineError, ReplicaError, ResourceError
from medim_forge.generator.events import JobEvent
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import load_spec
from tests.doubles.pairs import committed
from tests.doubles.ray_driver import said_until_a_commit, start_driver
from tests.doubles.toy_replica import PARTS, content_of, fired, set_faults, toy_job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # Ray leaves sockets and files for its own shutdown to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """One for all tests: its path is part of the spec, and so of the bytes."""
    return tmp_path_factory.mktemp("toy") / "checkpoint"


@pytest.fixture
def job(tmp_path, checkpoint) -> Callable[..., GenerateSpec]:
    """Makes the job of this test, which has no faults yet."""

    def make(**compute: Any) -> GenerateSpec:
        spec = toy_job(tmp_path, checkpoint, compute=compute)
        set_faults(spec)
        return spec

    return make


@pytest.fixture(scope="module")
def truth(tmp_path_factory, checkpoint) -> dict[str, str]:
    """What the job makes undisturbed, in one process."""
    folder = tmp_path_factory.mktemp("truth")
    run_job(toy_job(folder, checkpoint), local=True, on_event=lambda event: None, parts=PARTS)
    return content_of(folder / "out")


@pytest.fixture
def on_ray(ray_address) -> Callable[..., JobResult]:
    del ray_address

    def run(spec: GenerateSpec, on_event=lambda event: None) -> JobResult:
        return run_job(spec, local=False, on_event=on_event, parts=PARTS)

    return run


@pytest.mark.parametrize("replicas", [1, 2])
def test_one_replica_or_two_on_ray_give_the_bytes_of_a_local_run(job, tmp_path, on_ray, truth, replicas):
    on_ray(job(replicas=replicas))
    assert content_of(tmp_path / "out") == truth


def test_an_actor_killed_mid_shard_changes_no_byte(job, tmp_path, on_ray, truth):
    spec = job(replicas=2)
    set_faults(
        spec,
        {"at": "generate", "do": "die", "pair": 1, "times": 1},
        {"at": "write", "do": "die", "pair": 4, "times": 1},
    )
    on_ray(spec)
    assert fired(spec) == 2
    records = committed(tmp_path / "out")
    assert {index: record.run["attempt"] for index, record in records.items()} == {0: 2, 1: 1, 2: 2, 3: 1}
    assert content_of(tmp_path / "out") == truth


def test_a_hung_shard_meets_its_deadline_and_is_made_again(job, tmp_path, on_ray, truth):
    spec = job(shard_deadline_s=10.0, max_retries=3)
    set_faults(spec, {"at": "generate", "do": "hang", "pair": 2, "times": 1})
    events: list[JobEvent] = []
    on_ray(spec, events.append)
    assert fired(spec) == 1
    assert any("ShardHung" in event.message for event in events)
    assert "ShardHung" in str(committed(tmp_path / "out")[1].run["failures"])
    assert content_of(tmp_path / "out") == truth


def test_rows_that_kill_their_actor_or_raise_are_quarantined(job, tmp_path, on_ray, truth):
    spec = job(max_retries=0, replicas=2)
    deadly = [{"at": "generate", "do": "die", "pair": pair} for pair in (6, 7)]
    set_faults(spec, *deadly, {"at": "generate", "do": "raise", "pair": 3})
    events: list[JobEvent] = []
    with pytest.raises(QuarantineError, match="3 rows were quarantined"):
        on_ray(spec, events.append)
    # The whole shard once, each row alone twice; the first row stands before the second in the whole.
    assert len(list(Path(spec.model.checkpoint).glob("fired-[01]-*"))) == 5
    told = [event.message for event in events if event.kind == "failed"]
    assert sum("ReplicaDied" in message and "process has died" in message for message in told) == 5
    rows = [row for path in sorted(tmp_path.glob("out/shards/*/_rejected.parquet")) for row in read(path)]
    errors = {row["pair_index"]: row["error"] for row in rows if row["error"]}
    died = "ReplicaDied: the replica's process died"
    assert errors == {3: "ValueError: the toy cannot digest this: <object object at 0x0>", 6: died, 7: died}
    assert all(row["seed"] and row["prompt"] for row in rows)
    content = content_of(tmp_path / "out")
    healthy = [name for name in truth if name.startswith(("shards/000000", "shards/000002"))]
    assert {name: content[name] for name in healthy} == {name: truth[name] for name in healthy}
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_a_replica_that_cannot_start_stops_the_job_with_its_own_error(job, on_ray):
    spec = job()
    set_faults(spec, {"at": "load", "do": "raise"})
    with pytest.raises(ReplicaError, match="the replica cannot start: ValueError: the toy cannot digest this"):
        on_ray(spec)
    assert fired(spec) == 1


def test_replicas_that_die_while_starting_end_the_job_after_the_retries(job, on_ray):
    spec = job()
    set_faults(spec, {"at": "load", "do": "die"})
    with pytest.raises(ReplicaError, match="2 replicas in a row died while starting"):
        on_ray(spec)
    assert fired(spec) == 2


def test_fewer_resources_than_one_replica_needs_is_an_error_with_asked_and_available(job, on_ray):
    spec = job(threads_per_replica=64, placement_deadline_s=1.0)
    with pytest.raises(ResourceError, match=r"asks for 64 CPUs .*available are \d CPUs and 0 GPUs"):
        on_ray(spec)


def test_the_network_itself_makes_the_same_bytes_on_two_replicas_and_each_pair_alone(
    tmp_path, ray_address, repository, tiny_checkpoint
):
    del ray_address
    spec = load_spec(repository / "tests/jobs/tiny.yaml", out=str(tmp_path / "ray"))
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"checkpoint": str(tiny_checkpoint)})})
    run_job(spec, local=False, on_event=lambda event: None)
    here = spec.model_copy(update={"output": spec.output.model_copy(update={"dir": str(tmp_path / "local")})})
    run_job(here, local=True, on_event=lambda event: None)
    made = content_of(tmp_path / "ray")
    assert content_of(tmp_path / "local") == made
    assert sum(name.endswith(".dcm") for name in made) == 24
    rows = [row for path in sorted(tmp_path.glob("ray/shards/*/*.parquet")) for row in read(path)]
    assert len(rows) == 12
    # Alone, a row's neighbours in its batch are dummies: nothing of the pair may depend on them.
    for row in rows:
        assert len(reproduce(tmp_path / "ray", row["pair_id"]).files) == 2


def test_a_driver_killed_mid_run_loses_and_doubles_nothing(job, tmp_path, ray_address, on_ray, truth):
    spec = job()
    set_faults(spec, {"at": "generate", "do": "sleep", "seconds": 0.7})
    token = os.environ["RAY_AUTH_TOKEN"]
    environment = {"RAY_ADDRESS": ray_address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    process = start_driver("toy", spec, tmp_path / "job.yaml", **environment)
    said_until_a_commit(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    there = len(committed(tmp_path / "out"))
    assert 1 <= there < 4, "the kill must come mid-run"
    set_faults(spec)
    result = on_ray(spec)
    assert 1 <= result.made <= 4 - there
    assert content_of(tmp_path / "out") == truth
    assert not (tmp_path / "out" / ".tmp").exists()


def test_a_wrong_token_is_one_sentence(job, tmp_path, ray_address):
    wrong = {"RAY_ADDRESS": ray_address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "2" * 64}
    process = start_driver("toy", job(), tmp_path / "job.yaml", **wrong)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"RAY_ADDRESS = '{ray_address}': that Ray refuses the token of this process." in said
    assert "2" * 64 not in said
    assert "Traceback" not in said


def test_sigterm_drains_a_private_ray_and_leaves_nothing_behind(job, tmp_path, truth):
    spec = job()
    set_faults(spec, {"at": "generate", "do": "sleep", "seconds": 0.7})
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as scratch:
        home = tmp_path / "home"
        home.mkdir()
        process = start_driver("toy", spec, tmp_path / "job.yaml", TMPDIR=scratch, HOME=str(home))
        said = said_until_a_commit(process)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=120)
        assert process.returncode == 143, "".join(said) + rest
        assert "stopped on SIGTERM" in rest
        assert [path.name for path in Path(scratch).rglob("*") if path.is_file()] == ["lock"]
        assert len(list(Path(scratch).glob("medim-*/*"))) == 1, "the lock and no folder of a Ray"
        assert list(home.iterdir()) == [], "no token file may be left in the home folder"
    assert 1 <= len(committed(tmp_path / "out")) < 4, "the signal must come mid-run"
    set_faults(spec)
    run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)
    assert content_of(tmp_path / "out") == truth
