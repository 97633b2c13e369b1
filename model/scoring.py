"""How well a report and an image agree, by the model's own likelihoods.

Pointwise mutual information of the report given the image: log p(report slots | other slots, image) minus the same with
the image masked, with common masks, nats per token. No weights beyond the replica's.
Legend: B batch, S state slots, T report slots, D width.
Source: the ELBO trick of diffusion classifiers (Li 2023, arXiv 2303.16203), as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.noise import CounterDraws, Use
from model.sampling import Denoiser

MASK_RATIOS = (1.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a pass over finished pairs says.

    Attributes:
        agreement: float32 [B], nats per report token; NaN where no report slot could be scored.
        embedding: float16 [B, D], hidden states of the image slots with the report masked, averaged.
        passes: rows sent through the network.
    """

    agreement: Tensor
    embedding: Tensor
    passes: int


def score(denoiser: Denoiser, state_BS: Tensor, opening_B: Tensor, draws: CounterDraws) -> Scores:
    """Agreement and embedding of finished states.

    Args:
        denoiser: the network.
        state_BS: int64, without MASK.
        opening_B: report slots of the domain's opening (bos included), which always stay visible.
        draws: the mask sets come from its score stream.
    """
    layout = denoiser.layout
    slots = layout.report_slots
    position_T = torch.arange(slots, device=state_BS.device)
    report_BT = state_BS[:, :slots]
    content_BT = (
        (position_T >= opening_B[:, None])
        & (report_BT != layout.pad_id)
        & (report_BT != (layout.end_id if layout.end_id is not None else -1))
        # Official sampling can leave ids there that no report is made of.
        & torch.isin(report_BT, layout.report_content().to(report_BT.device))
    )
    ranked_BT = torch.where(content_BT, draws.uniform(Use.SCORE, 0)[:, :slots], 2.0).argsort(1).argsort(1)
    difference_B = torch.zeros(len(state_BS), dtype=torch.float64, device=state_BS.device)
    embedding_BD = None
    for ratio in MASK_RATIOS:
        count_B = (content_BT.sum(1) * ratio).ceil()
        hidden_BT = content_BT & (ranked_BT < count_B[:, None])
        masked_BS = state_BS.clone()
        masked_BS[:, :slots] = torch.where(hidden_BT, layout.mask_id, report_BT)
        blind_BS = masked_BS.clone()
        blind_BS[:, slots:] = layout.mask_id
        t_B = (count_B / content_BT.sum(1).clamp(min=1)).clamp(1e-3, 1.0).float()
        read_BSD = denoiser.read(torch.cat([masked_BS, blind_BS]), torch.cat([t_B, t_B]))
        if embedding_BD is None:
            embedding_BD = read_BSD[: len(state_BS), slots:].float().mean(1).to(torch.float16)
        logprob_BT = _target_logprobs(
            denoiser,
            read_BSD,
            torch.cat([report_BT, report_BT]),
            torch.cat([hidden_BT, hidden_BT]),
        )
        seen, blind = logprob_BT.chunk(2)
        difference_B += (seen - blind).sum(1) / hidden_BT.sum(1)
    assert embedding_BD is not None
    return Scores(
        agreement=(difference_B / len(MASK_RATIOS)).float(),
        embedding=embedding_BD,
        passes=2 * len(MASK_RATIOS) * len(state_BS),
    )


def _target_logprobs(denoiser: Denoiser, read_BSD: Tensor, report_BT: Tensor, wanted_BT: Tensor) -> Tensor:
    """Log-probability of each wanted report token [B, T], float64; 0 elsewhere."""
    out_BT = torch.zeros(report_BT.shape, dtype=torch.float64, device=report_BT.device)
    ids_V = denoiser.layout.report_content().to(report_BT.device)
    # All slots first, then the wanted ones: see `Sampler._candidates`.
    logits_RV = denoiser.logits(read_BSD[:, : report_BT.shape[1]].flatten(0, 1), ids_V)[wanted_BT.flatten()]
    logprobs_RV = logits_RV.double().log_softmax(-1)
    index_R = torch.searchsorted(ids_V, report_BT[wanted_BT])
    out_BT[wanted_BT] = logprobs_RV.gather(1, index_R[:, None])[:, 0]
    return out_BT
