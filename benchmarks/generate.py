"""Pairs per second of one replica, by batch size and dtype, and where the time goes. Ratios are those of one run.

    python -m benchmarks.generate --out generate.json

Every setting makes the same number of joint pairs after a warm-up batch; settings take turns, so that a machine that
gets slower does not blame one of them. Stages: the backbone's passes, the image tokenizer's decoder, the writers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.context import ROOT, context, deliver, parser
from medim_forge.generator.inputs.words import build_judge
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec, read_yaml
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.records import Judged
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.similarity import sign
from medim_forge.generator.writers import build_writers
from medim_forge.model import checkpoint
from medim_forge.model.network import Backbone, Vqgan


@dataclass
class Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens inside counts for the stage."""
        wait()
        started = time.perf_counter()
        yield
        wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted."""

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.stage(name):
                return function(*arguments, **named)

        return timed


def main() -> None:
    """Measure and deliver."""
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, default=32, help="per setting and round, a multiple of every batch size")
    options.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    options.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    options.add_argument("--rounds", type=int, default=2, help="the fastest counts")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = options.parse_args()
    if uneven := [size for size in given.batch_sizes if given.pairs % size]:
        options.error(f"--pairs {given.pairs} is no multiple of --batch-sizes {uneven}")
    settings = [(dtype, size) for dtype in given.dtypes for size in given.batch_sizes]
    jobs = {one: job(given, *one) for one in settings}
    best: dict[tuple[str, int], Clock] = {}
    for _ in range(given.rounds):
        for one in settings:
            clock = measured(jobs[one])
            if one not in best or clock.seconds["total"] < best[one].seconds["total"]:
                best[one] = clock
    fastest = max(given.pairs / clock.seconds["total"] for clock in best.values())
    rows = [
        {"dtype": dtype, "batch_size": size, **row(best[dtype, size], given.pairs, fastest)} for dtype, size in settings
    ]
    device = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    result = {
        "benchmark": "generate",
        "pairs": given.pairs,
        "threads": given.threads,
        "sampling": jobs[settings[0]].sampling.model_dump(mode="json", exclude={"batch_size"}),
        "model_sha256": checkpoint.sha256(checkpoint.resolve(given.checkpoint)),
        "settings": rows,
        **context(device),
    }
    deliver(result, given.out)


def job(given: Any, dtype: str, batch_size: int) -> GenerateSpec:
    """The quickstart, one shard: five chest pairs for three of pathology."""
    values = read_yaml(ROOT / "jobs" / "quickstart.yaml")
    chest = max(given.pairs * 5 // 8, 1)
    values["prompts"] = [
        {"domain": "chest_xray", "pairs": chest},
        {"domain": "pathology", "pairs": max(given.pairs - chest, 1)},
    ]
    values["model"] = {"checkpoint": given.checkpoint, "dtype": dtype, "device": given.device}
    values["sampling"] = {"batch_size": batch_size}
    values["compute"] = {"threads_per_replica": given.threads, "pairs_per_shard": given.pairs}
    spec = parse_spec(values, source="jobs/quickstart.yaml")
    assert isinstance(spec, GenerateSpec)
    return spec


def measured(spec: GenerateSpec) -> Clock:
    """The time that the job's shard takes, by stage."""
    replica, shard = load_replica(spec), make_plan(spec).shard(0)
    judge, writers = build_judge(spec), build_writers(spec, replica.facts)
    batch = spec.sampling.batch_size
    replica.generate(type(shard)(index=0, task=shard.task, requests=shard.requests[:batch]))
    clock = Clock()
    with (
        tempfile.TemporaryDirectory(prefix="medim-") as scratch,
        mock.patch.object(Backbone, "forward", clock.around("backbone", Backbone.forward)),
        mock.patch.object(Vqgan, "decode", clock.around("decode", Vqgan.decode)),
        clock.stage("total"),
    ):
        pairs = replica.generate(shard)
        with clock.stage("judge"):
            judged = [Judged(pair=pair, verdict=judge(pair), signature=sign(pair)) for pair in pairs]
        with clock.stage("write"):
            for writer in writers:
                writer.write(Path(scratch), shard, judged, [])
    return clock


def row(clock: Clock, pairs: int, fastest: float) -> dict[str, Any]:
    """What one setting says, relative to the fastest."""
    total = clock.seconds["total"]
    shares = {name: round(clock.seconds[name] / total, 4) for name in ("backbone", "decode", "judge", "write")}
    return {
        "pairs_per_second": round(pairs / total, 4),
        "relative_to_fastest": round(pairs / total / fastest, 4),
        "share_of_time": {**shares, "rest": round(1 - sum(shares.values()), 4)},
    }


def wait() -> None:
    """What was sent to a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
