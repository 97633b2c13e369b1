"""The diffusion training loss, and how tokens are corrupted for it.

Two corruptions: the official one (one time for report and image, every slot masked on its own), and the mixture that
the embedded checkpoint is trained on, which also shows rows whose report or image is wholly given or wholly absent
and which teaches the end of the report. `diffusion_loss` is the official loss as the published code writes it; training
computes the same from weights that are known beforehand (`generator/training/objective.py`), and tests/parity checks
both.
Legend: B batch, T report slots, I image slots, S = T + I, V vocabulary.
Source: medim-spec section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from medim_forge.model.layout import TokenLayout
from medim_forge.model.sampling.schedule import EPS, loss_weight
from medim_forge.model.sampling.subs import subs


def corrupt(
    x0_BS: Tensor, t_B: Tensor, uniform_BS: Tensor, layout: TokenLayout, *, keep_BS: Tensor | None = None
) -> Tensor:
    """The official corruption: each slot becomes MASK with probability (1 - EPS) t.

    Args:
        x0_BS: clean state.
        t_B: times.
        uniform_BS: float in [0, 1).
        layout: ids.
        keep_BS: slots that are never masked (the prompt, in one batch of ten).
    """
    masked_BS = uniform_BS < (1 - EPS) * t_B[:, None]
    if keep_BS is not None:
        masked_BS &= ~keep_BS
    return torch.where(masked_BS, layout.mask_id, x0_BS)


def diffusion_loss(
    logits_BSV: Tensor, x0_BS: Tensor, xt_BS: Tensor, t_B: Tensor, counted_BS: Tensor, layout: TokenLayout
) -> tuple[Tensor, Tensor]:
    """The official loss and its terms per slot [B, S]: -log p(x0) / t over counted slots (report pads do not count)."""
    logprobs_BSV = subs(logits_BSV, layout, xt_BS)
    nll_BS = -logprobs_BSV.gather(-1, x0_BS[..., None])[..., 0] * loss_weight(t_B)[:, None] * counted_BS
    return nll_BS.sum() / counted_BS.sum(), nll_BS


@dataclass(frozen=True, kw_only=True)
class CorruptionMix:
    """Shares of the row kinds of the embedded checkpoint's training; they sum to 1.

    Attributes:
        joint: report and image noised at one time.
        report_given: whole report visible, image noised.
        report_absent: whole report masked, image noised (the unconditional side of guidance).
        image_given: whole image visible, report noised.
        image_absent: whole image masked, report noised (the report phase of joint pairs).
        opening_kept: share of report-noised rows whose opening stays visible.
        ending_masked: share of report-noised rows in which everything after the opening is masked, the end too.
        reading_order: share of rows with the image given or absent whose report is masked from some slot on.
        reading_end: share of those whose end, and all behind it, is masked too, as it is when a report is revealed in
            reading order; what comes next counts 5 fold there.
    """

    joint: float
    report_given: float
    report_absent: float
    image_given: float
    image_absent: float
    opening_kept: float
    ending_masked: float
    reading_order: float
    reading_end: float


# Kinds of corrupted rows, in the order of the mixture's first five shares.
JOINT, REPORT_GIVEN, REPORT_ABSENT, IMAGE_GIVEN, IMAGE_ABSENT = range(5)


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """A corrupted batch.

    Attributes:
        xt: int64 [B, S].
        t: float32 [B], time of the noised side.
        report_weight: float32 [B, T], loss weight per report slot, 0 where not counted.
        image_weight: float32 [B, I].
    """

    xt: NDArray[np.int64]
    t: NDArray[np.float32]
    report_weight: NDArray[np.float32]
    image_weight: NDArray[np.float32]


def corrupt_mix(
    x0_BS: NDArray[np.int64],
    opening_B: NDArray[np.int64],
    layout: TokenLayout,
    mix: CorruptionMix,
    rng: np.random.Generator,
) -> Corrupted:
    """A batch corrupted by the mixture.

    The end of a report and the pads behind it form one unit: visible, or masked together with all that follows the
    opening. So a report slot is asked "is this the end?" only up to the true end: the learned answer is the hazard
    P(end = j | end >= j), from which the length is drawn when sampling.

    Args:
        x0_BS: clean states; reports hold `end_id` once, pads behind it.
        opening_B: report slots of the opening (bos included).
        layout: ids and slots.
        mix: shares.
        rng: source of all randomness.
    """
    assert layout.end_id is not None
    rows, slots = x0_BS.shape[0], layout.report_slots
    # A time per row, one in each stratum of the batch, in random order; then the kind of each row, 0 .. 4 as above.
    t_B = ((rng.random() + np.arange(rows)) / rows * (1 - EPS) + EPS)[rng.permutation(rows)]
    shares = np.array([mix.joint, mix.report_given, mix.report_absent, mix.image_given, mix.image_absent])
    kind_B = np.asarray(rng.choice(5, size=rows, p=shares / shares.sum()))
    # Where the opening and the end of each report are.
    position_T = np.arange(slots)
    end_B = (x0_BS[:, :slots] == layout.end_id).argmax(1)
    opening_BT = position_T < opening_B[:, None]
    inner_BT = position_T < end_B[:, None]

    # Reports: joint, image given and image absent have noised ones, masked slot by slot before their end.
    noised_B = np.isin(kind_B, (JOINT, IMAGE_GIVEN, IMAGE_ABSENT))
    # Some of those are masked whole, the end too: but for joint rows, that is time 1.
    ending_B = noised_B & (rng.random(rows) < mix.ending_masked)
    t_B = np.where(ending_B & (kind_B != JOINT), 1.0, t_B)
    masked_BT = (rng.random((rows, slots)) < t_B[:, None]) & inner_BT & noised_B[:, None]
    # An absent report is masked whole too; most noised reports keep their opening.
    kept_B = (rng.random(rows) < mix.opening_kept) & noised_B
    masked_BT |= ending_B[:, None] | (kind_B == REPORT_ABSENT)[:, None]
    masked_BT &= ~(opening_BT & kept_B[:, None])

    masked_BI, counted_BI = _images(kind_B, t_B, layout.image_slots, rng)
    # Some of the rows with a noised report alone are masked in reading order instead.
    eligible_B = np.isin(kind_B, (IMAGE_GIVEN, IMAGE_ABSENT)) & ~ending_B
    masked_BT, t_B, emphasis_BT = _read_in_order(masked_BT, t_B, eligible_B, opening_B, end_B, mix, rng)
    # Report slots count up to the true end; an absent report does not count. Their weight is 1 / t, at most 5.
    counted_BT = masked_BT & (position_T <= end_B[:, None]) & (kind_B != REPORT_ABSENT)[:, None]
    masked_BS = np.concatenate([masked_BT, masked_BI], axis=1)
    return Corrupted(
        xt=np.where(masked_BS, layout.mask_id, x0_BS),
        t=t_B.astype(np.float32),
        report_weight=(counted_BT * emphasis_BT * np.minimum(1 / t_B, 5)[:, None]).astype(np.float32),
        image_weight=counted_BI.astype(np.float32),
    )


def _images(
    kind_B: NDArray[np.int64], t_B: NDArray[np.float64], slots: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which image slots are masked, and which of them count, [B, I].

    Joint rows and those whose report is given or absent have noised images. An absent image is masked, and does not
    count.
    """
    masked_BI = rng.random((len(kind_B), slots)) < t_B[:, None]
    masked_BI &= ~np.isin(kind_B, (IMAGE_GIVEN, IMAGE_ABSENT))[:, None]
    return masked_BI | (kind_B == IMAGE_ABSENT)[:, None], masked_BI


