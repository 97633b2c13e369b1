"""Whatever dies on the way: nothing lost, nothing doubled, the same bytes, or the reason for each missing row."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from tests.chaos.lab import Ending, check, laboratory
from tests.chaos.scenarios import SCENARIOS
from tests.doubles.pairs import committed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Ray leaves sockets and files for its own shutdown to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def lab():
    with laboratory() as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_lost_or_doubled_when(lab, scenario):
    spec, ending = scenario(lab)
    print(ending.trace)
    check(lab, spec, ending)


@pytest.mark.parametrize(("gpus", "share", "seen"), [(2, 1.0, {"0", "1"}), (1, 0.5, {"0"})])
def test_two_replicas_get_the_gpus_that_the_job_asks_for(lab, gpus, share, seen):
    waits = [{"at": "generate", "do": "wait", "pair": pair} for pair in range(12)]
    spec = lab.job(f"gpus-{gpus}", *waits, replicas=2, gpus_per_replica=share)
    with lab.gpu_node(gpus):
        watcher = lab.go_when(workers=2)
        lab.run(spec)
        watcher.join()
    records = committed(Path(spec.output.dir)).values()
    assert {str(record.run["gpu"]) for record in records} == seen
    assert len({mark.name.rsplit("-", 1)[1] for mark in lab.fires()}) == 2
    check(lab, spec, Ending(trace="two replicas"))


def exported() -> str:
    """What the metrics endpoints of all nodes say."""
    import ray

    ends = {(node["NodeManagerAddress"], node["MetricsExportPort"]) for node in ray.nodes() if node["Alive"]}
    texts = []
    for address, port in sorted(ends):
        with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=20) as answer:
            texts.append(answer.read().decode())
    return "\n".join(texts)


def test_prometheus_finds_what_became_of_the_pairs(lab):
    spec = lab.job("metrics", {"at": "generate", "do": "raise", "pair": 4}, max_quarantined=1)
    spec = spec.model_copy(update={"name": "metrics_job"})
    lab.run(spec)
    lines: list[str] = []
    pairs: dict[str, float] = {}
    values: dict[str, float] = {}
    # What is exported lags behind what happened: the numbers come one after another.
    for _ in range(120):
        lines = [line for line in exported().splitlines() if 'job="metrics_job"' in line]
        values = {line.partition("{")[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
        pairs = {
            outcome: float(line.rsplit(" ", 1)[1])
            for line in lines
            for outcome in ("kept", "quarantined")
            if f'outcome="{outcome}"' in line
        }
        if sum(pairs.values()) == 12.0 and values.get("ray_medim_shard_seconds_count") == 6.0:
            break
        time.sleep(0.5)
    assert pairs == {"kept": 11.0, "quarantined": 1.0}, lines
    assert values["ray_medim_shard_seconds_count"] == 6.0
    assert {"ray_medim_pairs_total", "ray_medim_replicas"} <= set(values)
