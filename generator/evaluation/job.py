"""Measures a checkpoint on the embedded domain: do image and report say the same, and how far from floor and ceiling?

<out>/probe_<domain>.safetensors   what reads findings off images
<out>/pairs/<task>_<domain>_<seed>/   the pairs, made by ordinary jobs
<out>/evaluation.json README.md    the figures, and the model card made from them
<out>/_SUCCESS                     written last; run again to go on
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medim_forge.generator.dataset import Row, open_dataset
from medim_forge.generator.evaluation.model_card import write_model_card
from medim_forge.generator.evaluation.probe import (
    Images,
    Probe,
    drawn,
    load_probe,
    reconstructed,
    train_probe,
    validate,
)
from medim_forge.generator.events import OnEvent, note
from medim_forge.generator.generate import run_job
from medim_forge.generator.jobspec import EvaluateSpec, GenerateSpec, parse_spec
from medim_forge.generator.metrics import label_matrix, label_scores, shuffled_floor
from medim_forge.generator.phantoms import DOMAINS, FINDINGS, read_findings, read_report
from medim_forge.generator.records import Task
from medim_forge.generator.store import SUCCESS
from medim_forge.generator.training.tokenizer import psnr
from medim_forge.model import checkpoint
from medim_forge.model.medim import Medim
from medim_forge.model.network import to_uint8

TASKS: tuple[Task, ...] = ("joint", "report_to_image", "image_to_report")
# Phantoms that neither training, validation nor a probe has seen.
CEILING_SEEDS = 6_000_000_000_000


def run(spec: EvaluateSpec, *, local: bool = False, on_event: OnEvent) -> Path:
    """The output folder holds `evaluation.json` and the model card.

    Args:
        spec: what to measure, and how often.
        local: makes pairs in this process instead of on Ray.
        on_event: is told what happens.

    Raises:
        MedimError: the checkpoint cannot be used, or a job failed.
    """
    out = Path(spec.output.dir)
    out.mkdir(parents=True, exist_ok=True)
    if (out / SUCCESS).exists():
        return out
    torch.set_num_threads(spec.compute.threads_per_replica * spec.compute.replicas)
    folder = checkpoint.resolve(spec.model.checkpoint)
    model = Medim.load(folder)
    figures: dict[str, Any] = {
        "checkpoint_sha256": checkpoint.sha256(folder),
        "spec_sha256": spec.sha256,
        "domains": {},
    }
    figures["sampling"] = spec.sampling.model_dump(mode="json")
    figures["sampling_seeds"] = list(spec.sampling_seeds)
    for domain in DOMAINS:
        on_event(note(f"{domain}: probe and image tokenizer"))
        probe = _probe(out, domain, model, spec)
        section = _tokenizer_figures(domain, model, probe, spec.pairs_of(domain))
        for task in TASKS:
            rows: list[Row] = []
            for seed in spec.sampling_seeds:
                job = _job(spec, task, domain, seed)
                run_job(job, local=local, on_event=on_event)
                rows += open_dataset(job.output.dir).rows()
            section[task] = _pair_figures(rows, probe, task, spec.seed)
            macro, floor = section[task]["macro_f1"], section[task]["shuffled"]["macro_f1"]
            on_event(note(f"{domain} {task}: macro F1 {macro:.3f} (shuffled {floor:.3f})"))
        figures["domains"][domain] = section
    (out / "evaluation.json").write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_model_card(out / "README.md", figures, folder)
    (out / SUCCESS).touch()
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


def _reconstruct(model: Medim, domain: str) -> Callable[[Images], Images]:
    """The image tokenizer there and back."""
    tokenizer = model.image_tokenizer(domain)

    def there_and_back(images: Images) -> Images:
        pixels = torch.from_numpy(images if images.ndim == 4 else images[..., None])
        with torch.inference_mode():
            codes = tokenizer.encode((pixels.float() / 255 * 2 - 1).movedim(-1, 1))
            decoded: Images = to_uint8(tokenizer.decode(codes)).numpy()
        return decoded.reshape(images.shape)

    return there_and_back


def _probe(out: Path, domain: str, model: Medim, spec: EvaluateSpec) -> Probe:
    path = out / f"probe_{domain}.safetensors"
    if not path.exists():
        reconstruct, settings = _reconstruct(model, domain), spec.probe
        probe = train_probe(domain, reconstruct, seed=spec.seed, images=settings.images, passes=settings.passes)
        probe.save(path)
    return load_probe(path)


def _tokenizer_figures(domain: str, model: Medim, probe: Probe, count: int) -> dict[str, Any]:
    """What the image tokenizer keeps, and the ceiling: the renderer's own pairs through it."""
    reconstruct = _reconstruct(model, domain)
    images, labels = drawn(domain, CEILING_SEEDS, count)
    decoded = reconstructed(images, reconstruct)
    ceiling = label_scores(labels, probe.predict(decoded), FINDINGS[domain])
    return {
        "psnr_db": psnr(decoded, images),
        "probe_on_clean_phantoms": asdict(validate(probe, lambda batch: batch)),
        "ceiling": asdict(ceiling),
    }


def _pair_figures(rows: list[Row], probe: Probe, task: Task, seed: int) -> dict[str, Any]:
    """Agreement of the report's labels with the probe's, over all sampling seeds."""
    findings = probe.findings
    said = label_matrix([read_findings(row.report) for row in rows], findings)
    shown = probe.predict(np.stack([row.pixels() for row in rows]))
    # Whichever side was given counts as the truth; F1 itself is symmetric.
    true, made = (shown, said) if task == "image_to_report" else (said, shown)
    floor = shuffled_floor(true, made, findings, seed=seed)
    readings = [read_report(row.report) for row in rows]
    by_seed = {str(one): _macro(rows, said, shown, one) for one in sorted({row.spec_sha256 for row in rows})}
    return {
        **asdict(label_scores(true, made, findings)),
        "shuffled": asdict(floor),
        "prevalence_in_reports": dict(zip(findings, said.mean(0).tolist(), strict=True)),
        "prevalence_in_images": dict(zip(findings, shown.mean(0).tolist(), strict=True)),
        "macro_f1_by_sampling_seed": sorted(by_seed.values()),
        "reports_in_grammar": float(np.mean([one.in_grammar for one in readings])),
        "reports_in_grammar_and_consistent": float(np.mean([one.in_grammar and one.consistent for one in readings])),
        "distinct_reports": len({row.report for row in rows}) / len(rows),
        "mean_agreement_nats_per_token": float(
            np.nanmean([np.nan if row.agreement is None else row.agreement for row in rows])
        ),
    }


def _macro(rows: list[Row], said: np.ndarray, shown: np.ndarray, job: str) -> float:
    mine = np.array([row.spec_sha256 == job for row in rows])
    names = [str(index) for index in range(said.shape[1])]
    return float(label_scores(said[mine], shown[mine], names).macro_f1)


def headline(figures: Mapping[str, Any]) -> list[str]:
    """One line per domain and task, for a terminal."""
    return [
        f"{domain} {task}: {section[task]['macro_f1']:.3f}"
        for domain, section in sorted(figures["domains"].items())
        for task in TASKS
    ]
