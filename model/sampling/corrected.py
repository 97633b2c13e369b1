"""The corrected reverse process: normalised, restricted to the modality's and the domain's ids, never reveals MASK.

It runs in phases. `text_first` reveals the report, then the image; `image_first` the other way; `joint` both in one
ranking, as MeDiM does. Where the checkpoint learned report ends, a report phase begins by drawing the length.
Legend: B batch, K slots asked for, S state slots, D width, V ids allowed.
Source: MaskGIT (Chang 2022); MDLM (Sahoo 2024). What differs from the official sampler: docs/model.md#differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medim_forge.model.sampling.noise import Use, inverse_cdf
from medim_forge.model.sampling.schedule import EPS, reveal_counts
from medim_forge.model.sampling.settings import Batch, Denoiser, Reveal, Sampled, Sampling, SamplingError


class Sampler:
    """One batch on its way from MASK to tokens.

    Args:
        denoiser: the network.
        sampling: how.
        batch: what.
    """

    def __init__(self, denoiser: Denoiser, sampling: Sampling, batch: Batch) -> None:
        self._denoiser, self._sampling, self._layout = denoiser, sampling, denoiser.layout
        self._draws, self._domains = batch.draws, batch.domains
        self._state_BS = batch.state.clone()
        self._given_BS = batch.state != self._layout.mask_id
        self._logprob_BS = torch.zeros(batch.state.shape, dtype=torch.float32, device=batch.state.device)
        self._is_report_S = (
            torch.arange(self._layout.state_slots, device=batch.state.device) < self._layout.report_slots
        )
        self._allowed = {domain: self._layout.allowed(domain) for domain in set(batch.domains)}
        self._clock = self._next_phase = 0
        self._passes = 0

    def run(self) -> Sampled:
        """Reveal everything.

        Raises:
            SamplingError: logits are not finite.
        """
        sampling = self._sampling
        report_S, image_S = self._is_report_S, ~self._is_report_S
        if sampling.order == "joint":
            self._draw_lengths()
            self._phase(torch.ones_like(report_S), sampling.steps, sampling.image_reveal)
        elif sampling.order == "text_first":
            self._report_phase()
            self._phase(image_S, sampling.steps, sampling.image_reveal)
        else:
            self._phase(image_S, sampling.steps, sampling.image_reveal)
            self._report_phase()
        return Sampled(state=self._state_BS, logprob=self._logprob_BS, passes=self._passes)

    def _report_phase(self) -> None:
        """Reveal the reports, and where they end if the checkpoint learned that."""
        sampling = self._sampling
        in_order = sampling.text_reveal == "sequential" and sampling.method == "maskgit"
        if in_order and self._layout.end_id is not None:
            self._write(sampling.text_steps)
            return
        self._draw_lengths()
        self._phase(self._is_report_S, sampling.text_steps, sampling.text_reveal)

    def _write(self, steps: int) -> None:
        """Reveal reports one slot at a time in reading order, until each has drawn its end."""
        layout, slots = self._layout, self._layout.report_slots
        self._clock, self._next_phase = self._next_phase, self._next_phase + max(steps, slots)
        # Guidance needs an image to be without.
        guided = not bool(self._masked()[:, slots:].any())
        position_S = torch.arange(layout.state_slots, device=self._state_BS.device)
        while bool((masked_BS := self._masked() & self._is_report_S).any()):
            self._clock += 1
            # The first masked slot of every report is revealed, its end among the candidates.
            next_B1 = masked_BS.long().argmax(1, keepdim=True)
            self._reveal_slots(self._is_report_S, masked_BS & (position_S == next_B1), guided, ending=True)
            # Behind an end there are pads.
            ended_B1 = ((self._state_BS == layout.end_id) & self._is_report_S).any(1, keepdim=True)
            behind_BS = self._masked() & self._is_report_S & ended_B1
            self._state_BS = torch.where(behind_BS, layout.pad_id, self._state_BS)

    def _masked(self) -> Tensor:
        return self._state_BS == self._layout.mask_id

    def _times(self, slots_S: Tensor) -> Tensor:
        """Share of masked slots among those of the phase that were not given, as the network's time.

        The end and the pads behind it do not count, as in training.
        """
        ending_BS = (self._state_BS == self._layout.pad_id) | (self._state_BS == self._layout.end_id)
        open_BS = slots_S & ~self._given_BS & ~(ending_BS & self._is_report_S)
        return ((self._masked() & slots_S).sum(1) / open_BS.sum(1).clamp(min=1)).clamp(EPS, 1.0)

    def _read(self, slots_S: Tensor, guided: bool) -> Tensor:
        """Hidden states the logits of the slots come from, guidance applied."""
        t_B = self._times(slots_S)
        weight = self._sampling.guidance if bool(slots_S[-1]) else self._sampling.text_guidance
        self._passes += len(self._state_BS)
        if not guided or weight == 0:
            return self._denoiser.read(self._state_BS, t_B)
        self._passes += len(self._state_BS)
        # The unconditional side: what was given, and the other modality, are hidden.
        known_BS = (self._given_BS | ~slots_S) & ~self._masked()
        unconditional_BS = torch.where(known_BS, self._layout.mask_id, self._state_BS)
        both = self._denoiser.read(torch.cat([self._state_BS, unconditional_BS]), torch.cat([t_B, t_B]))
        conditional, unconditional = both.float().chunk(2)
        return (1 + weight) * conditional - weight * unconditional

    def _draw_lengths(self) -> None:
        """Set the end of every report that has none, and the pads behind it.

        The network's probability of the end at slot j is the hazard P(end = j | end >= j); see `model.loss`. Its odds
        feel the report's temperature, for a length drawn warmer than the sentences leaves room they fill with repeats.
        """
        layout, slots = self._layout, self._layout.report_slots
        if layout.end_id is None:
            return
        report_BT = self._state_BS[:, :slots]
        open_B = (report_BT == layout.mask_id).any(1) & ~(report_BT == layout.end_id).any(1)
        if not bool(open_B.any()):
            return
        # One pass over all reports; hazards are then read at the slots where an end can be.
        hidden_BTD = self._read(self._is_report_S, guided=not bool(self._masked()[:, slots:].any()))[:, :slots]
        last_given_B = (report_BT != layout.mask_id).long().mul(torch.arange(slots, device=report_BT.device)).amax(1)
        u_BT = self._draws.uniform(Use.LENGTH, 0)[:, :slots]
        for row in torch.nonzero(open_B)[:, 0].tolist():
            report_V, _ = self._allowed[self._domains[row]]
            ids_V = torch.cat([report_V, report_V.new_tensor([layout.end_id])]).to(report_BT.device)
            end_T = self._finite(self._denoiser.logits(hidden_BTD[row], ids_V), [row]).softmax(-1)[:, -1].double()
            # The hazard at the report's temperature: its log-odds divided by it.
            hazard_T = torch.sigmoid(torch.logit(end_T) / self._sampling.text_temperature)
            # At least one word behind what was given, if there is room for it and the end.
            first = int(last_given_B[row]) + (2 if int(last_given_B[row]) + 2 < slots else 1)
            # The first slot whose number is below its hazard; none where every number is above.
            end = next((j for j in range(first, slots) if float(u_BT[row, j]) < float(hazard_T[j])), slots)
            if end < slots:
                self._logprob_BS[row, end] = float(end_T[end].log())
                self._state_BS[row, end] = layout.end_id
                self._state_BS[row, end + 1 : slots] = layout.pad_id

    def _phase(self, slots_S: Tensor, steps: int, reveal: Reveal) -> None:
        """Reveal every masked slot among `slots_S`.

        The clock of a phase starts where the job's settings say, however few steps the batch needed before it.
        """
        self._clock, self._next_phase = self._next_phase, self._next_phase + steps
        pending_BS = self._masked() & slots_S
        most = int(pending_BS.sum(1).max())
        if most == 0:
            return
        ancestral = self._sampling.method == "ancestral"
        steps = steps if ancestral else min(steps, most)
        counts_BN = reveal_counts(pending_BS.sum(1).tolist(), steps)
        step_BS = self._unmasking_steps(pending_BS, counts_BN, steps, reveal)
        other_known = bool(slots_S.all()) or not bool((self._masked() & ~slots_S).any())
        for step in range(steps):
            self._clock += 1
            if reveal == "confidence" and not ancestral:
                if int(counts_BN[:, step].max()) > 0:
                    self._reveal_confident(slots_S, counts_BN[:, step], other_known)
            elif bool((step_BS == step).any()):
                self._reveal_slots(slots_S, step_BS == step, other_known)

    def _unmasking_steps(self, pending_BS: Tensor, counts_BN: Tensor, steps: int, reveal: Reveal) -> Tensor:
        """Step at which each slot is revealed [B, S], -1 where none: any or reading order, or independent times."""
        u_BS = self._draws.uniform(Use.ORDER, self._clock)
        if self._sampling.method == "ancestral":
            return torch.where(pending_BS, (u_BS * steps).long().clamp(max=steps - 1), -1)
        if reveal == "sequential":
            u_BS = torch.linspace(0, 1, pending_BS.shape[1], device=u_BS.device, dtype=u_BS.dtype).expand(u_BS.shape)
        # A slot's rank among the pending ones, then the step whose cumulative count first exceeds it.
        rank_BS = torch.where(pending_BS, u_BS, 2.0).argsort(1).argsort(1)
        edges_BN = counts_BN.cumsum(1).to(rank_BS.device)
        return torch.where(pending_BS, torch.searchsorted(edges_BN, rank_BS, right=True), -1)

    def _reveal_slots(self, slots_S: Tensor, chosen_BS: Tensor, guided: bool, *, ending: bool = False) -> None:
        """The chosen slots hold a token."""
        hidden_BSD = self._read(slots_S, guided)
        picked_BS, logprob_BS = self._candidates(hidden_BSD, chosen_BS, ending=ending)
        self._state_BS = torch.where(chosen_BS, picked_BS, self._state_BS)
        self._logprob_BS = torch.where(chosen_BS, logprob_BS, self._logprob_BS)

    def _reveal_confident(self, slots_S: Tensor, count_B: Tensor, guided: bool) -> None:
        """The `count_B` most confident candidates of each row are revealed; the others are drawn again later."""
        masked_BS = self._masked() & slots_S
        hidden_BSD = self._read(slots_S, guided)
        picked_BS, logprob_BS = self._candidates(hidden_BSD, masked_BS)
        # Confidence: log-probability, with Gumbel noise that decays with the share of masked slots.
        noise_BS = self._sampling.confidence_noise * self._times(slots_S)[:, None] * self._draws.gumbel(self._clock)
        confidence_BS = torch.where(masked_BS, logprob_BS.double() + noise_BS, float("-inf"))
        rank_BS = confidence_BS.argsort(dim=1, descending=True, stable=True).argsort(1)
        chosen_BS = masked_BS & (rank_BS < count_B.to(rank_BS.device)[:, None])
        self._state_BS = torch.where(chosen_BS, picked_BS, self._state_BS)
        self._logprob_BS = torch.where(chosen_BS, logprob_BS, self._logprob_BS)

    def _candidates(self, hidden_BSD: Tensor, wanted_BS: Tensor, *, ending: bool = False) -> tuple[Tensor, Tensor]:
        """Tokens drawn for the wanted slots [B, S], and their log-probabilities before temperature.

        Logits are made for every slot of a modality and then chosen from: a product over the wanted rows alone would
        have another shape in another batch, and other shapes round differently. `ending` allows the end of a report.
        """
        u_BS = self._draws.uniform(Use.TOKEN, self._clock)
        picked_BS, logprob_BS = torch.zeros_like(self._state_BS), torch.zeros_like(self._logprob_BS)
        for domain, allowed in self._allowed.items():
            of_domain_B1 = torch.tensor([name == domain for name in self._domains], device=wanted_BS.device)[:, None]
            temperatures = (self._sampling.text_temperature, self._sampling.image_temperature)
            for is_report, ids, temperature in zip((True, False), allowed, temperatures, strict=True):
                side_S = self._is_report_S == is_report
                here_BS = wanted_BS & side_S & of_domain_B1
                if not bool(here_BS.any()):
                    continue
                # What may be drawn: ids of this side and domain, and the end of a report where one is due.
                ends = ids.new_tensor([self._layout.end_id] * (ending and is_report))
                ids_V = torch.cat([ends, ids]).to(wanted_BS.device)
                # Logits of every slot of the side, then those of the wanted slots.
                logits_RV = self._denoiser.logits(hidden_BSD[:, side_S].flatten(0, 1), ids_V)
                logits_RV = logits_RV[here_BS[:, side_S].flatten()]
                rows = torch.nonzero(here_BS)[:, 0].tolist()
                logprobs_RV = self._finite(logits_RV, rows).log_softmax(-1)
                # Drawn at the temperature, from each slot's own number; scored without it.
                index_R = inverse_cdf(_tempered(logprobs_RV, temperature).softmax(-1), u_BS[here_BS])
                picked_BS[here_BS] = ids_V[index_R]
                logprob_BS[here_BS] = logprobs_RV.gather(1, index_R[:, None])[:, 0].float()
        return picked_BS, logprob_BS

    def _finite(self, logits_RV: Tensor, rows: Sequence[int]) -> Tensor:
        """The logits, known to be finite; `rows` says which row of the batch each is of, or one row for all.

        Raises:
            SamplingError: they are not.
        """
        failed_R = ~torch.isfinite(logits_RV).all(-1)
        if bool(failed_R.any()):
            failed = sorted({rows[i] if len(rows) > 1 else rows[0] for i in torch.nonzero(failed_R)[:, 0].tolist()})
            raise SamplingError(
                failed,
                f"logits are not finite at denoising step {self._clock} for rows {failed}; "
                "try model.dtype: float32, and verify the checkpoint",
            )
        return logits_RV


def _tempered(logprobs_RV: Tensor, temperature: float) -> Tensor:
    """Log-probabilities over the temperature, up to a constant of each row; finite at its best id however low it is."""
    tempered_RV = logprobs_RV / temperature
    if bool(torch.isfinite(tempered_RV.amax(-1)).all()):
        return tempered_RV
    # Near 0 even the best id overflows, which is 0 when it is measured from itself.
    least = torch.finfo(logprobs_RV.dtype).tiny
    return (logprobs_RV - logprobs_RV.amax(-1, keepdim=True)) / max(temperature, least)