def _read_in_order(
    masked_BT: NDArray[np.bool_],
    t_B: NDArray[np.float64],
    eligible_B: NDArray[np.bool_],
    opening_B: NDArray[np.int64],
    end_B: NDArray[np.int64],
    mix: CorruptionMix,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Some eligible rows are masked from a slot on, as when a report is revealed in reading order.

    Returns:
        masked_BT and t_B with these rows changed, and emphasis_BT: 5 for what comes next where the end is masked too.
    """
    rows, slots = masked_BT.shape
    position_T = np.arange(slots)
    # Which rows, where they are cut, and whether the end is masked with what is before it.
    reading_B = eligible_B & (rng.random(rows) < mix.reading_order)
    place_B = rng.random(rows)
    unended_B = reading_B & (rng.random(rows) < mix.reading_end)
    cut_B = opening_B + (place_B * (end_B + unended_B - opening_B)).astype(np.int64)
    # Masked from the cut to the end, or to the last slot; the time is the share of slots behind the opening.
    suffix_BT = (position_T >= cut_B[:, None]) & ((position_T < end_B[:, None]) | unended_B[:, None])
    stop_B = np.where(unended_B, slots, end_B)
    return (
        np.where(reading_B[:, None], suffix_BT, masked_BT),
        np.where(reading_B, (stop_B - cut_B) / (stop_B - opening_B), t_B),
        np.where(unended_B[:, None] & (position_T == cut_B[:, None]), 5.0, 1.0),
    )


def weighted_cross_entropy(logits_BKV: Tensor, target_BK: Tensor, weight_BK: Tensor) -> Tensor:
    """Weighted mean of the cross-entropy, nats per token; 0 where nothing counts."""
    nll_R = functional.cross_entropy(logits_BKV.flatten(0, 1).float(), target_BK.flatten(), reduction="none")
    weight_R = weight_BK.flatten()
    return (nll_R * weight_R).sum() / weight_R.sum().clamp(min=1e-6)
