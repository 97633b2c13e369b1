"""Hand-made pairs and small finished datasets: phantoms in place of a network, everything else as in a real job."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medim_forge.generator.dataset.provenance import Provenance, provenance_of
from medim_forge.generator.finalise.finalise import finalise
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec
from medim_forge.generator.phantoms import OPENING, draw
from medim_forge.generator.plan.plan import Plan, make_plan, plan_of, plan_record
from medim_forge.generator.plan.stored import claim_dataset
from medim_forge.generator.records import (
    Counts,
    Domain,
    Judged,
    Pair,
    PairRequest,
    Prompt,
    Quarantined,
    ReplicaFacts,
    Shard,
    ShardRecord,
    Verdict,
)
from medim_forge.generator.similarity import sign
from medim_forge.generator.store import Store, store_at
from medim_forge.generator.store.protocol import SUCCESS
from medim_forge.generator.writers import build_writers

DOMAINS: tuple[Domain, Domain] = ("chest_xray", "pathology")
TERMS = ("Embedded phantoms only: no patient data.",)


def make_spec(**changes: Any) -> GenerateSpec:
    """A joint job of 6 chest and 6 pathology pairs; `changes` replace top-level keys."""
    values = {
        "kind": "generate",
        "name": "tiny",
        "seed": 7,
        "date": "2026-11-23",
        "task": "joint",
        "prompts": [{"domain": domain, "pairs": 6} for domain in DOMAINS],
        "compute": {"pairs_per_shard": 4},
        "output": {"dir": "out/tiny"},
    }
    spec = parse_spec(values | changes, source="tiny.yaml")
    assert isinstance(spec, GenerateSpec)
    return spec


def make_facts(terms: tuple[str, ...] = TERMS) -> ReplicaFacts:
    """A replica that never ran."""
    return ReplicaFacts(
        model_sha256="ab" * 32,
        device="cpu",
        versions={"torch": "2.13.0"},
        training_data_terms=terms,
        learned_from="phantoms",
    )


def make_provenance(**changes: Any) -> Provenance:
    """The provenance of `make_spec()`; `changes` replace fields."""
    return dataclasses.replace(provenance_of(make_spec(), make_facts()), **changes)


def make_pair(index: int, domain: Domain | None = None, **changes: Any) -> Pair:
    """Pair number `index`: the phantom of that seed; domains alternate unless given; `changes` replace fields."""
    domain = domain or DOMAINS[index % 2]
    phantom = draw(domain, index)
    prompt = Prompt(domain=domain, text=OPENING[domain])
    pair = Pair(
        request=PairRequest(pair_id=f"3f2a9c1b-{index:07d}", pair_index=index, seed=2**62 + index, prompt=prompt),
        image=phantom.image,
        image_codes=np.arange(144, dtype=np.int32) + index,
        report=phantom.report,
        prompt_chars=len(OPENING[domain]),
        report_logprob=-0.5 - index / 16,
        image_logprob=-2.0,
        agreement=0.25,
        embedding=np.zeros(8, dtype=np.float16),
    )
    return dataclasses.replace(pair, **changes)


def near_copy(pair: Pair, index: int, noise: float = 4) -> Pair:
    """Pair number `index` with the report of `pair` and nearly its image."""
    made = make_pair(index, pair.request.prompt.domain)
    grain = np.random.default_rng(index).normal(0, noise, pair.image.shape)
    return dataclasses.replace(
        made, image=np.clip(pair.image * 1.03 + grain, 0, 255).astype(np.uint8), report=pair.report
    )


def make_judged(pair: Pair, reasons: tuple[str, ...] = ()) -> Judged:
    """The pair, dropped for `reasons` or kept when there are none."""
    provenance = make_provenance()
    findings = sorted(draw(pair.request.prompt.domain, pair.request.pair_index).findings)
    verdict = Verdict(
        kept=not reasons,
        reasons=reasons,
        scores=dict.fromkeys(provenance.score_names, 0.5),
        labels={"findings_report": ",".join(findings)},
    )
    return Judged(pair=pair, verdict=verdict, signature=sign(pair))


def make_quarantined(index: int, domain: Domain = "chest_xray") -> Quarantined:
    """A row that could not be made."""
    request = make_pair(index, domain).request
    return Quarantined(request=request, error="RowError: NaN logits", traceback="Traceback ...", stage="generate")


def make_shard(index: int, requests: Sequence[PairRequest]) -> Shard:
    """A shard of a joint job."""
    return Shard(index=index, task="joint", requests=tuple(requests))


def commit_shard(
    out: Path, spec: GenerateSpec, index: int, judged: Sequence[Judged], quarantined: Sequence[Quarantined] = ()
) -> ShardRecord:
    """A committed shard folder of these rows, written by the job's writers."""
    facts = make_facts()
    shard = make_shard(index, [one.pair.request for one in judged] + [one.request for one in quarantined])
    folder = store_at(out).new_attempt(index, attempt=1)
    files = [file for writer in build_writers(spec, facts) for file in writer.write(folder, shard, judged, quarantined)]
    reasons = [reason for one in judged for reason in one.verdict.reasons]
    kept = sum(one.verdict.kept for one in judged)
    record = ShardRecord(
        index=index,
        spec_sha256=spec.sha256,
        model_sha256=facts.model_sha256,
        counts=Counts(
            shards=1,
            pairs=len(judged) + len(quarantined),
            kept=kept,
            dropped=len(judged) - kept,
            quarantined=len(quarantined),
            rejects={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        ),
        files=tuple(sorted(files, key=lambda file: file.path)),
        run={"seconds": 1.5, "device": "cpu", "attempt": 1, "hostname": "here"},
    )
    store_at(out).commit(folder, record)
    return record


def roomy_plan(shards: int) -> Plan:
    """A plan whose shards have room for a thousand pairs each, for shards that were filled by hand."""
    prompts = [{"domain": "chest_xray", "pairs": 1000 * shards}]
    spec = make_spec(prompts=prompts, compute={"pairs_per_shard": 1000})
    return plan_of(spec, 1000 * shards)


def commit_tiny(out: Path, spec: GenerateSpec | None = None) -> GenerateSpec:
    """Three committed shards: 12 pairs, one dropped, one quarantined, one an exact copy of a pair of another shard."""
    spec = spec or make_spec()
    facts = make_facts()
    claim_dataset(
        store_at(out), spec, plan_record(make_plan(spec), model_sha256=facts.model_sha256, versions=facts.versions)
    )
    pairs = [make_pair(index) for index in range(11)]
    pairs[8] = dataclasses.replace(pairs[8], image=pairs[0].image, report=pairs[0].report)
    judged = [make_judged(pair) for pair in pairs]
    judged[5] = make_judged(pairs[5], reasons=("report_form<0.5",))
    commit_shard(out, spec, 0, judged[:4])
    commit_shard(out, spec, 1, judged[4:8])
    commit_shard(out, spec, 2, judged[8:], [make_quarantined(11)])
    return spec


def finish_tiny(out: Path, spec: GenerateSpec | None = None, facts: ReplicaFacts | None = None) -> GenerateSpec:
    """The dataset of `commit_tiny` is finished; its job."""
    spec = commit_tiny(out, spec)
    finalise(out, spec, make_plan(spec), facts or make_facts())
    (out / SUCCESS).touch()
    return spec


def committed(out: Path | str | Store) -> dict[int, ShardRecord]:
    """The committed shards of a dataset by index, in order."""
    return {record.index: record for record in store_at(out).committed()}
