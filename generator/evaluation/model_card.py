"""The model card of the embedded checkpoint, written from its evaluation: no figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from medim_forge.generator.records import Task
from medim_forge.generator.store.documents import explained
from medim_forge.generator.templates import render
from medim_forge.model import checkpoint


def write_model_card(path: Path, figures: Mapping[str, Any], folder: Path) -> None:
    """The card of a checkpoint folder is written.

    Args:
        path: of the card.
        figures: `evaluation.json`.
        folder: the checkpoint that was measured.
    """
    parts = checkpoint.load(folder)
    facts = {
        "backbone_parameters": sum(p.numel() for p in parts.backbone.parameters()),
        "tokenizer_parameters": sum(p.numel() for tokenizer in parts.image_tokenizers for p in tokenizer.parameters()),
    }
    text = render(
        "model_card.md.j2",
        figures=figures,
        config=parts.config,
        facts=facts,
        tasks=get_args(Task),
        training=training_line(folder),
        sampling=", ".join(f"{key} {value}" for key, value in sorted(figures["sampling"].items())),
    )
    path.write_text(text, encoding="utf-8")


def training_line(folder: Path) -> str:
    """How it was trained, in one line, from `card.json`."""
    path = folder / "card.json"
    with explained(path, "Put back the file of the checkpoint."):
        card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    training = card.get("training")
    if not training:
        return "not recorded"
    backbone = training["backbone"]
    steps = sum(stage["steps"] for stage in backbone["stages"])
    samples = steps * sum(backbone["rows"].values())
    cost = f"; {card['cost']}" if card.get("cost") else ""
    return f"seed {card['seed']}, {steps:,} steps, {samples:,} pairs seen; log in training.log{cost}"
