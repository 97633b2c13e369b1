"""Medim: a whole model behind three verbs: encode what is given, sample the rest, decode it.

Legend: B batch, T report slots, I image slots, S = T + I, D width, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from medim_forge.model import checkpoint
from medim_forge.model.cost import MASK_RATIOS
from medim_forge.model.familiarity import with_novelty
from medim_forge.model.layout import LayoutError
from medim_forge.model.network import Conditioned, RowCache, Vqgan, conditioning_ids, stated_size, to_pixels, to_uint8
from medim_forge.model.reports import ReportSlots
from medim_forge.model.sampling import (
    Batch,
    CounterDraws,
    OfficialSampling,
    Sampled,
    Sampler,
    Sampling,
    SamplingError,
    logits_by_row,
    sample_official,
)
from medim_forge.model.scoring import Scorer, Scores, by_sentence
from medim_forge.model.values import Given, Made


class Medim:
    """A loaded model, ready to make pairs.

    Args:
        parts: config, networks and tokenizer.
    """

    def __init__(self, parts: checkpoint.Checkpoint) -> None:
        self.config, self.layout = parts.config, parts.config.layout
        self.text, self._reports = parts.text, ReportSlots(parts.config, parts.text)
        self._backbone, self._tokenizers = parts.backbone, parts.image_tokenizers
        self.device = parts.backbone.embed_tokens.weight.device
        self._read = self.layout.read_positions().to(self.device)
        self.row_cache, self._ranges = RowCache(), parts.ranges

    @staticmethod
    def load(folder: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Medim:
        """The model of a checkpoint folder; see `model.checkpoint.load`."""
        return Medim(checkpoint.load(folder, dtype=dtype, device=device))

    def hidden(self, state_BS: Tensor, sigma_B: Tensor, conditioning_BC: Tensor | None) -> Tensor:
        """Hidden states [B, S, D] behind the logits of the state slots (a `ConditionedNetwork`)."""
        hidden_BLD: Tensor = self._backbone(*self.layout.sequence(state_BS, conditioning_BC), sigma_B)
        if conditioning_BC is None:
            return hidden_BLD[:, self._read]
        read_BS1 = self.layout.read_positions_of(conditioning_BC)[..., None]
        return hidden_BLD.gather(1, read_BS1.expand(-1, -1, hidden_BLD.shape[-1]))

    def logits(self, hidden_RD: Tensor, ids_V: Tensor) -> Tensor:
        """Logits [R, V] of the given ids, float32 (a `ConditionedNetwork`)."""
        head_VD = self._backbone.head_weight[ids_V]
        wide = torch.promote_types(hidden_RD.dtype, torch.float32)
        return functional.linear(hidden_RD.to(wide), head_VD.to(wide))

    def conditioned(self, rows: Sequence[Given]) -> Conditioned:
        """The network with what these rows have between image and report.

        Raises:
            TextError: a row's image is too large to be stated.
        """
        conventions = self.config.conventions
        sizes = [row.size or stated_size(conventions, row.domain) for row in rows]
        ids_BC = conditioning_ids(conventions, self.text, sizes)
        return Conditioned(self, None if ids_BC is None else ids_BC.to(self.device), self.row_cache)

    def tokenizer_of(self, domain: str) -> int:
        """Index of the image tokenizer that serves a domain.

        Raises:
            LayoutError: none does.
        """
        for index, tokenizer in enumerate(self._tokenizers):
            if domain in tokenizer.config.domains:
                return index
        raise LayoutError(
            f"domain {domain!r} has no image tokenizer in this checkpoint; known: {', '.join(self.layout.domains)}"
        )

    def image_tokenizer(self, domain: str) -> Vqgan:
        """The image tokenizer that serves a domain; see `tokenizer_of`."""
        return self._tokenizers[self.tokenizer_of(domain)]

    @torch.inference_mode()
    def encode_image(self, image: NDArray[np.uint8], domain: str) -> Tensor:
        """Joint ids [I] of an image.

        Raises:
            ValueError: the image has another size or other channels than the tokenizer takes.
        """
        tokenizer = self.image_tokenizer(domain)
        wide = image if image.ndim == 3 else image[..., None]
        side, channels = tokenizer.config.resolution, tokenizer.config.channels
        if wide.shape != (side, side, channels):
            raise ValueError(f"{domain} image is {wide.shape}, this checkpoint takes ({side}, {side}, {channels})")
        codes_BI = tokenizer.encode(to_pixels(torch.from_numpy(np.array(wide))[None].to(self.device)))
        return self.layout.to_joint(codes_BI[0], domain)

    def report_ids(self, text: str, *, whole: bool, official: bool = False) -> list[int]:
        """Report ids of an opening, or of a whole report with its end and pads.

        Args:
            text: of one or the other.
            whole: which.
            official: whether long reports are treated as the checkpoint's conventions say.

        Raises:
            TextError: as `medim_forge.model.reports.ReportSlots.ids`.
        """
        return self._reports.ids(text, whole=whole, official=official)

    def initial_state(self, given: Given, *, official: bool = False) -> Tensor:
        """The state [S] that sampling starts from: what is given, MASK elsewhere.

        Where no word is given, `official` masks the report's bos too; otherwise it is known to be there.
        """
        state_S = torch.full((self.layout.state_slots,), self.layout.mask_id, dtype=torch.int64, device=self.device)
        if given.report_ids is not None:
            state_S[: self.layout.report_slots] = torch.from_numpy(given.report_ids.astype(np.int64))
        elif given.report is not None or given.opening:
            text = given.opening if given.report is None else given.report
            ids = self.report_ids(text, whole=given.report is not None, official=official)
            state_S[: len(ids)] = torch.tensor(ids, device=self.device)
        elif not official:
            state_S[0] = self.layout.bos_id
        if given.image is not None:
            state_S[self.layout.report_slots :] = self.encode_image(given.image, given.domain)
        return state_S

    @torch.inference_mode()
    def make(
        self,
        rows: Sequence[Given],
        sampling: Sampling | OfficialSampling,
        openings: Sequence[str],
        ratios: Sequence[float] = MASK_RATIOS,
    ) -> list[Made]:
        """One finished pair per row, which depends on that row alone, given the number of rows and its place in them.

        Args:
            rows: what is given.
            sampling: how to reveal the rest.
            openings: the domain's opening per row; agreement does not score it.
            ratios: mask sets of agreement.

        Raises:
            SamplingError: logits of some rows are not finite.
        """
        official = isinstance(sampling, OfficialSampling)
        state_BS = torch.stack([self.initial_state(row, official=official) for row in rows])
        draws = CounterDraws([row.seed for row in rows], self.layout.state_slots, self.device)
        domains = tuple(row.domain for row in rows)
        denoiser = self.conditioned(rows)
        if isinstance(sampling, OfficialSampling):
            sampled = self._sample_official(denoiser, state_BS, domains, sampling, draws)
        else:
            sampled = Sampler(denoiser, sampling, Batch(state=state_BS, domains=domains, draws=draws)).run()
        scores = Scorer(denoiser, sampled.state, self._openings(openings), draws, ratios).score()
        images = self._decode(sampled.state[:, self.layout.report_slots :], domains)
        return [
            self._made(index, row, state_BS[index], sampled, images[index], scores) for index, row in enumerate(rows)
        ]

    def _made(
        self, index: int, row: Given, start_S: Tensor, sampled: Sampled, image: NDArray[np.uint8], scores: Scores
    ) -> Made:
        """The finished pair of a row of the batch, which began as `start_S`; given sides stay as they were given."""
        slots, state_S, logprob_S = self.layout.report_slots, sampled.state[index], sampled.logprob[index]
        report_T, image_I = state_S[:slots], state_S[slots:]
        open_S = start_S == self.layout.mask_id
        made = Made(
            image=image if row.image is None else row.image,
            codes=self.layout.to_codes(image_I, row.domain).to(torch.int32).cpu().numpy(),
            report=self.text.decode(report_T.tolist()) if row.report is None else row.report,
            report_ids=report_T.to(torch.int32).cpu().numpy(),
            report_logprob=_mean(logprob_S[:slots], open_S[:slots] & (report_T != self.layout.pad_id)),
            image_logprob=_mean(logprob_S[slots:], open_S[slots:]),
            agreement=float(scores.agreement[index]),
            image_agreement=float(scores.image_agreement[index]),
            fluency=float(scores.fluency[index]),
            image_fluency=float(scores.image_fluency[index]),
            sentence_agreement=by_sentence(self.text, report_T, scores.slot_agreement[index]),
            embedding=scores.embedding[index].cpu().numpy(),
        )
        return with_novelty(made, image, self._ranges.get(row.domain))

    def _sample_official(
        self,
        denoiser: Conditioned,
        state_BS: Tensor,
        domains: Sequence[str],
        sampling: OfficialSampling,
        draws: CounterDraws,
    ) -> Sampled:
        """What the official sampler makes of the states; image slots with an id that is no code hold the nearest one.

        Raises:
            SamplingError: logits of a row are not finite.
        """
        given_BS = state_BS != self.layout.mask_id
        logits_of = logits_by_row(denoiser.hidden, self._backbone.logits)
        sampled = sample_official(logits_of, state_BS, given_BS, self.layout, sampling, draws)
        slots = self.layout.report_slots
        for row, domain in enumerate(domains):
            start, stop = self.layout.code_range(domain)
            sampled.state[row, slots:].clamp_(start, stop - 1)
        return sampled

    @torch.inference_mode()
    def agreement(
        self, rows: Sequence[Given], codes: Sequence[NDArray[np.int32]], openings: Sequence[str]
    ) -> list[float]:
        """Agreement of whole reports with images that are known by their codes, nats per report token.

        For a pair as it was made, with its seed and all mask sets, this is the figure that `make` gave it.

        Args:
            rows: each with its report.
            codes: int32 [I] per row, codebook ids.
            openings: the domain's opening per row, which is not scored.

        Raises:
            TextError: a report does not fit the report slots.
        """
        found: list[float] = self.scorer(rows, codes, openings).score().agreement.tolist()
        return found

    def scorer(
        self,
        rows: Sequence[Given],
        codes: Sequence[NDArray[np.int32]],
        openings: Sequence[str],
        ratios: Sequence[float] = MASK_RATIOS,
    ) -> Scorer:
        """The scorer of finished pairs; see `agreement`."""
        state_BS = torch.stack([self.initial_state(row) for row in rows])
        for index, (row, codes_I) in enumerate(zip(rows, codes, strict=True)):
            ids_I = self.layout.to_joint(torch.from_numpy(np.array(codes_I, np.int64)), row.domain)
            state_BS[index, self.layout.report_slots :] = ids_I.to(self.device)
        draws = CounterDraws([row.seed for row in rows], self.layout.state_slots, self.device)
        return Scorer(self.conditioned(rows), state_BS, self._openings(openings), draws, ratios)

    def _openings(self, openings: Sequence[str]) -> Tensor:
        """Report slots [B] that the openings take."""
        return torch.tensor([len(self.text.encode(opening)) for opening in openings], device=self.device)

    def _decode(self, ids_BI: Tensor, domains: Sequence[str]) -> list[NDArray[np.uint8]]:
        """Images of joint ids, one by one: a decoded image does not depend on which domains share its batch."""
        images = []
        for ids_I, domain in zip(ids_BI, domains, strict=True):
            pixels = self._tokenizers[self.tokenizer_of(domain)].decode(self.layout.to_codes(ids_I, domain)[None])
            image = to_uint8(pixels)[0].cpu().numpy()
            images.append(image[..., 0] if image.shape[-1] == 1 else image)
        return images


def _mean(logprob_K: Tensor, chosen_K: Tensor) -> float:
    """Mean of the chosen log-probabilities; NaN where none is chosen."""
    return float(logprob_K[chosen_K].mean()) if bool(chosen_K.any()) else float("nan")


__all__ = ["Given", "Made", "Medim", "OfficialSampling", "Sampling", "SamplingError"]
