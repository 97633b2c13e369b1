"""SUBS, MDLM's parameterisation by substitution: raw logits become log-probabilities of the clean token of each slot.

Two substitutions make the network's output a denoising distribution. Zero masking probabilities: MASK is never the
clean token, so its logit is put out of reach. Carry-over unmasking: a slot that shows a token keeps it, so its row is
replaced. MeDiM adds that a report slot holds a report id, and an image slot an image id.
Legend: B batch, S state slots, R rows, V vocabulary. Source: MDLM (Sahoo 2024); medim-spec section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medim_forge.model.layout import TokenLayout

NEVER = -1e6


def restricted(logits_RV: Tensor, is_report_R: Tensor, layout: TokenLayout) -> Tensor:
    """Log-probabilities [R, V] of slots that all hold MASK.

    Args:
        logits_RV: raw logits.
        is_report_R: bool, report slots among them; the others are image slots.
        layout: ranges.
    """
    logits_RV = logits_RV.clone()
    # MASK is out of reach; so are image ids for report slots, and report ids for image slots.
    logits_RV[:, layout.mask_id] += NEVER
    logits_RV[:, layout.image_offset :].masked_fill_(is_report_R[:, None], NEVER)
    logits_RV[:, : layout.image_offset].masked_fill_(~is_report_R[:, None], NEVER)
    return logits_RV - logits_RV.logsumexp(-1, keepdim=True)


def subs(logits_BSV: Tensor, layout: TokenLayout, state_BS: Tensor | None = None) -> Tensor:
    """Log-probabilities [B, S, V] in nats.

    Args:
        logits_BSV: raw logits, state order.
        layout: ranges.
        state_BS: where given, slots that do not hold MASK carry their token over with log-probability 0.
    """
    is_report_S = torch.arange(logits_BSV.shape[1], device=logits_BSV.device) < layout.report_slots
    flat_RV = logits_BSV.flatten(0, 1)
    logprobs_BSV = restricted(flat_RV, is_report_S.repeat(len(logits_BSV)), layout).view(logits_BSV.shape)
    if state_BS is not None:
        # A known slot: all probability on the token that it shows.
        known_BS = state_BS != layout.mask_id
        carried_BSV = torch.full_like(logprobs_BSV, NEVER).scatter(-1, state_BS[..., None], 0.0)
        logprobs_BSV = torch.where(known_BS[..., None], carried_BSV, logprobs_BSV)
    return logprobs_BSV
