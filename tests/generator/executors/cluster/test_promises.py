"""The promises with the real replica, on a real Ray that all tests here share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import to_yaml
from tests.doubles.pairs import committed
from tests.doubles.ray_driver import said_until_a_commit, start_driver
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint
from tests.doubles.tiny_jobs import FAULTY, run_here, tiny_job
from tests.doubles.toy_replica import content_of, fired, set_faults

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Ray leaves sockets and files for its own shutdown to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """One for all tests: its path is part of the spec, and so of the bytes. Faults are laid into it."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def truth(tmp_path_factory, checkpoint) -> dict[str, str]:
    """What the job makes undisturbed, in one process."""
    out = tmp_path_factory.mktemp("truth") / "out"
    run_here(tiny_job(out, checkpoint))
    return content_of(out)


@pytest.fixture
def job(tmp_path, checkpoint) -> Callable[..., GenerateSpec]:
    def make(**compute: int) -> GenerateSpec:
        spec = tiny_job(tmp_path / "out", checkpoint, compute=compute)
        set_faults(spec)
        return spec

    return make


@pytest.fixture
def on_ray(ray_address) -> Callable[[GenerateSpec], JobResult]:
    del ray_address
    return lambda spec: run_job(spec, local=False, on_event=lambda event: None, parts=FAULTY)


def pair_indices(out: Path) -> list[int]:
    """Of all rows of all shards."""
    files = sorted(out.glob("shards/*/*.parquet"))
    return [index for file in files for index in pq.read_table(file, columns=["pair_index"])["pair_index"].to_pylist()]


@pytest.mark.parametrize("replicas", [1, 2])
def test_one_replica_or_two_on_ray_give_the_bytes_of_a_local_run(job, tmp_path, on_ray, truth, replicas):
    result = on_ray(job(replicas=replicas))
    assert result.made == 6
    assert content_of(tmp_path / "out") == truth
    assert sum(name.endswith(".dcm") for name in truth) == 24


def test_an_actor_that_is_killed_mid_shard_changes_no_byte(job, tmp_path, on_ray, truth):
    spec = job(replicas=1)
    set_faults(spec, {"at": "generate", "do": "sleep", "seconds": 500, "pair": 5, "times": 1})
    killed: list[int] = []

    def kill() -> None:
        for _ in range(3000):
            if marks := list(Path(spec.model.checkpoint).glob("fired-0-0-*")):
                killed.append(int(marks[0].name.rsplit("-", 1)[1]))
                os.kill(killed[0], signal.SIGKILL)
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    killer.start()
    on_ray(spec)
    killer.join()
    assert len(killed) == fired(spec) == 1
    assert killed[0] != os.getpid()
    record = committed(tmp_path / "out")[2]
    assert int(record.run["attempt"]) >= 2
    assert "ReplicaDied" in str(record.run["failures"])
    assert content_of(tmp_path / "out") == truth
    assert sorted(pair_indices(tmp_path / "out")) == list(range(12))


def test_a_driver_that_is_killed_mid_run_loses_and_doubles_nothing(job, tmp_path, on_ray, truth, ray_address):
    spec = job(replicas=1)
    # The fourth shard never ends, so that the kill comes mid-run however slow this machine is.
    set_faults(spec, {"at": "generate", "do": "sleep", "seconds": 500, "pair": 7})
    token = os.environ["RAY_AUTH_TOKEN"]
    environment = {"RAY_ADDRESS": ray_address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    with start_driver("faulty", spec, tmp_path / "job.yaml", **environment) as process:
        said_until_a_commit(process)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    there = committed(tmp_path / "out")
    assert 1 <= len(there) <= 3, "the kill must come mid-run"
    stamps = {index: (tmp_path / f"out/shards/{index:06d}/_shard.json").stat().st_mtime_ns for index in there}
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    set_faults(spec)
    # One that was being written when its driver died may have been committed since.
    assert 3 <= on_ray(spec).made <= 6 - len(there)
    for index, stamp in stamps.items():
        assert (tmp_path / f"out/shards/{index:06d}/_shard.json").stat().st_mtime_ns == stamp
    assert content_of(tmp_path / "out") == truth
    assert sorted(pair_indices(tmp_path / "out")) == list(range(12))
    assert not (tmp_path / "out" / ".tmp").exists()
    assert verify(tmp_path / "out").problems == ()


def test_fewer_gpus_than_a_replica_needs_is_an_error_that_says_what_is_there(tmp_path, checkpoint, repository):
    path = tmp_path / "job.yaml"
    path.write_text(to_yaml(tiny_job(tmp_path / "out", checkpoint, compute={"gpus_per_replica": 1})))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "generator", "run", str(path)],
        cwd=repository,
        env={**inherited, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert "and 1 GPUs (compute.gpus_per_replica); available are" in done.stderr
    assert "CPUs and 0 GPUs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "_SUCCESS").exists()
