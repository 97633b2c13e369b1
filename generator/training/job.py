"""The training job: tokenizers, then encoded pairs, then the backbone, then a checkpoint folder. Run again to go on."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from medim_forge.generator.events import OnEvent, note
from medim_forge.generator.jobspec import TrainSpec
from medim_forge.generator.phantoms import OPENING
from medim_forge.generator.store import SUCCESS, store_at
from medim_forge.generator.store.disk import writing
from medim_forge.generator.store.folder import claim_folder
from medim_forge.generator.training.arrays import place_arrays, read_arrays
from medim_forge.generator.training.data import (
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    domain_report_ids,
    draw_corpus,
    report_ids,
    report_tokenizer,
)
from medim_forge.generator.training.familiarity import measure_ranges
from medim_forge.generator.training.source import Encoded, Held
from medim_forge.generator.training.stages import train_stages
from medim_forge.generator.training.tokenizer import TokenizerPlan, psnr, reconstruct, train_tokenizer
from medim_forge.model import checkpoint, config
from medim_forge.model.config import MedimConfig
from medim_forge.model.familiarity import write_ranges
from medim_forge.model.medim import Medim
from medim_forge.model.network import Vqgan
from medim_forge.model.text import ReportTokenizer

VALIDATION_ROWS = 512


def run(spec: TrainSpec, on_event: OnEvent) -> Path:
    """The checkpoint folder `<output.dir>/checkpoint`, trained as the spec says.

    Raises:
        StoreError: the folder holds another job's training, or a stage of other settings or longer than this one; or
            there is no space for it.
        TrainingError: a loss or gradient is not finite.
    """
    out = Path(spec.output.dir)
    if claim_folder(out, spec, _depends(spec), lasting=_lasting):
        on_event(note(f"{out} holds the result already"))
        return out / "checkpoint"
    torch.set_num_threads(spec.threads)
    text = report_tokenizer()
    sizes = config.phantom(len(text), domain_report_ids(text))
    log = _log_to(out, on_event)
    tokenizers = [_image_tokenizer(spec, sizes, index, out, log) for index in range(len(sizes.image_tokenizers))]
    data = [
        _encoded(domain, rows, TRAIN_SEEDS, tokenizers[index], text, sizes, out)
        for index, (domain, rows) in enumerate(spec.backbone.images.items())
    ]
    held_out = [
        _encoded(part.domain, VALIDATION_ROWS, VALIDATION_SEEDS, tokenizers[index], text, sizes, out)
        for index, part in enumerate(data)
    ]
    sources = Held(data, sizes.layout), Held(held_out, sizes.layout)
    backbone = train_stages(spec, sizes, *sources, out, log, on_event)
    made = checkpoint.Checkpoint(config=sizes, backbone=backbone, image_tokenizers=tuple(tokenizers), text=text)
    checkpoint.save(out / "checkpoint", made, card=_card(spec))
    log("measuring what the training data keep to, on held-out pairs")
    model = Medim.load(out / "checkpoint", device=spec.device)
    write_ranges(out / "checkpoint", measure_ranges(model, min(spec.backbone.images.values())))
    store_at(out).mark(SUCCESS)
    return out / "checkpoint"


def _depends(spec: TrainSpec) -> dict[str, Any]:
    """What the training follows from beside the spec: the weights it starts from, and the versions that compute."""
    start = checkpoint.sha256(checkpoint.resolve(spec.start_from)) if spec.start_from else None
    return {"start_from_sha256": start, "versions": _versions()}


def _lasting(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change between runs: all but how fast it runs, and the stages, which have folders of their own."""
    values = {key: value for key, value in fixed.items() if key not in ("device", "threads", "snapshot_every", "save")}
    free = ("stages", "rows_at_once", "checkpointing", "compile", "stop")
    return {**values, "backbone": {key: value for key, value in values["backbone"].items() if key not in free}}


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": version("torch"), "numpy": version("numpy")}


def _log_to(out: Path, on_event: OnEvent) -> Callable[[str], None]:
    """What takes a line at a time, into `training.log` and as an event."""

    def log(line: str) -> None:
        with writing(out), (out / "training.log").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        on_event(note(line))

    return log


def _image_tokenizer(spec: TrainSpec, sizes: MedimConfig, index: int, out: Path, log: Callable[[str], None]) -> Vqgan:
    """The trained tokenizer of one codebook, as it will be stored: its codes must be those of the shipped weights."""
    domain = sizes.image_tokenizers[index].domains[0]
    if spec.start_from:
        return checkpoint.load(checkpoint.resolve(spec.start_from)).image_tokenizers[index]
    folder = out / f"tokenizer_{domain}"
    if not (folder / "weights.safetensors").exists():
        rows = spec.tokenizer.images[domain]
        corpus = draw_corpus(domain, rows, TRAIN_SEEDS, out / "data")
        held_out = draw_corpus(domain, 128, VALIDATION_SEEDS, out / "data")
        plan = TokenizerPlan(
            steps=spec.tokenizer.steps[domain],
            batch=spec.tokenizer.batch,
            rate=spec.tokenizer.rate,
            cooldown_steps=spec.tokenizer.cooldown_steps,
            snapshot_every=spec.snapshot_every,
            seed=spec.seed,
        )
        train_tokenizer(sizes.image_tokenizers[index], plan, corpus.images, held_out.images, folder, spec.device, log)
        decoded = reconstruct(_stored(sizes, index, folder), held_out.images)[1]
        log(f"tokenizer {domain}: PSNR {psnr(decoded, held_out.images):.2f} dB as stored")
    return _stored(sizes, index, folder)


def _stored(sizes: MedimConfig, index: int, folder: Path) -> Vqgan:
    """A trained tokenizer whose weights were rounded as a checkpoint rounds them."""
    model = Vqgan(sizes.image_tokenizers[index])
    model.load_state_dict(
        {name: tensor.half().float() for name, tensor in load_file(folder / "weights.safetensors").items()}
    )
    return model.eval().requires_grad_(False)


def _encoded(
    domain: str, rows: int, first_seed: int, tokenizer: Vqgan, text: ReportTokenizer, sizes: MedimConfig, out: Path
) -> Encoded:
    """Phantoms of a domain as ids, made once and then read from the folder's `data/`."""
    path = out / "data" / f"encoded_{domain}_{first_seed}_{rows}.npz"
    if path.exists():
        stored = read_arrays(path, ("state", "opening"))
        return Encoded(domain=domain, state=stored["state"], opening=stored["opening"])
    corpus = draw_corpus(domain, rows, first_seed, out / "data")
    codes = reconstruct(tokenizer, corpus.images, decode=False)[0]
    state = np.concatenate(
        [report_ids(corpus.reports, text, sizes.layout), codes + sizes.layout.code_range(domain)[0]], axis=1
    )
    opening = np.full(rows, len(text.encode(OPENING[domain])))
    place_arrays(path, {"state": state, "opening": opening})
    return Encoded(domain=domain, state=state, opening=opening)


def _card(spec: TrainSpec) -> Mapping[str, object]:
    """What card.json says of how the checkpoint was trained."""
    return {
        "name": spec.name,
        "seed": spec.seed,
        "spec_sha256": spec.sha256,
        "training": spec.model_dump(mode="json", exclude={"output"}),
        "training_data_terms": [],
        "learned_from": "phantoms",
        "trained_on": "drawn phantoms only: no patient, no photograph",
        "versions": _versions(),
    }
