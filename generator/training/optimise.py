"""Optimisers and learning rates, by name.

Source: Jordan 2024 (Muon); Liu 2025 (arXiv 2502.16982); Hagele 2024 (arXiv 2405.18392); Loshchilov 2017 (SGDR, arXiv
1608.03983), whose restarting cosine the published system is trained with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from medim_forge.model.network.backbone import Backbone

OptimiserName = Literal["muon", "adamw"]
ScheduleName = Literal["cooldown", "cosine", "constant", "paper"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate of every step.

    Attributes:
        name: `cooldown`: flat, then 1 - sqrt down to 0 over the last steps; `cosine`: half a cosine down to 0;
            `constant`; `paper`: cosines that restart, each longer than the one before.
        rate: the highest.
        warmup: first steps, over which it rises in a straight line.
        cooldown_steps: of `cooldown`.
        cycle: steps of the first cosine of `paper`.
        growth: of `paper`, how much longer each cosine is than the one before.
        least: the lowest rate of `paper`.
    """

    name: ScheduleName = "cooldown"
    rate: float
    warmup: int = 0
    cooldown_steps: int = 0
    cycle: int = 10_000
    growth: int = 2
    least: float = 1e-9

    def at(self, step: int, steps: int) -> float:
        """The rate of a step.

        Args:
            step: from 0.
            steps: of the whole training.
        """
        match self.name:
            case "cooldown":
                return self.rate * cooldown(step, steps, self.warmup, self.cooldown_steps)
            case "paper":
                return self._restarting(step)
            case "constant":
                return self.rate * min(1.0, (step + 1) / max(1, self.warmup))
            case "cosine":
                if step < self.warmup:
                    return self.rate * (step + 1) / self.warmup
                share = (step - self.warmup) / max(1, steps - self.warmup)
                return self.rate * (1 + math.cos(math.pi * share)) / 2

    def _restarting(self, step: int) -> float:
        """The published code's closed form: its first update runs at the full rate, before the warm-up begins."""
        if step == 0:
            return self.rate
        if step <= self.warmup:
            return self.rate * step / self.warmup
        place, length = step - self.warmup, self.cycle
        while place >= length:
            place, length = place - length, length * self.growth
        return self.least + (self.rate - self.least) * (1 + math.cos(math.pi * place / length)) / 2


def cooldown(step: int, steps: int, warmup: int, cooldown_steps: int) -> float:
    """Learning-rate factor: linear warm-up, flat, then 1 - sqrt down to 0 over the last `cooldown_steps`.

    A flat middle lets a run be made longer from a restart point.
    """
    if step < warmup:
        return (step + 1) / warmup
    left = steps - step
    if left > cooldown_steps:
        return 1.0
    return float(1 - ((cooldown_steps - left) / cooldown_steps) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How weights follow their gradients.

    Attributes:
        name: `muon`: Muon for the matrices of the layers, AdamW for the rest, at one rate; `adamw`: AdamW for all, as
            the published system.
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: of all weights; None for the optimiser's own: `muon` .05 for matrices and .01 for the rest,
            `adamw` 0.
        clip: the largest norm of the gradient; None for no clipping.
        ema: decay of the averaged weights, which are the ones that are kept; None for none.
    """

    name: OptimiserName = "muon"
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float | None = None
    clip: float | None = 1.0
    ema: float | None = 0.998


class Optimiser:
    """The optimisers of a backbone as one.

    Args:
        backbone: whose weights; those that need no gradient stay as they are.
        recipe: how they follow.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe) -> None:
        self._recipe = recipe
        self._weights = [weight for weight in backbone.parameters() if weight.requires_grad]
        matrices = [weight for weight in backbone.layers.parameters() if weight.requires_grad and weight.ndim == 2]
        decay = recipe.weight_decay
        self._parts: dict[str, torch.optim.Optimizer] = {}
        rest = self._weights
        if recipe.name == "muon":
            chosen = {id(weight) for weight in matrices}
            rest = [weight for weight in self._weights if id(weight) not in chosen]
            self._parts["muon"] = torch.optim.Muon(
                matrices, weight_decay=0.05 if decay is None else decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
            )
        own = 0.01 if recipe.name == "muon" else 0.0
        self._parts["adamw"] = torch.optim.AdamW(
            rest, betas=recipe.betas, eps=recipe.eps, weight_decay=own if decay is None else decay
        )

    def gradients(self) -> list[Tensor]:
        """The gradients of all weights that have one."""
        return [weight.grad for weight in self._weights if weight.grad is not None]

    def clear(self) -> None:
        """No weight has a gradient."""
        for weight in self._weights:
            weight.grad = None

    def clipped(self) -> Tensor:
        """The norm of the gradient before it was cut down to the recipe's largest."""
        norm = torch.nn.utils.get_total_norm(self.gradients())
        if self._recipe.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self._weights, self._recipe.clip, norm)
        return norm

    def step(self, rate: float) -> None:
        """The weights have followed their gradients once, at this rate."""
        for optimiser in self._parts.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of every part."""
        return {name: optimiser.state_dict() for name, optimiser in self._parts.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the state of every part."""
        for name, optimiser in self._parts.items():
            optimiser.load_state_dict(state_dict[name])


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """The averaged weights are one step closer to those of the model; in the first steps they follow faster."""
    targets: list[Tensor] = list(average.parameters())
    sources = [weight.detach() for weight in model.parameters()]
    torch._foreach_lerp_(targets, sources, 1 - min(decay, (1 + step) / (10 + step)))
