"""The official reverse process, exactly: one joint ranking of report and image, raw-exponential first step and all.

For parity and for published weights. What the corrected sampler does otherwise: docs/model.md#differences.
Legend: B batch, S state slots, K slots asked for, D width, V vocabulary.
Source: medim-spec section 5 (official MeDiM at commit ce1ea99).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from medim_forge.model.layout import TokenLayout
from medim_forge.model.sampling.noise import Draws
from medim_forge.model.sampling.schedule import arccos_counts, sigma
from medim_forge.model.sampling.settings import Sampled, SamplingError
from medim_forge.model.sampling.subs import restricted

# Raw logits [K, V], float32, of some slots of one row: those of a whole batch at once would be gigabytes.
Rows = Callable[[int, Tensor], Tensor]
LogitsOf = Callable[[Tensor, Tensor], Rows]


@dataclass(frozen=True, kw_only=True)
class OfficialSampling:
    """How the official reverse process runs. What a job file says has no default here; the rest is as published.

    Attributes:
        steps: at most; fewer where fewer slots are masked (published: 128).
        guidance: cfg; the weight at time t is cfg (1 - t), on raw logits, so that the first step is never guided; None
            for none (published: 5).
        confidence_noise: weight of Gumbel noise in the ranking, decaying with t (official: 10).
        last_time: where the times end, and the time of the final pass (official: 1e-5).
        batch: `together` is the official batch, in which the row with the fewest masked slots decides the steps of all,
            and one given token anywhere turns guidance on for all; `apart` gives every row what it would have alone.
            With as many masked slots as steps and something given in every row, both are the same.
    """

    steps: int
    guidance: float | None
    confidence_noise: float = 10.0
    last_time: float = 1e-5
    batch: Literal["apart", "together"] = "apart"


def sample_official(
    logits_of: LogitsOf,
    x0_BS: Tensor,
    given_BS: Tensor,
    layout: TokenLayout,
    sampling: OfficialSampling,
    draws: Draws,
) -> Sampled:
    """States without MASK: given tokens kept, the rest revealed as the official sampler does.

    Args:
        logits_of: (state_BS, sigma_B) -> (row, slots_K) -> raw logits [K, V], float32.
        x0_BS: given tokens where `given_BS`, anything elsewhere.
        given_BS: bool.
        layout: ids.
        sampling: how.
        draws: token and confidence noise.

    Raises:
        ValueError: a row has nothing to reveal.
    """
    return _Run(logits_of, x0_BS, given_BS, layout, sampling, draws).run()


def logits_by_row(hidden: Callable[[Tensor, Tensor], Tensor], head: Callable[[Tensor], Tensor]) -> LogitsOf:
    """Logits of the whole vocabulary, a row at a time, through the head in its own dtype, as the official code.

    Args:
        hidden: (state_BS, sigma_B) -> hidden states [B, S, D].
        head: hidden states [K, D] -> logits [K, V].
    """

    def logits_of(state_BS: Tensor, sigma_B: Tensor) -> Rows:
        hidden_BSD = hidden(state_BS, sigma_B)

        def rows(row: int, slots_K: Tensor) -> Tensor:
            logits_KV = head(hidden_BSD[row, slots_K])
            if not bool(torch.isfinite(logits_KV).all()):
                raise SamplingError(
                    (row,),
                    f"logits are not finite at sigma = {float(sigma_B[row]):.4g} for row {row}; "
                    "try model.dtype: float32, and verify the checkpoint",
                )
            return logits_KV

        return rows

    return logits_of


class _Run:
    """One batch on its way from MASK to tokens."""

    def __init__(
        self,
        logits_of: LogitsOf,
        x0_BS: Tensor,
        given_BS: Tensor,
        layout: TokenLayout,
        sampling: OfficialSampling,
        draws: Draws,
    ) -> None:
        self._logits_of, self._layout, self._sampling, self._draws = logits_of, layout, sampling, draws
        self._x0_BS, self._given_BS = x0_BS, given_BS
        self._x_BS = torch.where(given_BS, x0_BS, layout.mask_id)
        self._logprob_BS = torch.zeros(x0_BS.shape, dtype=torch.float32, device=x0_BS.device)
        self._passes = 0
        masked = (self._x_BS == layout.mask_id).sum(1).tolist()
        if min(masked) == 0:
            empty = [row for row, count in enumerate(masked) if count == 0]
            raise ValueError(f"rows {empty} have no masked slot; leave them out of the batch")
        together = sampling.batch == "together"
        fewest = min(sampling.steps, *masked)
        self._steps = [fewest if together else min(sampling.steps, count) for count in masked]
        self._counts = [arccos_counts([n], steps)[0].tolist() for n, steps in zip(masked, self._steps, strict=True)]
        # On the CPU, whatever the device: the same times everywhere.
        self._times = [torch.linspace(1, sampling.last_time, steps + 1) for steps in self._steps]
        given = given_BS.any(1).tolist()
        self._guided = [any(given)] * len(given) if together else given

    def run(self) -> Sampled:
        """Reveal everything."""
        for step in range(max(self._steps)):
            left = (self._x_BS == self._layout.mask_id).sum(1).tolist()
            counts = [
                min(own[step], rest) if step < steps else 0
                for own, rest, steps in zip(self._counts, left, self._steps, strict=True)
            ]
            if max(counts) > 0:
                self._step(step, counts)
        if bool((self._x_BS == self._layout.mask_id).any()):
            self._fill()
        state_BS = torch.where(self._given_BS, self._x0_BS, self._x_BS)
        # Where known slots rank with the others they are drawn too, and given back; nothing of them was generated.
        logprob_BS = self._logprob_BS.masked_fill(self._given_BS, 0.0)
        return Sampled(state=state_BS, logprob=logprob_BS, passes=self._passes)

    def _step(self, step: int, counts: list[int]) -> None:
        """Reveal so many of each row's most confident candidates (ties reveal more)."""
        # A row that has finished its steps keeps its last time; nothing of it is revealed any more.
        times = [own[min(step, len(own) - 2)] for own in self._times]
        sigma_B = sigma(torch.stack(times)).to(self._x_BS.device)
        cfg = self._sampling.guidance
        weights = [
            float(cfg * (1 - time)) if cfg is not None and guided else 0.0
            for time, guided in zip(times, self._guided, strict=True)
        ]
        # The unconditional pass sees MASK where something was given.
        conditional, unconditional = self._read(self._x_BS, sigma_B), None
        if max(weights) > 0:
            unconditional = self._read(torch.where(self._given_BS, self._layout.mask_id, self._x_BS), sigma_B)
        gumbel_BS = self._draws.gumbel(step).to(self._x_BS.device)
        x_BS = self._x_BS.clone()
        for row, count in enumerate(counts):
            if count <= 0:
                continue

            def weight_of(slots_K: Tensor, row: int = row) -> Tensor:
                """Unnormalised weights [K, V] of candidates: the raw exponential, or of guided logits restricted."""
                logits_KV = conditional(row, slots_K)
                if unconditional is None or weights[row] <= 0:
                    return torch.nan_to_num(logits_KV.exp(), nan=0.0, posinf=0.0, neginf=0.0)
                logits_KV = (1 + weights[row]) * logits_KV - weights[row] * unconditional(row, slots_K)
                return restricted(logits_KV, slots_K < self._layout.report_slots, self._layout).exp()

            x_BS[row] = self._revealed(row, count, step, times[row], gumbel_BS[row], weight_of)
        self._x_BS = torch.where(self._given_BS, self._x0_BS, x_BS)

    def _revealed(
        self, row: int, count: int, step: int, time: Tensor, gumbel_S: Tensor, weight_of: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The row's state [S] after its `count` most confident candidates were revealed."""
        x_S = self._x_BS[row].clone()
        masked_S = x_S == self._layout.mask_id
        slots_K = torch.nonzero(masked_S)[:, 0]
        candidate_K, chosen_K, logprob_K = self._candidates(weight_of(slots_K), step, row, slots_K)
        # Confidence: the candidate's log-weight, with Gumbel noise that decays with the time.
        noise_K = self._sampling.confidence_noise * gumbel_S[slots_K] * time.to(gumbel_S.device)
        confidence_K = chosen_K.log() + noise_K
        threshold = confidence_K.sort(descending=True).values[count - 1]
        if bool(threshold == float("-inf")):
            # Candidates of weight 0 are needed, and known slots rank with them: all slots are drawn anew.
            slots_K = torch.arange(len(x_S), device=x_S.device)
            candidate_K, _, logprob_K = self._candidates(weight_of(slots_K), step, row, slots_K)
            reveal_K = torch.ones_like(masked_S)
        else:
            reveal_K = confidence_K >= threshold
        x_S[slots_K[reveal_K]] = candidate_K[reveal_K]
        self._logprob_BS[row, slots_K[reveal_K]] = logprob_K[reveal_K]
        return x_S

    def _candidates(self, weight_KV: Tensor, step: int, row: int, slots_K: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ids drawn, their weights, and their log-probabilities, all [K]."""
        candidate_K = self._draws.pick(weight_KV, step, row, slots_K)
        # The weight of what was drawn, and its share of all weights as a log-probability.
        chosen_K = weight_KV.gather(-1, candidate_K[:, None])[:, 0]
        return candidate_K, chosen_K, chosen_K.log() - weight_KV.sum(-1).log()

    def _fill(self) -> None:
        """Whatever is still MASK holds its most probable token, without guidance."""
        sigma_B = sigma(torch.full((len(self._x_BS),), self._sampling.last_time)).to(self._x_BS.device)
        logits = self._read(self._x_BS, sigma_B)
        for row in range(len(self._x_BS)):
            slots_K = torch.nonzero(self._x_BS[row] == self._layout.mask_id)[:, 0]
            logprob_KV = restricted(logits(row, slots_K), slots_K < self._layout.report_slots, self._layout)
            best = logprob_KV.max(-1)
            self._x_BS[row, slots_K], self._logprob_BS[row, slots_K] = best.indices, best.values

    def _read(self, state_BS: Tensor, sigma_B: Tensor) -> Rows:
        """Logits of the states, a row at a time; the rows are counted."""
        self._passes += len(state_BS)
        return self._logits_of(state_BS, sigma_B)
