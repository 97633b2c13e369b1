"""Trains the backbone on encoded pairs of the embedded domain: a plain loop, restartable from its snapshot.

Legend: B batch, R rows, T report slots, I image slots, S = T + I, L sequence, D width.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medim_forge.generator.training.optimise import cooldown
from medim_forge.generator.training.order import stream
from medim_forge.generator.training.source import Encoded
from medim_forge.generator.training.state import Snapshot, Stateful
from medim_forge.model.config import MedimConfig
from medim_forge.model.layout import TokenLayout
from medim_forge.model.loss import Corrupted, CorruptionMix, corrupt_mix, weighted_cross_entropy
from medim_forge.model.network.backbone import Backbone, Layer
from medim_forge.model.sampling import sigma

# Weight of the report loss; the image loss has weight 1.
REPORT_WEIGHT = 2.0
# Decay of the averaged weights, which are the ones that are shipped.
EMA_DECAY = 0.998


@dataclass(frozen=True, kw_only=True)
class BackbonePlan:
    """How long and how fast the backbone learns.

    Attributes:
        steps: optimiser steps.
        rows: rows per step of each domain, in the order of the layout's codebooks.
        rate: learning rate.
        warmup: first steps, over which the rate rises.
        cooldown_steps: last steps, over which the rate falls to 0.
        mix: corruption.
        compile: whether to compile the step (worth its minute on a long run).
        snapshot_every: steps between restart points.
        seed: of batches and corruption.
    """

    steps: int
    rows: tuple[int, ...]
    rate: float
    warmup: int
    cooldown_steps: int
    mix: CorruptionMix
    compile: bool
    snapshot_every: int
    seed: int


def initialise(backbone: Backbone, seed: int) -> None:
    """Start weights for training from scratch: normal(0, .02), output projections scaled by depth, gates open at 1."""
    generator = torch.Generator().manual_seed(seed)
    depth = (2 * len(backbone.layers)) ** -0.5
    for name, parameter in backbone.named_parameters():
        if name.endswith(("norm.weight", ".bias")):
            nn.init.zeros_(parameter)
        elif "layernorm" not in name:
            nn.init.normal_(
                parameter,
                std=0.02 * (depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0),
                generator=generator,
            )
    width = backbone.config.hidden_size
    for layer in backbone.layers:
        assert isinstance(layer, Layer)
        with torch.no_grad():
            layer.adaLN_modulation.bias[2 * width : 3 * width] = 1.0
            layer.adaLN_modulation.bias[5 * width :] = 1.0


def optimisers(backbone: Backbone, rate: float) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest, at one rate.

    Source: Jordan 2024 (Muon); Liu 2025 (arXiv 2502.16982).
    """
    matrices = [p for p in backbone.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in backbone.parameters() if id(p) not in chosen]
    muon = torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return muon, torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)


