"""SUBS: raw logits become log-probabilities of the clean token at each state slot.

MASK is never the clean token; a report slot holds a report id, an image slot an image id; revealed tokens stay.
Legend: B batch, S state slots, V vocabulary. Source: MDLM (Sahoo 2024); medim-spec section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.layout import TokenLayout

NEVER = -1e6


def subs(logits_BSV: Tensor, layout: TokenLayout, state_BS: Tensor | None = None) -> Tensor:
    """Log-probabilities [B, S, V] in nats.

    Args:
        logits_BSV: raw logits, state order.
        layout: ranges.
        state_BS: where given, slots that do not hold MASK carry their token over with log-probability 0.
    """
    logits_BSV = logits_BSV.clone()
    split = layout.report_slots
    logits_BSV[:, :, layout.mask_id] += NEVER
    logits_BSV[:, :split, layout.image_offset :] = NEVER
    logits_BSV[:, split:, : layout.image_offset] = NEVER
    logprobs_BSV = logits_BSV - logits_BSV.logsumexp(-1, keepdim=True)
    if state_BS is not None:
        known_BS = state_BS != layout.mask_id
        carried_BSV = torch.full_like(logprobs_BSV, NEVER).scatter(-1, state_BS[..., None], 0.0)
        logprobs_BSV = torch.where(known_BS[..., None], carried_BSV, logprobs_BSV)
    return logprobs_BSV
