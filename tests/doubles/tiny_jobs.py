"""The tiny job with the real replica, which also does what a fault file tells it; see `toy_replica.misbehave`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec
from medim_forge.generator.records import Pair, Shard
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.replica.replica import MedimReplica
from medim_forge.generator.shards.worker import Parts
from tests.doubles.toy_replica import misbehave

FAULTY = Parts(replica="tests.doubles.tiny_jobs:load_faulty", writers="tests.doubles.toy_replica:toy_writers")
TINY = Path(__file__).resolve().parents[1] / "jobs" / "tiny.yaml"


def tiny_job(out: Path, checkpoint: Path, **changes: Any) -> GenerateSpec:
    """`tests/jobs/tiny.yaml` with this output and checkpoint; mappings in `changes` update sections, None drops one."""
    values = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    values["model"]["checkpoint"], values["output"]["dir"] = str(checkpoint), str(out)
    for key, change in changes.items():
        values[key] = {**values.get(key, {}), **change} if isinstance(change, dict) else change
    spec = parse_spec({key: value for key, value in values.items() if value is not None}, source="tiny.yaml")
    assert isinstance(spec, GenerateSpec)
    return spec


def run_here(spec: GenerateSpec) -> JobResult:
    """The job was run in this process."""
    return run_job(spec, local=True, on_event=lambda event: None)


class FaultyMedim:
    """The real replica, after the faults of the checkpoint's `faults.json`."""

    def __init__(self, spec: GenerateSpec) -> None:
        self._spec = spec
        self._replica: MedimReplica = load_replica(spec)
        self.facts = self._replica.facts

    def generate(self, shard: Shard) -> list[Pair]:
        for request in shard.requests:
            misbehave(self._spec, "generate", request)
        return self._replica.generate(shard)

    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        return self._replica.shuffled(pairs, others)


def load_faulty(spec: GenerateSpec) -> FaultyMedim:
    return FaultyMedim(spec)
