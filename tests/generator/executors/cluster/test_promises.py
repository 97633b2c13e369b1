"""The promises with the real replica, on a real Ray that all tests here share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import to_yaml
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint
from tests.doubles.tiny_jobs import FAULTY, run_here, tiny_job
from tests.doubles.toy_replica import content_of, set_faults

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


def test_two_replicas_on_ray_give_the_bytes_of_a_local_run(job, tmp_path, on_ray, truth):
    result = on_ray(job(replicas=2))
    assert result.made == 6
    assert content_of(tmp_path / "out") == truth
    assert sum(name.endswith(".dcm") for name in truth) == 24
    assert sorted(pair_indices(tmp_path / "out")) == list(range(12))


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
