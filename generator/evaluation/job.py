"""Measures a checkpoint on the embedded domain: do image and report say the same, and how far from floor and ceiling?

<out>/spec.yaml depends.json       the job, its weights and versions: a folder belongs to one job
<out>/probe_<domain>.safetensors   what reads findings off images
<out>/pairs/<task>_<domain>_<seed>/   the pairs, made by ordinary jobs
<out>/evaluation.json README.md    the figures, and the model card made from them
<out>/_SUCCESS                     written last; run again to go on
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from medim_forge.generator.dataset import Row, open_dataset
from medim_forge.generator.evaluation.model_card import write_model_card
from medim_forge.generator.evaluation.probe import (
    Images,
    Probe,
    Reconstruct,
    drawn,
    load_probe,
    probe_settings,
    reconstructed,
    train_probe,
    validate,
)
from medim_forge.generator.events import OnEvent, note
from medim_forge.generator.generate import run_job
from medim_forge.generator.jobspec import EvaluateSpec, GenerateSpec, parse_spec
from medim_forge.generator.metrics import Labels, label_matrix, label_scores, macro_f1, shuffled_floor
from medim_forge.generator.phantoms import DOMAINS, FINDINGS, read_findings, read_report
from medim_forge.generator.records import Task
from medim_forge.generator.replica.load import checkpoint_facts
from medim_forge.generator.store import SUCCESS, store_at
from medim_forge.generator.store.folder import claim_folder
from medim_forge.generator.training.tokenizer import psnr, reconstruct
from medim_forge.model import checkpoint
from medim_forge.model.medim import Medim

TASKS: tuple[Task, ...] = get_args(Task)
# Phantoms that neither training, validation nor a probe has seen.
CEILING_SEEDS = 6_000_000_000_000


def run(spec: EvaluateSpec, *, local: bool = False, on_event: OnEvent) -> Path:
    """The output folder holds `evaluation.json` and the model card.

    Args:
        spec: what to measure, and how often.
        local: makes pairs in this process instead of on Ray.
        on_event: receives what happens.

    Raises:
        StoreError: the folder is of another job, of other weights or of other versions.
        MedimError: the checkpoint cannot be used, or a job failed.
    """
    out = Path(spec.output.dir)
    facts = checkpoint_facts(_job(spec, "joint", next(iter(DOMAINS)), spec.sampling_seeds[0]))
    if claim_folder(out, spec, {"model_sha256": facts.model_sha256, "versions": facts.versions}):
        on_event(note(f"{out} holds the result already"))
        return out
    torch.set_num_threads(spec.compute.threads_per_replica * spec.compute.replicas)
    folder = checkpoint.resolve(spec.model.checkpoint)
    model = Medim.load(folder)
    figures: dict[str, Any] = {
        "checkpoint_sha256": facts.model_sha256,
        "spec_sha256": spec.sha256,
        "domains": {},
    }
    figures["sampling"] = spec.sampling.model_dump(mode="json")
    figures["sampling_seeds"] = list(spec.sampling_seeds)
    for domain in DOMAINS:
        on_event(note(f"{domain}: probe and image tokenizer"))
        probe = _probe(out, domain, model, spec, facts.model_sha256)
        section = _tokenizer_figures(domain, model, probe, spec.pairs_of(domain))
        for task in TASKS:
            rows: list[Row] = []
            for seed in spec.sampling_seeds:
                job = _job(spec, task, domain, seed)
                run_job(job, local=local, on_event=on_event)
                rows += open_dataset(job.output.dir).rows()
            section[task] = _pair_figures(rows, probe, task, spec.seed)
            reached, floor = section[task]["macro_f1"], section[task]["shuffled"]["macro_f1"]
            on_event(note(f"{domain} {task}: macro F1 {reached:.3f} (shuffled {floor:.3f})"))
        figures["domains"][domain] = section
    store = store_at(out)
    with store.draft("evaluation.json") as path:
        path.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with store.draft("README.md") as path:
        write_model_card(path, figures, folder)
    store.mark(SUCCESS)
    return out


def _job(spec: EvaluateSpec, task: Task, domain: str, seed: int) -> GenerateSpec:
    """The ordinary job that makes the pairs of one task, domain and sampling seed, nothing filtered."""
    count = spec.pairs_of(domain)
    values: dict[str, Any] = {
        "kind": "generate",
        "name": f"{task}_{domain}",
        "seed": seed,
        "date": "2000-01-01",
        "task": task,
        "model": spec.model.model_dump(mode="json"),
        "sampling": spec.sampling.model_dump(mode="json"),
        "compute": {**spec.compute.model_dump(mode="json"), "pairs_per_shard": 2 * spec.sampling.batch_size},
        "output": {"dir": str(Path(spec.output.dir) / "pairs" / f"{task}_{domain}_{seed}"), "dicom": None},
    }
    if task == "joint":
        values["prompts"] = [{"domain": domain, "pairs": count}]
    else:
        values["inputs"] = {"source": "phantoms", "domain": domain, "pairs": count, "seed": seed}
    job = parse_spec(values, source=spec.source)
    assert isinstance(job, GenerateSpec)
    return job


def _through_tokenizer(model: Medim, domain: str) -> Reconstruct:
    """Images of a domain, encoded and decoded again by the checkpoint's image tokenizer."""
    tokenizer = model.image_tokenizer(domain)

    def reconstructed_by(images: Images) -> Images:
        with_channels = images if images.ndim == 4 else images[..., None]
        return reconstruct(tokenizer, with_channels)[1].reshape(images.shape)

    return reconstructed_by