class Objective(nn.Module):
    """The training loss as a module of fixed shapes: rows of each domain are contiguous."""

    def __init__(self, backbone: Backbone, layout: TokenLayout, domains: Sequence[str], rows: Sequence[int]) -> None:
        super().__init__()
        self.backbone, self.layout = backbone, layout
        self.parts = [(layout.code_range(domain), count) for domain, count in zip(domains, rows, strict=True)]
        self.register_buffer("read", layout.read_positions(), persistent=False)

    def forward(
        self, xt_BS: Tensor, x0_BS: Tensor, t_B: Tensor, report_weight_BT: Tensor, image_weight_BI: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Report loss and image loss, nats per counted token."""
        slots = self.layout.report_slots
        hidden_BLD = self.backbone(*self.layout.sequence(xt_BS), sigma(t_B))
        read_BSD = hidden_BLD[:, self.read]
        head_VD = self.backbone.head_weight
        report = weighted_cross_entropy(
            functional.linear(read_BSD[:, :slots], head_VD[: self.layout.report_vocab]),
            x0_BS[:, :slots],
            report_weight_BT,
        )
        # Each domain's rows are scored against its own codes, and weigh by their number.
        image, row = read_BSD.new_zeros((), dtype=torch.float32), 0
        for (start, stop), count in self.parts:
            logits = functional.linear(read_BSD[row : row + count, slots:], head_VD[start:stop])
            target = x0_BS[row : row + count, slots:] - start
            image = image + weighted_cross_entropy(logits, target, image_weight_BI[row : row + count]) * (
                count / xt_BS.shape[0]
            )
            row += count
        return report, image


def draw_batch(
    data: Sequence[Encoded], rows: Sequence[int], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clean states [B, S] and openings [B], the domains one after another."""
    picks = [rng.choice(len(part.state), count, replace=False) for part, count in zip(data, rows, strict=True)]
    state = np.concatenate([part.state[pick] for part, pick in zip(data, picks, strict=True)])
    return state, np.concatenate([part.opening[pick] for part, pick in zip(data, picks, strict=True)])


def _tensors(x0: NDArray[np.int64], batch: Corrupted, device: str) -> tuple[Tensor, ...]:
    """A corrupted batch as the arguments of `Objective`."""
    return tuple(
        torch.from_numpy(np.ascontiguousarray(array)).to(device)
        for array in (batch.xt, x0, batch.t, batch.report_weight, batch.image_weight)
    )


@torch.no_grad()
def validation_loss(
    objective: nn.Module, data: Sequence[Encoded], rows: Sequence[int], layout: TokenLayout, device: str
) -> dict[str, float]:
    """Losses on held-out pairs with one side given or absent and the other fully masked, nats per token."""
    kinds = {
        "report|image": "image_given",
        "report": "image_absent",
        "image|report": "report_given",
        "image": "report_absent",
    }
    losses: dict[str, float] = {}
    for name, kind in kinds.items():
        shares = dict.fromkeys(("joint", "report_given", "report_absent", "image_given", "image_absent"), 0.0)
        mix = CorruptionMix(
            **{**shares, kind: 1.0}, opening_kept=1.0, ending_masked=0.0, reading_order=0.0, reading_end=0.0
        )
        rng = stream(7, "validation", name)
        total = []
        for _ in range(2):
            x0, opening = draw_batch(data, rows, rng)
            report, image = objective(*_tensors(x0, corrupt_mix(x0, opening, layout, mix, rng), device))
            total.append(float(report if name.startswith("report") else image))
        losses[name] = sum(total) / len(total)
    return losses


def train_backbone(
    config: MedimConfig,
    plan: BackbonePlan,
    data: Sequence[Encoded],
    held_out: Sequence[Encoded],
    folder: Path,
    device: str,
    log: Callable[[str], None],
    *,
    start_from: Path | None = None,
) -> Backbone:
    """The averaged backbone after `plan.steps` steps; `folder` holds its restart point, then its weights.

    Args:
        config: sizes.
        plan: steps and rates.
        data: encoded training pairs, one per domain.
        held_out: the same, for the validation loss only.
        folder: restarting with the same folder goes on where it stopped.
        device: torch device.
        log: takes one line at a time.
        start_from: weights to start from instead of noise.
    """
    backbone = _start(config, plan, start_from).to(device)
    average = copy.deepcopy(backbone).requires_grad_(False)
    domains = [part.domain for part in data]
    objective = Objective(backbone, config.layout, domains, plan.rows).to(device)
    judge = Objective(average, config.layout, domains, plan.rows).to(device)
    loss_of = torch.compile(objective) if plan.compile else objective
    muon, adamw = optimisers(backbone, plan.rate)
    parts: dict[str, Stateful] = {"backbone": backbone, "average": average, "muon": muon, "adamw": adamw}
    snapshot = Snapshot(folder / "snapshot.pt", parts)
    begin, started = snapshot.load(plan.steps), time.monotonic()
    for step in range(begin, plan.steps):
        for group in (*muon.param_groups, *adamw.param_groups):
            group["lr"] = plan.rate * cooldown(step, plan.steps, plan.warmup, plan.cooldown_steps)
        with torch.autocast(device, torch.bfloat16):
            report, image = loss_of(*_batch(step, plan, data, config.layout, device))
        backbone.zero_grad()
        (REPORT_WEIGHT * report + image).backward()
        torch.nn.utils.clip_grad_norm_(backbone.parameters(), 1.0)
        muon.step()
        adamw.step()
        _follow(average, backbone, min(EMA_DECAY, (1 + step) / (10 + step)))
        if (step + 1) % plan.snapshot_every == 0 or step + 1 == plan.steps:
            snapshot.save(step + 1)
            with torch.autocast(device, torch.bfloat16):
                losses = validation_loss(judge, held_out, plan.rows, config.layout, device)
            log(
                f"backbone step {step + 1}/{plan.steps} report {report.item():.3f} image {image.item():.3f} held out: "
                f"{' '.join(f'{kind} {loss:.3f}' for kind, loss in losses.items())} {time.monotonic() - started:.0f} s"
            )
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in average.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    return average


def _start(config: MedimConfig, plan: BackbonePlan, start_from: Path | None) -> Backbone:
    """The backbone before its first step."""
    torch.manual_seed(plan.seed)
    backbone = Backbone(config.backbone, config.layout.vocab)
    initialise(backbone, plan.seed)
    if start_from is not None:
        backbone.load_state_dict({name: tensor.float() for name, tensor in load_file(start_from).items()})
    return backbone


def _batch(
    step: int, plan: BackbonePlan, data: Sequence[Encoded], layout: TokenLayout, device: str
) -> tuple[Tensor, ...]:
    """What `Objective` takes at a step: drawn from the step's own stream, so that a restart changes nothing."""
    rng = stream(plan.seed, "backbone", step)
    x0, opening = draw_batch(data, plan.rows, rng)
    return _tensors(x0, corrupt_mix(x0, opening, layout, plan.mix, rng), device)


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """The averaged weights are one step closer to those of the model."""
    targets: list[Tensor] = list(average.parameters())
    sources = [p.detach() for p in model.parameters()]
    torch._foreach_lerp_(targets, sources, 1 - decay)
