"""The driver's bookkeeping at a size no test machine has: a million shards for real, a thousand replicas simulated.

    python -m benchmarks.scale --out scale.json

Real: one million shard events through `Schedule` and `Progress`, as the driver handles them; `medim plan` of a million
pairs; the listing of ten thousand committed shards. Simulated: one hundred million pairs on a thousand replicas, by an
event queue that drives the same `Schedule`; time passes only in the simulation.
"""

from __future__ import annotations

import heapq
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.context import ROOT, context, deliver, parser
from medim_forge.generator.events import Progress
from medim_forge.generator.finalise.manifest import write_manifest
from medim_forge.generator.records import Counts, FileRecord, ShardRecord
from medim_forge.generator.shards.schedule import Failure, Order, Schedule
from medim_forge.generator.store.local import LocalStore
from medim_forge.generator.store.protocol import RECORD

PAIRS_PER_SHARD = 32
DEATH = Failure(kind="ReplicaDied", message="the replica's process died")


def record(index: int, files: int = 0) -> ShardRecord:
    """The record of a shard with so many files."""
    return ShardRecord(
        index=index,
        spec_sha256="0" * 64,
        model_sha256="1" * 64,
        counts=Counts(
            shards=1,
            pairs=PAIRS_PER_SHARD,
            kept=30,
            dropped=2,
            quarantined=0,
            rejects={"report_form<0.5": 2},
        ),
        files=tuple(
            FileRecord(path=f"dicom/3f2a9c1b-{index * 32 + one:07d}/image.dcm", size=10_000, sha256="2" * 64)
            for one in range(files)
        ),
        run={"seconds": 60.0, "device": "NVIDIA H200", "gpu": "0", "host": "node-17", "attempt": 1, "failures": ""},
    )


def events(shards: int) -> dict[str, float]:
    """Shards per second through the driver's bookkeeping, one in a thousand failing once, and the memory it takes."""
    tracemalloc.start()
    schedule = Schedule(range(shards), lambda index: tuple(f"{index}-{row}" for row in range(PAIRS_PER_SHARD)), 2)
    progress = Progress(shards, shards * PAIRS_PER_SHARD, lambda _event: None)
    planned, _ = tracemalloc.get_traced_memory()
    began, handled = time.perf_counter(), 0
    tracemalloc.stop()
    while (order := schedule.next()) is not None:
        handled += 1
        if order.shard % 1000 == 0 and order.attempt == 1:
            schedule.failed(order, DEATH)
            continue
        schedule.succeeded(order)
        progress.committed(record(order.shard))
    seconds = time.perf_counter() - began
    return {
        "shards": shards,
        "events": handled,
        "events_per_second": handled / seconds,
        "bytes_per_shard": planned / shards,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def plan_seconds(pairs: int) -> float:
    """Wall time of `medim plan` for so many pairs, interpreter start included."""
    with tempfile.TemporaryDirectory() as folder:
        job = {
            "kind": "generate",
            "name": "million",
            "seed": 1,
            "date": "2026-11-23",
            "task": "joint",
            "prompts": [
                {"domain": "chest_xray", "pairs": pairs // 2},
                {"domain": "pathology", "pairs": pairs - pairs // 2},
            ],
            "output": {"dir": folder},
        }
        path = Path(folder) / "job.yaml"
        path.write_text(json.dumps(job), encoding="utf-8")
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", "generator", "plan", str(path)], cwd=ROOT, check=True, capture_output=True
            )
            best = min(best, time.perf_counter() - began)
    return best


def listing(shards: int, files: int) -> dict[str, float]:
    """Seconds to list so many committed shards on this disk, and bytes of their part of the manifest."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for index in range(shards):
            shard = out / "shards" / f"{index:06d}"
            shard.mkdir(parents=True)
            (shard / RECORD).write_text(json.dumps(asdict(record(index, files)), indent=2), encoding="utf-8")
        began = time.perf_counter()
        records = list(LocalStore(out).committed())
        seconds = time.perf_counter() - began
        manifest = out / "manifest.json"
        write_manifest(manifest, {}, (file for one in records for file in one.files), "cpu", records)
        return {"shards": shards, "seconds": seconds, "manifest_bytes_per_pair": manifest.stat().st_size / shards / 32}


def simulate(pairs: int, replicas: int, seconds_per_shard: float, deaths_per_hour: float) -> dict[str, Any]:
    """A job on replicas of uneven speed that die now and then; the schedule is the real one.

    Args:
        pairs: of the job.
        replicas: at work from the start.
        seconds_per_shard: mean; a replica's own mean varies by 5 % and each shard by 10 %.
        deaths_per_hour: of one replica, which is back after 300 s.
    """
    source = random.Random(1)  # noqa: S311 - a simulation
    shards = pairs // PAIRS_PER_SHARD
    schedule = Schedule(range(shards), lambda _index: tuple(str(row) for row in range(PAIRS_PER_SHARD)), 2)
    speed = [max(source.gauss(seconds_per_shard, 0.05 * seconds_per_shard), 1.0) for _ in range(replicas)]
    queue: list[tuple[float, int, int, Order | None]] = []
    idle = list(range(replicas))
    now, died, ended, most, began = 0.0, 0, [0.0] * replicas, 0, time.perf_counter()
    dying = deaths_per_hour / 3600 * seconds_per_shard
    counted: dict[int, int] = {}
    while schedule.outstanding:
        while idle and (order := schedule.next()) is not None:
            one = idle.pop()
            took = max(source.gauss(speed[one], 0.1 * seconds_per_shard), 1.0)
            dead = source.random() < dying
            heapq.heappush(queue, (now + took * (source.random() if dead else 1.0), one, dead, order))
        now, one, dead, order = heapq.heappop(queue)
        if order is None:
            idle.append(one)
        elif dead:
            died += 1
            schedule.failed(order, DEATH)
            heapq.heappush(queue, (now + 300.0, one, 0, None))
        else:
            schedule.succeeded(order)
            idle.append(one)
            ended[one] = now
            second = int(now)
            counted[second] = counted.get(second, 0) + 1
            most = max(most, counted[second])
    last, mean_end = max(ended), sum(ended) / replicas
    return {
        "pairs": pairs,
        "shards": shards,
        "replicas": replicas,
        "seconds_per_shard": seconds_per_shard,
        "deaths": died,
        "hours": last / 3600,
        "events_per_second_mean": shards / last,
        "events_per_second_most": most,
        "tail_seconds": last - min(end for end in ended if end),
        "idle_share_at_the_tail": 1 - mean_end / last,
        "simulated_in_seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Runs all of it and delivers the JSON."""
    options = parser(__doc__).parse_args()
    deliver(
        {
            **context("cpu"),
            "events": events(1_000_000),
            "plan_of_a_million_pairs_seconds": plan_seconds(1_000_000),
            "listing": listing(10_000, 2 * PAIRS_PER_SHARD),
            "simulation": simulate(100_000_000, 1000, 60.0, 0.1),
        },
        options.out,
    )


if __name__ == "__main__":
    main()
