"""Rounds beyond the plan, on a real Ray: faults change no byte, and replicas stay loaded from round to round."""

from __future__ import annotations

from pathlib import Path

import pytest

from medim_forge.generator.finalise.manifest import read_manifest
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.store.places import store_at
from tests.doubles.pairs import committed
from tests.doubles.toy_replica import PARTS, content_of, fired, set_faults, toy_job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # Ray leaves sockets and files for its own shutdown to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FILTERS = [{"name": "agreement", "drop_below": 0.3, "action": "regenerate"}]
BALANCE = {"budget": 120, "quotas": [{"finding": "nodule", "kept": 4}, {"prompt": 1, "kept": 6}]}


def job(folder: Path, weights: Path, **compute: object) -> GenerateSpec:
    spec = toy_job(folder, weights, filters=FILTERS, balance=BALANCE, compute={"max_retries": 2, **compute})
    set_faults(spec)
    return spec


def run(spec: GenerateSpec, *, local: bool = False) -> JobResult:
    return run_job(spec, local=local, on_event=lambda event: None, parts=PARTS)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """One for all tests: its path is part of the spec, and so of the bytes."""
    return tmp_path_factory.mktemp("toy") / "weights"


@pytest.fixture(scope="module")
def truth(tmp_path_factory, weights) -> dict[str, str]:
    """What the job makes undisturbed, in one process."""
    folder = tmp_path_factory.mktemp("truth")
    run(job(folder, weights), local=True)
    return content_of(folder / "out")


def test_replicas_stay_loaded_from_round_to_round_and_make_the_bytes_of_a_local_run(
    tmp_path, weights, ray_address, truth
):
    spec = job(tmp_path, weights, replicas=2)
    set_faults(spec, {"at": "load", "do": "sleep", "seconds": 0})
    result = run(spec)
    assert result.rounds > 2
    assert fired(spec) == 2
    assert content_of(tmp_path / "out") == truth


def test_an_actor_that_dies_in_a_round_changes_no_byte(tmp_path, weights, ray_address, truth):
    spec = job(tmp_path, weights, replicas=2)
    first = 4  # of round 1, behind 8 planned pairs in shards of 2
    set_faults(spec, {"at": "generate", "do": "die", "pair": first * 2, "times": 1})
    run(spec)
    assert fired(spec) == 1
    assert content_of(tmp_path / "out") == truth
    assert committed(tmp_path / "out")[first].run["attempt"] == 2
    assert all(quota["met"] for quota in read_manifest(store_at(tmp_path / "out"))["balance"]["quotas"])
