"""Where faults are made: a Ray of several fake nodes, the tiny job with the real replica, and what must come out."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import ray
from ray._raylet import AuthenticationTokenLoader, Config
from ray.cluster_utils import Cluster

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.events import JobEvent
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.store.protocol import SUCCESS
from tests.doubles.pairs import committed
from tests.doubles.ray_driver import start_driver
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint
from tests.doubles.tiny_jobs import FAULTY, run_here, tiny_job
from tests.doubles.toy_replica import content_of, set_faults
from tests.generator.conftest import RAY_TOKEN

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 12
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a scenario ended.

    Attributes:
        trace: what the fault itself left behind; a scenario without it has shown nothing.
        missing: rows that may be quarantined, with the beginning of the recorded reason.
        success: whether `_SUCCESS` must be there.
    """

    trace: str
    missing: dict[int, str] = field(default_factory=dict)
    success: bool = True


class Lab:
    """A cluster, a checkpoint, and the bytes of an undisturbed run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = write_tiny_checkpoint(folder / "tiny")
        self.said: list[str] = []
        run_here(tiny_job(folder / "truth", self.checkpoint))
        self.truth = content_of(folder / "truth")
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20},
        )
        self.nodes: list[Any] = []
        self.have_nodes(2)
        ray.init(address=self.cluster.address, log_to_driver=False, logging_level="CRITICAL")

    def close(self) -> None:
        ray.shutdown()
        self.cluster.shutdown()

    def have_nodes(self, count: int) -> None:
        """The cluster has so many nodes of one CPU beside its head."""
        while len(self.nodes) < count:
            self.nodes.append(self.cluster.add_node(wait=True, **NODE))
        while len(self.nodes) > count:
            self.cluster.remove_node(self.nodes.pop(), allow_graceful=True)

    @contextlib.contextmanager
    def gpu_node(self, gpus: int) -> Iterator[None]:
        """Inside, the cluster has one more node, whose GPUs exist for Ray only."""
        node = self.cluster.add_node(wait=True, num_gpus=gpus, **{**NODE, "num_cpus": 2})
        try:
            yield
        finally:
            self.cluster.remove_node(node, allow_graceful=True)

    def lose_node_of(self, pid: int) -> None:
        """The node whose raylet started this worker is gone, as if its machine had been taken away."""
        parents = {node.all_processes["raylet"][0].process.pid: node for node in self.nodes}
        status = Path(f"/proc/{pid}/status").read_text()
        parent = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))
        node = parents[parent]
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def job(self, name: str, *faults: dict[str, Any], **compute: Any) -> GenerateSpec:
        """The tiny job of a scenario, with these faults laid into its checkpoint."""
        spec = tiny_job(self.folder / name, self.checkpoint, compute=compute)
        (self.checkpoint / "go").unlink(missing_ok=True)
        set_faults(spec, *faults)
        self.said = []
        return spec

    def run(self, spec: GenerateSpec, on_event: Callable[[JobEvent], None] = lambda event: None) -> None:
        """The job runs in this process, on the cluster; what it says is kept."""

        def hear(event: JobEvent) -> None:
            self.said.append(event.message)
            on_event(event)

        run_job(spec, local=False, on_event=hear, parts=FAULTY)

    def driver(self, spec: GenerateSpec) -> subprocess.Popen[str]:
        """The job runs in a process of its own, on the same cluster."""
        path = self.folder / f"{Path(spec.output.dir).name}.yaml"
        ours = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        return start_driver("faulty", spec, path, **{**ours, "RAY_ADDRESS": self.cluster.address})

    def heard(self, words: str) -> str:
        """The first thing said that has these words."""
        return next(message for message in self.said if words in message)

    def fires(self) -> list[Path]:
        """What faults left behind, oldest first."""
        return sorted(self.checkpoint.glob("fired-*"), key=lambda mark: mark.stat().st_mtime_ns)

    def go(self) -> None:
        """Whoever waits goes on."""
        (self.checkpoint / "go").touch()

    def go_when(self, workers: int) -> threading.Thread:
        """Whoever waits goes on as soon as so many processes wait."""

        def watch() -> None:
            for _ in range(4800):
                if len({mark.name.rsplit("-", 1)[1] for mark in self.fires()}) == workers:
                    break
                time.sleep(0.05)
            self.go()

        watcher = threading.Thread(target=watch)
        watcher.start()
        return watcher

    def first_fire(self) -> int:
        """The pid of the process in which a fault fired first, as soon as one has."""
        for _ in range(4800):
            if marks := self.fires():
                return int(marks[0].name.rsplit("-", 1)[1])
            time.sleep(0.05)
        raise AssertionError("the fault did not fire")


def check(lab: Lab, spec: GenerateSpec, ending: Ending) -> None:
    """Nothing is lost, nothing is doubled, and every byte is that of the undisturbed run, or the reason is recorded."""
    out = Path(spec.output.dir)
    assert ending.trace, "the fault left no trace: nothing was shown"
    rows = [row for path in sorted(out.glob("shards/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert sorted(row["pair_index"] for row in rows) == list(range(PAIRS)), "a pair is lost or doubled"
    reasons = {row["pair_index"]: row["error"] for row in rows if row.get("error")}
    assert set(reasons) == set(ending.missing)
    assert all(reasons[index].startswith(why) for index, why in ending.missing.items()), reasons
    assert all(row["seed"] and row["prompt"] for row in rows)
    failed = {index // spec.compute.pairs_per_shard for index in ending.missing}
    content = content_of(out)
    expected = {name: digest for name, digest in lab.truth.items() if untouched(name, failed)}
    assert {name: digest for name, digest in content.items() if untouched(name, failed)} == expected
    assert (out / SUCCESS).exists() == ending.success
    assert set(committed(out)) == set(range(PAIRS // spec.compute.pairs_per_shard))
    assert verify(out).problems == ()


def untouched(name: str, failed: set[int]) -> bool:
    """Whether a file must be as it would have been, because it holds nothing of these shards, which miss rows."""
    if not failed:
        return True
    return name.startswith("shards/") and int(name.split("/")[1]) not in failed


@contextlib.contextmanager
def laboratory() -> Iterator[Lab]:
    """A lab of its own: its Ray has a folder, a port and a token that nobody else has."""
    folder = Path(tempfile.mkdtemp(prefix="mc-", dir="/tmp"))
    (folder / "ray").mkdir()
    variables = {
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": RAY_TOKEN,
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    # Ray reads mode and token once in a process, which may have had another Ray before.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    try:
        lab = Lab(folder)
        try:
            yield lab
        finally:
            lab.close()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)


def killed(process: subprocess.Popen[str]) -> int:
    """The exit code of a driver that got SIGKILL."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode


Scenario = Callable[[Lab], tuple[GenerateSpec, Ending]]
Scenarios = Sequence[Scenario]
