"""The model card of the embedded checkpoint, written from its evaluation: no figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from model.checkpoint import load, read_config

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
TASKS = ("joint", "report_to_image", "image_to_report")


def write_model_card(path: Path, figures: Mapping[str, Any], checkpoint: Path) -> None:
    """The card of a checkpoint folder is written.

    Args:
        path: of the card.
        figures: `evaluation.json`.
        checkpoint: the folder that was measured.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown from our own numbers
        keep_trailing_newline=True,
    )
    parts = load(checkpoint)
    facts = {
        "backbone_parameters": sum(p.numel() for p in parts.backbone.parameters()),
        "tokenizer_parameters": sum(p.numel() for one in parts.image_tokenizers for p in one.parameters()),
    }
    text = environment.get_template("model_card.md.j2").render(
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
