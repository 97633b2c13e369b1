"""Whatever dies on the way: nothing lost, nothing doubled, the same bytes, or the reason for each missing row."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.store import committed
from tests.chaos.lab import Ending, check, laboratory
from tests.chaos.scenarios import SCENARIOS

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


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
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
