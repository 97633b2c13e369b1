"""What the agreement scores cost, the control included, as a share of sampling: CPU seconds of one replica's whole job.

    python -m benchmarks.scoring --out scoring.json

The jobs are those of jobs/*.yaml at their own steps, guidance, batch size and shards, with fewer pairs: as many shards
as one of their two replicas makes, unless --pairs says otherwise. A replica starts with an empty cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from benchmarks.context import ROOT, context, deliver, parser
from medim_forge.generator.filters import build_judge
from medim_forge.generator.filters.agreement import SHUFFLED
from medim_forge.generator.inputs.load import load_inputs
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec, read_yaml
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.records import Judged
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.replica.replica import MedimReplica
from medim_forge.generator.shards.compare import related
from medim_forge.generator.similarity import sign
from medim_forge.model import checkpoint
from medim_forge.model.sampling import Sampler
from medim_forge.model.scoring import Scorer

TASKS = {"joint": "quickstart", "report_to_image": "report_to_image", "image_to_report": "image_to_report"}
PAIRS = {"joint": 32, "report_to_image": 128, "image_to_report": 128}


def main() -> None:
    """Measure and deliver."""
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, help="of each job; half of what its file says without it")
    given = options.parse_args()
    result = {
        "benchmark": "scoring",
        "model_sha256": checkpoint.sha256(checkpoint.resolve(given.checkpoint)),
        "scoring_share_of_sampling": {task: share(task, given.checkpoint, given.pairs) for task in TASKS},
    }
    deliver({**result, **context("cpu")}, given.out)


def job(task: str, model: str, pairs: int) -> GenerateSpec:
    """The task's job file with so many pairs; five of chest for three of pathology, where it has both."""
    source = f"jobs/{TASKS[task]}.yaml"
    values = read_yaml(ROOT / source)
    values["model"] = {"checkpoint": model}
    if task == "joint":
        chest = pairs * 5 // 8
        values["prompts"] = [
            {"domain": "chest_xray", "pairs": chest},
            {"domain": "pathology", "pairs": pairs - chest},
        ]
    else:
        values["inputs"]["pairs"] = pairs
    spec = parse_spec(values, source=source)
    assert isinstance(spec, GenerateSpec)
    return spec


def share(task: str, model: str = "phantom", pairs: int | None = None) -> dict[str, Any]:
    """What scoring took of one task's job, relative to its sampling."""
    spec = job(task, model, pairs or PAIRS[task])
    replica, plan, judge = load_replica(spec), make_plan(spec), build_judge(spec)
    seconds = {"sampling": 0.0, "scores": 0.0, "control": 0.0}
    rows = controls = 0

    def around(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            started = time.process_time()
            result = call(*arguments)
            seconds[name] += time.process_time() - started
            return result

        return timed

    def sampled(sampler: Sampler) -> Any:
        nonlocal rows
        found = run(sampler)
        rows += found.passes
        return found

    run = Sampler.run
    with (
        mock.patch.object(Sampler, "run", around("sampling", sampled)),
        mock.patch.object(Scorer, "score", around("scores", Scorer.score)),
        mock.patch.object(MedimReplica, "shuffled", around("control", MedimReplica.shuffled)),
    ):
        for index in range(plan.shards):
            shard, _ = load_inputs(spec, plan.shard(index))
            pairs = replica.generate(shard)
            judged = [Judged(pair=pair, verdict=judge(pair), signature=sign(pair)) for pair in pairs]
            marked = related(judged, spec, replica)
            controls += sum(not math.isnan(pair.verdict.scores[SHUFFLED]) for pair in marked)
    return {
        "pairs": plan.pairs,
        "sampling_rows": round(rows / plan.pairs, 2),
        "controls": controls,
        "scores": round(seconds["scores"] / seconds["sampling"], 4),
        "control": round(seconds["control"] / seconds["sampling"], 4),
        "share": round((seconds["scores"] + seconds["control"]) / seconds["sampling"], 4),
    }


if __name__ == "__main__":
    main()
