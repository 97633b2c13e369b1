"""A backbone and rows that train in milliseconds; as a program, a training that says every step."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from medim_forge.generator.jobspec.train import MixSection
from medim_forge.generator.training.backbone import initialise
from medim_forge.generator.training.data import report_tokenizer
from medim_forge.generator.training.loop import Plan, Trainer, Watchers, train
from medim_forge.generator.training.objective import Mixture, Official
from medim_forge.generator.training.optimise import Recipe, Schedule
from medim_forge.generator.training.source import Encoded, Held
from medim_forge.model import config
from medim_forge.model.loss import CorruptionMix
from medim_forge.model.network import Backbone

_FULL = config.phantom(len(report_tokenizer()))
SIZES = SimpleNamespace(
    layout=replace(_FULL.layout, report_slots=12, image_slots=16),
    backbone=replace(_FULL.backbone, hidden_size=32, intermediate_size=64, layers=2, heads=2, kv_heads=2, head_dim=16),
)
OBJECTIVES = {
    "mixture": Mixture(SIZES.layout, CorruptionMix(**MixSection().model_dump())),
    "official": Official(SIZES.layout),
}


def backbone() -> Backbone:
    """A fresh backbone, always the same."""
    made = Backbone(SIZES.backbone, SIZES.layout.vocab)
    initialise(made, 0)
    return made


def source(rows: int = 24, seed: int = 0) -> Held:
    """Rows of two domains, of random ids and reports of several lengths."""
    rng, layout, made = np.random.default_rng(seed), SIZES.layout, []
    for domain in layout.domains:
        reports = rng.integers(10, 60, (rows, layout.report_slots))
        reports[:, 0] = layout.bos_id
        ends = rng.integers(4, layout.report_slots, rows)
        place = np.arange(layout.report_slots)
        reports[place > ends[:, None]] = layout.pad_id
        reports[np.arange(rows), ends] = layout.end_id
        codes = rng.integers(*layout.code_range(domain), (rows, layout.image_slots))
        state = np.concatenate([reports, codes], axis=1)
        made.append(Encoded(domain=domain, state=state, opening=np.full(rows, 2)))
    return Held(made, layout)


def plan(**changes) -> Plan:
    """Six steps of eight rows, a restart point every two."""
    given = {
        "steps": 6,
        "rows": 8,
        "shares": {"chest_xray": 4, "pathology": 4},
        "schedule": Schedule(rate=1.5e-3, warmup=2, cooldown_steps=2),
        "recipe": Recipe(),
        "precision": "fp32",
        "save_every": 2,
    }
    return Plan(**{**given, **changes})


def say_step(step: int) -> None:
    """One line for whoever started this program, whose line is waited for."""
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer = Trainer(backbone(), SIZES.layout, plan(), OBJECTIVES["mixture"], source())
    watchers = Watchers(say=lambda line: None, stepped=say_step)
    train(trainer, source(8, seed=9), Path(sys.argv[1]), {"a": 1}, watchers)
