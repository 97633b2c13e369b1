"""How well a report and an image agree, by the model's own likelihoods.

Pointwise mutual information both ways: log p(hidden slots | the rest of their side, the other side) minus the same with
the other side hidden, with common masks, nats per token. No weights beyond the replica's. Each mask set reads four rows
of a pair, and from each the log-likelihood of the slots that are hidden on one side:

| row                  | report               | image               | what is read                           |
|----------------------|----------------------|---------------------|----------------------------------------|
| `report_given_image` | mask set hidden      | visible             | report                                 |
| `report_alone`       | mask set hidden      | all hidden          | report: its fluency                    |
| `image_given_report` | visible              | mask set hidden     | image                                  |
| `image_alone`        | all words hidden     | mask set hidden     | image: its fluency                     |

Where the mask set is everything, the two rows without the other side are one. The opening, the end and the pads of a
report are always visible.
Legend: B batch, S state slots, T report slots, I image slots, D width, K slots of one side, V ids.
Source: the ELBO trick of diffusion classifiers (Li 2023, arXiv 2303.16203), as a difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medim_forge.model.cost import MASK_RATIOS, scoring_rows
from medim_forge.model.sampling import CounterDraws, Denoiser, SamplingError, Use
from medim_forge.model.text import ReportTokenizer

END_MARKS = (".", "!", "?", ":")


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
        passes: rows that were read, those in the cache included.
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
    """Finished states with their masks, ready to be scored.

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
        names = ("agreement", "image_agreement", "fluency", "image_fluency")
        sums = {name: torch.zeros(len(self._state_BS), dtype=torch.float64) for name in names}
        embedding_BD = slot_BT = None
        for ratio in self._ratios:
            masks = self._masks(ratio)
            report_given_image_BSD, report_alone_BSD, image_given_report_BSD, image_alone_BSD = self._read_rows(
                masks, everything=ratio == 1.0
            )
            report_given_image_BT = self._report_logprobs(report_given_image_BSD, masks.report)
            report_alone_BT = self._report_logprobs(report_alone_BSD, masks.report)
            image_given_report_BI = self._image_logprobs(image_given_report_BSD, masks.image)
            image_alone_BI = self._image_logprobs(image_alone_BSD, masks.image)
            if slot_BT is None or embedding_BD is None:
                # The first mask set is everything: the embedding is of the image alone, and every word has a score.
                embedding_BD = report_given_image_BSD[:, slots:].float().mean(1).to(torch.float16)
                slot_BT = torch.where(masks.report, report_given_image_BT - report_alone_BT, torch.nan).float()
            for name, value_BK, hidden_BK in (
                ("agreement", report_given_image_BT - report_alone_BT, masks.report),
                ("fluency", report_alone_BT, masks.report),
                ("image_agreement", image_given_report_BI - image_alone_BI, masks.image),
                ("image_fluency", image_alone_BI, masks.image),
            ):
                sums[name] += (value_BK.sum(1) / hidden_BK.sum(1)).cpu()
        assert embedding_BD is not None
        assert slot_BT is not None
        wordless_B = ~self._content_BT.any(1).cpu()
        means = {name: (value_B / len(self._ratios)).float() for name, value_B in sums.items()}
        return Scores(
            agreement=means["agreement"],
            image_agreement=means["image_agreement"].masked_fill(wordless_B, torch.nan),
            fluency=means["fluency"],
            image_fluency=means["image_fluency"],
            slot_agreement=slot_BT.masked_fill(~self._content_BT, torch.nan),
            embedding=embedding_BD,
            passes=scoring_rows(self._ratios) * len(self._state_BS),
        )

    def _read_rows(self, masks: Masks, *, everything: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Hidden states [B, S, D] of the four rows of a mask set, in the order of the table above.

        Args:
            masks: what is hidden.
            everything: whether the mask set hides all words and the whole image.
        """
        state_BS = self._state_BS
        report_given_image_BS = self._hide(state_BS, report=masks.report)
        report_alone_BS = self._hide(report_given_image_BS, image=torch.ones_like(masks.image))
        image_given_report_BS = self._hide(state_BS, image=masks.image)
        if everything:
            # Nothing of the pair is left in this row but its opening and its report's length: the cache may know it.
            alone_BSD = self._denoiser.read_alone(report_alone_BS, masks.report_time)
            report_given_image_BSD = self._read([report_given_image_BS], [masks.report_time])
            image_given_report_BSD = self._read([image_given_report_BS], [masks.image_time])
            return report_given_image_BSD, alone_BSD, image_given_report_BSD, alone_BSD
        report_rows = [report_given_image_BS, report_alone_BS]
        report_given_image_BSD, report_alone_BSD = self._read(report_rows, [masks.report_time] * 2).chunk(2)
        image_rows = [image_given_report_BS, self._hide(image_given_report_BS, report=self._content_BT)]
        image_given_report_BSD, image_alone_BSD = self._read(image_rows, [masks.image_time] * 2).chunk(2)
        return report_given_image_BSD, report_alone_BSD, image_given_report_BSD, image_alone_BSD

    def mismatched(self, other: Scorer) -> tuple[Tensor, Tensor]:
        """The negative control: log-likelihoods of the other states' reports given our images, and the reverse.

        Each side keeps its own masks, so that what it has without the other side is known from `score` already.

        Returns:
            Of the other reports given our images, float32 [B] nats per report token; and of our images given those
            reports, float32 [B] nats per image code.
        """
        slots = self._layout.report_slots
        mixed_BS = torch.cat([other._state_BS[:, :slots], self._state_BS[:, slots:]], 1)
        report_B, image_B = (torch.zeros(len(mixed_BS), dtype=torch.float64) for _ in range(2))
        for ratio in self._ratios:
            theirs, ours = other._masks(ratio), self._masks(ratio)
            rows = [self._hide(mixed_BS, report=theirs.report), self._hide(mixed_BS, image=ours.image)]
            report_BSD, image_BSD = self._read(rows, [theirs.report_time, ours.image_time]).chunk(2)
            report_B += (other._report_logprobs(report_BSD, theirs.report).sum(1) / theirs.report.sum(1)).cpu()
            image_B += (self._image_logprobs(image_BSD, ours.image).sum(1) / ours.image.sum(1)).cpu()
        return (report_B / len(self._ratios)).float(), (image_B / len(self._ratios)).float()

    def _masks(self, ratio: float) -> Masks:
        """The first slots of each row's own order, so many that they are `ratio` of its words, or of the image."""
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

    def _report_logprobs(self, hidden_BSD: Tensor, wanted_BT: Tensor) -> Tensor:
        """Log-probability of each wanted report token [B, T], float64; 0 elsewhere."""
        slots = self._layout.report_slots
        return _logprobs(self._denoiser, hidden_BSD[:, :slots], self._state_BS[:, :slots], wanted_BT, self._report_ids)

    def _image_logprobs(self, hidden_BSD: Tensor, wanted_BI: Tensor) -> Tensor:
        """Log-probability of each wanted image code [B, I], float64; 0 elsewhere."""
        slots = self._layout.report_slots
        return _logprobs(self._denoiser, hidden_BSD[:, slots:], self._state_BS[:, slots:], wanted_BI, self._image_ids)


def _logprobs(denoiser: Denoiser, hidden_BKD: Tensor, token_BK: Tensor, wanted_BK: Tensor, ids_V: Tensor) -> Tensor:
    """Log-probability among `ids_V` of each wanted token [B, K], float64; 0 elsewhere.

    Row by row and all slots of it: a product over the wanted slots of the whole batch would have another shape beside
    other neighbours, and other shapes round differently; all rows at once would need a vocabulary's width for each.
    """
    out_BK = torch.zeros(token_BK.shape, dtype=torch.float64, device=token_BK.device)
    for row, wanted_K in enumerate(wanted_BK):
        logits_KV = denoiser.logits(hidden_BKD[row], ids_V)
        if not bool(torch.isfinite(logits_KV).all()):
            raise SamplingError(
                (row,),
                f"logits are not finite when the pair is scored, for row {row}; try model.dtype: float32, and "
                "verify the checkpoint",
            )
        # Where a token stands among the ids; slots that are not wanted ask for the first id, and are blanked below.
        index_K = torch.searchsorted(ids_V, torch.where(wanted_K, token_BK[row], ids_V[0]))
        found_K = logits_KV.double().log_softmax(-1).gather(1, index_K[:, None])[:, 0]
        out_BK[row] = torch.where(wanted_K, found_K, 0.0)
    return out_BK


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
