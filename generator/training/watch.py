"""Losses on held-out pairs, and when they say that a training should end.

Legend: B rows, S state slots, T report slots, I image slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch

from medim_forge.generator.training.objective import Batch, Losses, Objective, Side
from medim_forge.generator.training.order import Order, stream
from medim_forge.generator.training.source import Source

Kind = Literal["report|image", "report", "image|report", "image"]
# One side is noised, and the other one given or wholly masked.
KINDS: MappingProxyType[Kind, Side] = MappingProxyType(
    {
        "report|image": "image_given",
        "report": "image_absent",
        "image|report": "report_given",
        "image": "report_absent",
    }
)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a training ends before its last step.

    Attributes:
        patience: looks at held-out pairs one after another in which none of the losses was lower than ever before.
        on: the losses.
    """

    patience: int
    on: tuple[Kind, ...] = ("report|image", "image|report")


class HeldOut:
    """Held-out pairs that are looked at again and again, with the same noise.

    Args:
        objective: how they are corrupted.
        source: of the pairs.
        order: of the training, which says how many rows of each domain a step has; twice as many are looked at, or as
            many as there are.
        rows_at_once: rows that go through the network at a time.
    """

    def __init__(self, objective: Objective, source: Source, order: Order, rows_at_once: int) -> None:
        _, slots = order.of(0)
        picked = {domain: source.numbers(domain)[: 2 * slots.get(domain, 0)] for domain in source.domains}
        self._counts = {domain: len(numbers) for domain, numbers in picked.items()}
        self._rows = source.read(np.concatenate(list(picked.values())))
        self._objective, self._at_once = objective, rows_at_once

    @torch.no_grad()
    def losses(self, losses: Losses, device: torch.device, precision: torch.dtype) -> dict[str, float]:
        """Nats per token by kind: one side given or absent and the other one noised."""
        found: dict[str, float] = {}
        for name, kind in KINDS.items():
            batch = self._objective.side(self._rows, self._counts, kind, stream(7, "validation", name))
            total = sum(_loss(losses, part, name, device, precision) for part in parts(batch, self._at_once))
            found[name] = float(total)
        return found


def _loss(losses: Losses, batch: Batch, name: str, device: torch.device, precision: torch.dtype) -> float:
    given, named = losses.of(batch, device)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        report, image = losses(*given, **named)
    return float(report if name.startswith("report") else image)


def parts(batch: Batch, rows: int) -> list[Batch]:
    """The batch in parts of so many rows, the last one smaller."""
    return [batch.part(slice(first, first + rows)) for first in range(0, len(batch), rows)]


def best_step(looks: Sequence[Mapping[str, Any]], stop: Stop) -> int:
    """The step of the look with the lowest sum of the losses that are watched, the first of them."""
    return int(min(looks, key=lambda look: sum(look["held_out"][name] for name in stop.on))["step"])


def is_over(looks: Sequence[Mapping[str, Any]], stop: Stop) -> bool:
    """Whether none of the watched losses was lower than ever before in as many looks as there is patience."""
    if len(looks) <= stop.patience:
        return False
    before, since = looks[: -stop.patience], looks[-stop.patience :]
    return all(
        min(look["held_out"][name] for look in since) >= min(look["held_out"][name] for look in before)
        for name in stop.on
    )
