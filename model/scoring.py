"""How well a report and an image agree, by the model's own likelihoods.

Pointwise mutual information both ways: log p(masked slots | the rest of their side, the other side) minus the same with
the other side masked, with common masks, nats per token. No weights beyond the replica's. The pass in which both sides
are masked serves both ways, and its report half is how fluent the report is without any image.
Legend: B batch, S state slots, T report slots, I image slots, D width, R rows, V ids.
Source: the ELBO trick of diffusion classifiers (Li 2023, arXiv 2303.16203), as a difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medim_forge.model.sampling.noise import CounterDraws, Use
from medim_forge.model.sampling.settings import Denoiser, SamplingError
from medim_forge.model.text import ReportTokenizer

MASK_RATIOS = (1.0, 0.5)
LEAN_RATIOS = (1.0,)
SHARE_OF_SAMPLING = 0.25
END_MARKS = (".", "!", "?", ":")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much scoring a job pays for.

    Attributes:
        ratios: share of slots hidden in each mask set; the first is 1.
        control_every: how many pairs share one control, a pair scored with another one's report.
    """

    ratios: tuple[float, ...] = MASK_RATIOS
    control_every: int = 1

    def rows(self) -> float:
        """Rows through the network for each pair, the control included, if none of them is remembered."""
        return passes_per_pair(self.ratios) + 2 * len(self.ratios) / self.control_every


EFFORTS = (Effort(), Effort(ratios=LEAN_RATIOS), Effort(ratios=LEAN_RATIOS, control_every=4))


def passes_per_pair(ratios: Sequence[float]) -> int:
    """Rows that `Scorer.score` reads for each pair, remembered ones included; `Scorer.others` reads two more a set."""
    return 4 * len(ratios) - 1


def affordable(sampling_rows: float) -> Effort:
    """The most scoring that costs at most a quarter of sampling, or the least there is.

    Args:
        sampling_rows: that sampling sends through the network for each pair.
    """
    fitting = (one for one in EFFORTS if one.rows() <= SHARE_OF_SAMPLING * sampling_rows)
    return next(fitting, EFFORTS[-1])


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the passes over finished pairs say; NaN where no report slot could be scored.

    Attributes:
        agreement: float32 [B], of the report given the image, nats per report token.
        image_agreement: float32 [B], of the image given the report, nats per image code.
        fluency: float32 [B], log-likelihood of the report without the image, nats per report token.
        image_fluency: float32 [B], log-likelihood of the image without the report, nats per image code.
        slot_agreement: float32 [B, T], of each report slot given the image, the other slots masked; NaN elsewhere.
        embedding: float16 [B, D], hidden states of the image slots with the report masked, averaged.
        passes: rows that were read, remembered ones included.
    """

    agreement: Tensor
    image_agreement: Tensor
    fluency: Tensor
    image_fluency: Tensor
    slot_agreement: Tensor
    embedding: Tensor
    passes: int


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Which slots are hidden at one ratio.

    Attributes:
        report: bool [B, T].
        image: bool [B, I].
        report_time, image_time: float32 [B], the network's time for either side.
    """

    report: Tensor
    image: Tensor
    report_time: Tensor
    image_time: Tensor


