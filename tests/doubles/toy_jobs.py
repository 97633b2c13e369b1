"""How jobs of the toy are run and read, and keys of jobs that make more than they planned."""

from __future__ import annotations

from medim_forge.generator.dataset.reader import Row, open_dataset
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from tests.doubles.toy_replica import PARTS

AGAIN = [{"name": "agreement", "drop_below": 0.5, "action": "regenerate"}]
QUOTAS = {"budget": 120, "quotas": [{"finding": "nodule", "kept": 5}, {"prompt": 1, "kept": 9}]}


def run(spec: GenerateSpec) -> JobResult:
    """The job was run in this process."""
    return run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)


def made(spec: GenerateSpec) -> GenerateSpec:
    """The job, which was run in this process."""
    run(spec)
    return spec


def rows_of(spec: GenerateSpec) -> list[Row]:
    """What `data/` holds."""
    return list(open_dataset(spec.output.dir).rows())