def _probe(out: Path, domain: str, model: Medim, spec: EvaluateSpec, model_sha256: str) -> Probe:
    """The probe of a domain, trained unless an earlier run of this job has left it in the folder."""
    path, settings = out / f"probe_{domain}.safetensors", spec.probe
    # The weights are pinned by the folder's depends.json; a probe that was put there from elsewhere is trained anew.
    made_with = {"images": settings.images, "passes": settings.passes, "seed": spec.seed, "model_sha256": model_sha256}
    if not path.exists() or probe_settings(path) != made_with:
        through = _through_tokenizer(model, domain)
        probe = train_probe(domain, through, seed=spec.seed, images=settings.images, passes=settings.passes)
        with store_at(out).draft(path.name) as draft:
            probe.save(draft, made_with)
    return load_probe(path)


def _tokenizer_figures(domain: str, model: Medim, probe: Probe, count: int) -> dict[str, Any]:
    """What the image tokenizer keeps, and the ceiling: the renderer's own pairs through it."""
    images, labels = drawn(domain, CEILING_SEEDS, count)
    decoded = reconstructed(images, _through_tokenizer(model, domain))
    ceiling = label_scores(labels, probe.predict(decoded), FINDINGS[domain])
    return {
        "psnr_db": psnr(decoded, images),
        "probe_on_clean_phantoms": asdict(validate(probe, lambda batch: batch)),
        "ceiling": asdict(ceiling),
    }


def _pair_figures(rows: list[Row], probe: Probe, task: Task, seed: int) -> dict[str, Any]:
    """Agreement of the report's labels with the probe's, over all sampling seeds."""
    findings = probe.findings
    in_reports = label_matrix([read_findings(row.report) for row in rows], findings)
    in_images = probe.predict(np.stack([row.pixels() for row in rows]))
    # Whichever side was given counts as the truth; F1 itself is symmetric.
    true, made = (in_images, in_reports) if task == "image_to_report" else (in_reports, in_images)
    floor = shuffled_floor(true, made, findings, seed=seed)
    readings = [read_report(row.report) for row in rows]
    jobs = sorted({row.spec_sha256 for row in rows})
    macro_f1_by_job = [_macro_f1_of(job, rows, in_reports, in_images) for job in jobs]
    return {
        **asdict(label_scores(true, made, findings)),
        "shuffled": asdict(floor),
        "prevalence_in_reports": dict(zip(findings, in_reports.mean(0).tolist(), strict=True)),
        "prevalence_in_images": dict(zip(findings, in_images.mean(0).tolist(), strict=True)),
        "macro_f1_by_sampling_seed": sorted(macro_f1_by_job),
        "reports_in_grammar": float(np.mean([reading.in_grammar for reading in readings])),
        "reports_in_grammar_and_consistent": float(
            np.mean([reading.in_grammar and reading.consistent for reading in readings])
        ),
        "distinct_reports": len({row.report for row in rows}) / len(rows),
        "mean_agreement_nats_per_token": float(
            np.nanmean([np.nan if row.agreement is None else row.agreement for row in rows])
        ),
    }


def _macro_f1_of(job: str, rows: list[Row], in_reports: Labels, in_images: Labels) -> float:
    """Macro F1 of the rows of one job, that is, of one sampling seed."""
    chosen = np.array([row.spec_sha256 == job for row in rows])
    return macro_f1(in_reports[chosen], in_images[chosen])