class Scorer:
    """Finished states with their masks, ready to be looked at.

    Args:
        denoiser: the network.
        state_BS: int64, without MASK.
        opening_B: report slots of the domain's opening (bos included), which always stay visible.
        draws: the mask sets come from its score stream.
        ratios: share of slots hidden in each mask set; the first must be 1.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        state_BS: Tensor,
        opening_B: Tensor,
        draws: CounterDraws,
        ratios: Sequence[float] = MASK_RATIOS,
    ) -> None:
        assert ratios[0] == 1.0, "slots and embedding are scored with everything masked"
        self._denoiser, self._layout, self._state_BS = denoiser, denoiser.layout, state_BS
        self._ratios = tuple(ratios)
        layout, slots = self._layout, self._layout.report_slots
        report_BT = state_BS[:, :slots]
        position_T = torch.arange(slots, device=state_BS.device)
        self._content_BT = (
            (position_T >= opening_B[:, None])
            & (report_BT != layout.pad_id)
            & (report_BT != (layout.end_id if layout.end_id is not None else -1))
            # Official sampling can leave ids there that no report is made of.
            & torch.isin(report_BT, layout.report_content().to(report_BT.device))
        )
        draw_BS = draws.uniform(Use.SCORE, 0)
        self._rank_BT = torch.where(self._content_BT, draw_BS[:, :slots], 2.0).argsort(1).argsort(1)
        self._rank_BI = draw_BS[:, slots:].argsort(1).argsort(1)
        self._report_ids = layout.report_content().to(state_BS.device)
        self._image_ids = torch.arange(layout.image_offset, layout.vocab, device=state_BS.device)

    def score(self) -> Scores:
        """Agreement both ways, fluency and embedding."""
        slots = self._layout.report_slots
        sums = {
            name: torch.zeros(len(self._state_BS), dtype=torch.float64) for name in ("text", "image", "read", "look")
        }
        embedding_BD = slot_BT = None
        for ratio in self._ratios:
            masks, state_BS = self._masks(ratio), self._state_BS
            hidden_BS = self._hide(state_BS, report=masks.report)
            blind_BS = self._hide(hidden_BS, image=torch.ones_like(masks.image))
            pictured_BS = self._hide(state_BS, image=masks.image)
            if ratio == 1.0:
                # Nothing of the pair is left there but its opening and its report's length.
                blind_BSD = dark_BSD = self._denoiser.read_alone(blind_BS, masks.report_time)
                seen_BSD = self._read([hidden_BS], [masks.report_time])
                told_BSD = self._read([pictured_BS], [masks.image_time])
            else:
                seen_BSD, blind_BSD = self._read([hidden_BS, blind_BS], [masks.report_time] * 2).chunk(2)
                untold_BS = self._hide(pictured_BS, report=self._content_BT)
                told_BSD, dark_BSD = self._read([pictured_BS, untold_BS], [masks.image_time] * 2).chunk(2)
            seen_BT = self._report_logprobs(seen_BSD, masks.report)
            alone_BT = self._report_logprobs(blind_BSD, masks.report)
            if slot_BT is None or embedding_BD is None:
                embedding_BD = seen_BSD[:, slots:].float().mean(1).to(torch.float16)
                slot_BT = torch.where(masks.report, seen_BT - alone_BT, torch.nan).float()
            told_BI = self._image_logprobs(told_BSD, masks.image)
            dark_BI = self._image_logprobs(dark_BSD, masks.image)
            for name, value_BK, chosen_BK in (
                ("text", seen_BT - alone_BT, masks.report),
                ("read", alone_BT, masks.report),
                ("image", told_BI - dark_BI, masks.image),
                ("look", dark_BI, masks.image),
            ):
                sums[name] += (value_BK.sum(1) / chosen_BK.sum(1)).cpu()
        assert embedding_BD is not None
        assert slot_BT is not None
        wordless_B = ~self._content_BT.any(1).cpu()
        means = {name: (value / len(self._ratios)).float() for name, value in sums.items()}
        return Scores(
            agreement=means["text"],
            image_agreement=means["image"].masked_fill(wordless_B, torch.nan),
            fluency=means["read"],
            image_fluency=means["look"],
            slot_agreement=slot_BT.masked_fill(~self._content_BT, torch.nan),
            embedding=embedding_BD,
            passes=passes_per_pair(self._ratios) * len(self._state_BS),
        )

    def others(self, other: Scorer) -> tuple[Tensor, Tensor]:
        """Log-likelihoods of the other states' reports given our images, and of our images given those reports.

        Each side keeps its own masks, so that what it has without the other side is known from `score` already.

        Returns:
            float32 [B] nats per report token, and float32 [B] nats per image code.
        """
        slots = self._layout.report_slots
        mixed_BS = torch.cat([other._state_BS[:, :slots], self._state_BS[:, slots:]], 1)
        told_B, shown_B = (torch.zeros(len(mixed_BS), dtype=torch.float64) for _ in range(2))
        for ratio in self._ratios:
            theirs, ours = other._masks(ratio), self._masks(ratio)
            rows = [self._hide(mixed_BS, report=theirs.report), self._hide(mixed_BS, image=ours.image)]
            seen_BSD, told_BSD = self._read(rows, [theirs.report_time, ours.image_time]).chunk(2)
            seen_BT = other._report_logprobs(seen_BSD, theirs.report)
            shown_B += (seen_BT.sum(1) / theirs.report.sum(1)).cpu()
            told_B += (self._image_logprobs(told_BSD, ours.image).sum(1) / ours.image.sum(1)).cpu()
        return (shown_B / len(self._ratios)).float(), (told_B / len(self._ratios)).float()

    def _masks(self, ratio: float) -> Masks:
        words_B = self._content_BT.sum(1)
        count_B = (words_B * ratio).ceil()
        codes = -(-self._rank_BI.shape[1] * ratio // 1)
        return Masks(
            report=self._content_BT & (self._rank_BT < count_B[:, None]),
            image=self._rank_BI < codes,
            report_time=(count_B / words_B.clamp(min=1)).clamp(1e-3, 1.0).float(),
            image_time=torch.full_like(count_B, codes / self._rank_BI.shape[1], dtype=torch.float32),
        )

    def _hide(self, state_BS: Tensor, *, report: Tensor | None = None, image: Tensor | None = None) -> Tensor:
        """The state with MASK in the named slots."""
        slots, mask_id = self._layout.report_slots, self._layout.mask_id
        report_BT, image_BI = state_BS[:, :slots], state_BS[:, slots:]
        if report is not None:
            report_BT = torch.where(report, mask_id, report_BT)
        if image is not None:
            image_BI = torch.where(image, mask_id, image_BI)
        return torch.cat([report_BT, image_BI], 1)

    def _read(self, states: list[Tensor], times: list[Tensor]) -> Tensor:
        return self._denoiser.read(torch.cat(states), torch.cat(times))

    def _report_logprobs(self, read_BSD: Tensor, wanted_BT: Tensor) -> Tensor:
        """Log-probability of each wanted report token [B, T], float64; 0 elsewhere."""
        slots = self._layout.report_slots
        return _logprobs(self._denoiser, read_BSD[:, :slots], self._state_BS[:, :slots], wanted_BT, self._report_ids)

    def _image_logprobs(self, read_BSD: Tensor, wanted_BI: Tensor) -> Tensor:
        """Log-probability of each wanted image code [B, I], float64; 0 elsewhere."""
        slots = self._layout.report_slots
        return _logprobs(self._denoiser, read_BSD[:, slots:], self._state_BS[:, slots:], wanted_BI, self._image_ids)


def _logprobs(denoiser: Denoiser, read_BKD: Tensor, token_BK: Tensor, wanted_BK: Tensor, ids_V: Tensor) -> Tensor:
    """Log-probability among `ids_V` of each wanted token [B, K], float64; 0 elsewhere.

    Row by row and all slots of it: a product over the wanted slots of the whole batch would have another shape beside
    other neighbours, and other shapes round differently; all rows at once would need a vocabulary's width for each.
    """
    out_BK = torch.zeros(token_BK.shape, dtype=torch.float64, device=token_BK.device)
    for row, wanted_K in enumerate(wanted_BK):
        logits_KV = denoiser.logits(read_BKD[row], ids_V)
        if not bool(torch.isfinite(logits_KV).all()):
            raise SamplingError(
                (row,),
                f"logits are not finite when the pair is scored, for row {row}; try model.dtype: float32, and "
                "verify the checkpoint",
            )
        index_K = torch.searchsorted(ids_V, torch.where(wanted_K, token_BK[row], ids_V[0]))
        found_K = logits_KV.double().log_softmax(-1).gather(1, index_K[:, None])[:, 0]
        out_BK[row] = torch.where(wanted_K, found_K, 0.0)
    return out_BK


def score(
    denoiser: Denoiser,
    state_BS: Tensor,
    opening_B: Tensor,
    draws: CounterDraws,
    ratios: Sequence[float] = MASK_RATIOS,
) -> Scores:
    """Agreement both ways, fluency and embedding of finished states; see `Scorer`."""
    return Scorer(denoiser, state_BS, opening_B, draws, ratios).score()


def by_sentence(text: ReportTokenizer, report_T: Tensor, agreement_T: Tensor) -> tuple[float, ...]:
    """Mean agreement of the scored slots of each sentence that has one, in order, nats per token."""
    parts: list[list[float]] = [[]]
    for token, value in zip(report_T.tolist(), agreement_T.tolist(), strict=True):
        if math.isnan(value):
            continue
        parts[-1].append(value)
        if text.decode([token])[-1:] in END_MARKS:
            parts.append([])
    return tuple(sum(part) / len(part) for part in parts if part)
