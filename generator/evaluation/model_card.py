"""The model card of the embedded checkpoint, written from its evaluation: no figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medim_forge.generator.templates import render
from medim_forge.model.checkpoint import load, read_config

TASKS = ("joint", "report_to_image", "image_to_report")


def write_model_card(path: Path, figures: Mapping[str, Any], checkpoint: Path) -> None:
    """The card of a checkpoint folder is written.

    Args:
        path: of the card.
        figures: `evaluation.json`.
        checkpoint: the folder that was measured.
    """
    parts = load(checkpoint)
    facts = {
        "backbone_parameters": sum(p.numel() for p in parts.backbone.parameters()),
        "tokenizer_parameters": sum(p.numel() for one in parts.image_tokenizers for p in one.parameters()),
    }
    text = render(
        "model_card.md.j2",
        figures=figures,
        config=read_config(checkpoint),
        facts=facts,
        tasks=TASKS,
        training=training_line(checkpoint),
        sampling=", ".join(f"{key} {value}" for key, value in sorted(figures["sampling"].items())),
    )
    path.write_text(text, encoding="utf-8")


def training_line(checkpoint: Path) -> str:
    """How it was trained, in one line, from `card.json`."""
    path = checkpoint / "card.json"
    card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    training = card.get("training")
    if not training:
        return "not recorded"
    backbone = training["backbone"]
    steps = sum(stage["steps"] for stage in backbone["stages"])
    samples = steps * sum(backbone["rows"].values())
    cost = f"; {card['cost']}" if card.get("cost") else ""
    return f"seed {card['seed']}, {steps:,} steps, {samples:,} pairs seen; log in training.log{cost}"
