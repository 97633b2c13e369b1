"""Rounds beyond the plan: how many they are, how far past a quota they go, and what the look at the dataset costs.

    python -m benchmarks.balance --out balance.json

Simulated: jobs whose entries yield a finding with known probabilities, by the real `next_round`; every figure is over
`--repeats` seeds. Real: `take_census` over shards on this disk, whose pairs are noise with reports of phantoms.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.context import context, deliver, parser
from medim_forge.generator.dataset.provenance import provenance_of
from medim_forge.generator.filters import build_judge
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan.plan import Plan, make_plan
from medim_forge.generator.plan.strata import Stratum
from medim_forge.generator.records import Counts, Judged, Pair, PairRequest, ReplicaFacts, ShardRecord
from medim_forge.generator.selection.census import Census, take_census
from medim_forge.generator.selection.next_round import next_round
from medim_forge.generator.shards.compare import mark_near
from medim_forge.generator.similarity.signature import sign
from medim_forge.generator.store.places import store_at
from medim_forge.generator.writers.parquet import ParquetWriter

WANTED = Stratum("finding", "chest_xray", "nodule")
# Planned pairs of two entries, the second of which asks; what share of each is kept and names the finding; the quota.
CASES: dict[str, tuple[tuple[int, int], tuple[float, float], int]] = {
    "20,000 of an entry that asks": ((100_000, 2_000), (0.05, 0.9), 20_000),
    "20,000, asking is in vain": ((100_000, 2_000), (0.05, 0.0), 20_000),
    "2,000, strict filters": ((1_000, 100), (0.02, 0.2), 2_000),
    "30 of a small job": ((96, 8), (0.12, 0.94), 30),
}


def job(planned: tuple[int, int], kept: int, **changes: Any) -> GenerateSpec:
    """The job of a case."""
    values = {
        "kind": "generate",
        "name": "balance",
        "seed": 1,
        "date": "2026-11-23",
        "task": "joint",
        "prompts": [
            {"domain": "chest_xray", "pairs": planned[0]},
            {"domain": "chest_xray", "findings": ["nodule"], "pairs": planned[1]},
        ],
        "compute": {"pairs_per_shard": 128},
        "balance": {"budget": 10_000_000, "quotas": [{"finding": "nodule", "kept": kept}]},
        "output": {"dir": "out/balance", "dicom": None},
    }
    spec = parse_spec({**values, **changes}, source="benchmarks/balance.py")
    assert isinstance(spec, GenerateSpec)
    return spec


def rounds(planned: tuple[int, int], rates: tuple[float, float], kept: int, seed: int) -> dict[str, float]:
    """One simulated job: rounds, pairs past the quota, and pairs added over those that are needed on average."""
    random = np.random.default_rng(seed)
    plan = make_plan(job(planned, kept))
    yields = np.zeros(2, np.int64)
    counted = np.zeros(2, np.int64)
    while True:
        asked = plan.entries()
        yields += random.binomial(asked - counted, rates)
        counted = asked
        census = Census()
        census.yields.update({(entry, WANTED): int(count) for entry, count in enumerate(yields)})
        census.data[WANTED] = int(yields.sum())
        grown = next_round(plan, census)
        if grown is None:
            break
        plan = grown
    lacked = max(kept - float(np.dot(planned, rates)), 0.0)
    needed = lacked / max(rates)
    return {
        "rounds": len(plan.rounds),
        "past_quota": (census.data[WANTED] - kept) / kept,
        "added_over_needed": (plan.pairs - plan.planned) / needed,
    }


def simulated(repeats: int) -> dict[str, Any]:
    """Every case: medians and the worst of its seeds."""
    found = {}
    for name, case in CASES.items():
        runs = [rounds(*case, seed) for seed in range(repeats)]
        found[name] = {
            key: {"median": float(np.median([one[key] for one in runs])), "most": max(one[key] for one in runs)}
            for key in runs[0]
        }
    return found


def census_seconds(shards: int) -> dict[str, float]:
    """What a look at so many shards of 128 pairs takes, alone and with near-duplicates compared."""
    filters = [{"name": "near_duplicates", "drop_above": 0.99}]
    with tempfile.TemporaryDirectory() as folder:
        spec = job((shards * 128 - 8, 8), 1, output={"dir": folder, "dicom": None})
        plan = make_plan(spec)
        filled(Path(folder), plan)
        alone = timed(folder, plan)
        compared = timed(
            folder, make_plan(spec.model_copy(update={"filters": job((8, 8), 1, filters=filters).filters}))
        )
    pairs = plan.pairs
    return {"pairs": pairs, "us_per_pair": alone / pairs * 1e6, "us_per_pair_near": compared / pairs * 1e6}


def timed(folder: str, plan: Plan) -> float:
    """Seconds of a census."""
    began = time.perf_counter()
    take_census(store_at(Path(folder)), plan)
    return time.perf_counter() - began


def filled(folder: Path, plan: Plan) -> None:
    """Every shard is committed, with pairs of noise."""
    facts = ReplicaFacts(model_sha256="0" * 64, device="cpu", versions={})
    writer = ParquetWriter(provenance_of(plan.spec, facts), dicom=False)
    judge, store = build_judge(plan.spec), store_at(folder)
    store.prepare()
    for shard in plan:
        pairs = map(noise, shard.requests)
        judged = [Judged(pair=pair, verdict=judge(pair), signature=sign(pair)) for pair in pairs]
        attempt = store.new_attempt(shard.index, 1)
        files = writer.write(attempt, shard, mark_near(judged, plan.spec), [])
        record = ShardRecord(
            index=shard.index,
            spec_sha256=plan.spec_sha256,
            model_sha256=facts.model_sha256,
            counts=Counts(
                shards=1,
                pairs=len(judged),
                kept=len(judged),
                dropped=0,
                quarantined=0,
                rejects={},
            ),
            files=tuple(files),
        )
        store.commit(attempt, record)


def noise(request: PairRequest) -> Pair:
    """A pair that costs nothing to make."""
    random = np.random.default_rng(request.seed)
    return Pair(
        request=request,
        image=random.integers(0, 256, (32, 32), np.uint8),
        image_codes=random.integers(0, 512, 144).astype(np.int32),
        report=draw("chest_xray", request.pair_index % 512).report,
        prompt_chars=0,
        report_logprob=-1.0,
        image_logprob=-1.0,
        agreement=0.5,
        embedding=random.normal(size=256).astype(np.float16),
    )


def main() -> None:
    """Runs both and delivers the JSON."""
    command = parser(__doc__)
    command.add_argument("--repeats", type=int, default=20, help="seeds of every simulated job")
    command.add_argument("--shards", type=int, default=64, help="shards of the real census")
    options = command.parse_args()
    figures = {"simulated": simulated(options.repeats), "census": census_seconds(options.shards)}
    deliver({**context("cpu"), **figures}, options.out)


if __name__ == "__main__":
    main()
