"""The official reverse process, exactly: one joint ranking of report and image, raw-exponential first step and all.

For parity and for published weights. What it does that `model.sampler` corrects is listed in docs/model.md#differences.
Legend: B batch, S state slots, V vocabulary.
Source: medim-spec section 5 (official MeDiM at commit ce1ea99).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from model.layout import TokenLayout
from model.noise import Draws
from model.schedule import arccos_counts, sigma
from model.subs import subs

CONFIDENCE_NOISE = 10.0
LAST_TIME = 1e-5

Logits = Callable[[Tensor, Tensor], Tensor]


def sample_official(
    logits_of: Logits,
    x0_BS: Tensor,
    given_BS: Tensor,
    layout: TokenLayout,
    *,
    steps: int,
    guidance: float | None,
    draws: Draws,
) -> Tensor:
    """A state without MASK: given tokens kept, the rest revealed as the official sampler does.

    Args:
        logits_of: (state_BS, sigma_B) -> raw logits_BSV, float32.
        x0_BS: given tokens where `given_BS`, anything elsewhere.
        given_BS: bool.
        layout: ids.
        steps: at most; fewer where a row has fewer masked slots.
        guidance: cfg; the weight at time t is cfg (1 - t). None for none.
        draws: token and confidence noise.

    Raises:
        ValueError: a row has nothing to reveal.
    """
    x_BS = torch.where(given_BS, x0_BS, layout.mask_id)
    masked_B = (x_BS == layout.mask_id).sum(1)
    if int(masked_B.min()) == 0:
        raise ValueError(
            f"rows {torch.nonzero(masked_B == 0)[:, 0].tolist()} have no masked slot; leave them out of the batch"
        )
    steps = min(steps, int(masked_B.min()))
    counts_BN = arccos_counts(masked_B.tolist(), steps).to(x_BS.device)
    times = torch.linspace(1, LAST_TIME, steps + 1, device=x_BS.device)
    for step in range(steps):
        left_B = (x_BS == layout.mask_id).sum(1)
        reveal_B = torch.minimum(counts_BN[:, step], left_B)
        if int(reveal_B.max()) <= 0:
            continue
        weight_BSV = _weights(logits_of, x_BS, given_BS, layout, times[step], guidance)
        x_BS = _reveal(x_BS, weight_BSV, reveal_B, times[step], layout, draws, step)
        x_BS = torch.where(given_BS, x0_BS, x_BS)
    if bool((x_BS == layout.mask_id).any()):
        last_B = sigma(torch.full((x_BS.shape[0],), LAST_TIME, device=x_BS.device))
        x_BS = subs(logits_of(x_BS, last_B), layout, x_BS).argmax(-1)
    return torch.where(given_BS, x0_BS, x_BS)


def _weights(
    logits_of: Logits, x_BS: Tensor, given_BS: Tensor, layout: TokenLayout, time: Tensor, guidance: float | None
) -> Tensor:
    """Unnormalised weights of the next tokens, per step 5.2."""
    sigma_B = sigma(time).expand(x_BS.shape[0])
    weight = 0.0 if guidance is None else float(guidance * (1 - time))
    logits_BSV = logits_of(x_BS, sigma_B)
    if weight > 0 and bool(given_BS.any()):
        unconditional_BSV = logits_of(torch.where(given_BS, layout.mask_id, x_BS), sigma_B)
        logits_BSV = (1 + weight) * logits_BSV - weight * unconditional_BSV
        return subs(logits_BSV, layout).exp()
    return torch.nan_to_num(logits_BSV.exp(), nan=0.0, posinf=0.0, neginf=0.0)


def _reveal(
    x_BS: Tensor, weight_BSV: Tensor, reveal_B: Tensor, time: Tensor, layout: TokenLayout, draws: Draws, step: int
) -> Tensor:
    """Reveal the `reveal_B` most confident candidates of each row (ties reveal more)."""
    candidate_BS = draws.pick(weight_BSV, step)
    chosen_BS = weight_BSV.gather(-1, candidate_BS[..., None])[..., 0]
    confidence_BS = chosen_BS.log() + CONFIDENCE_NOISE * draws.gumbel(step).to(x_BS.device) * time
    confidence_BS = torch.where(x_BS == layout.mask_id, confidence_BS, float("-inf"))
    ranked_BS = confidence_BS.sort(-1, descending=True).values
    threshold_B1 = ranked_BS.gather(-1, (reveal_B - 1).clamp(min=0)[:, None])
    threshold_B1 = torch.where(reveal_B[:, None] > 0, threshold_B1, float("inf"))
    return torch.where(confidence_BS >= threshold_B1, candidate_BS, x_BS)
