"""Draws: the random numbers of the reverse process, as functions of (sample, step, slot) and nothing else.

`CounterDraws` keys a Philox generator with each sample's seed, so a sample's numbers do not depend on its neighbours,
its batch or what was generated before. `InjectedDraws` replays recorded noise for parity with the official sampler.
Legend: B batch, S state slots, K slots asked for, V vocabulary.
Source: Salmon et al. 2011 (Philox); medim-spec section 5.2 (multinomial equals argmax of p / E, E ~ Exp(1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Use(IntEnum):
    """What a number is for; uses never share numbers."""

    TOKEN = 0
    CONFIDENCE = 1
    ORDER = 2
    LENGTH = 3
    SCORE = 4


class Draws(Protocol):
    """Where a sampler gets its randomness."""

    def pick(self, weight_KV: Tensor, step: int, row: int, slots_K: Tensor) -> Tensor:
        """Ids [K] for some slots of a row, drawn in proportion to unnormalised weights; id 0 where all are 0."""

    def gumbel(self, step: int) -> Tensor:
        """Standard Gumbel noise [B, S], float64."""


class CounterDraws:
    """Numbers from each sample's own seed.

    Args:
        seeds: one per row, 0 <= seed < 2**63.
        slots: S.
        device: where the numbers are wanted.
    """

    def __init__(self, seeds: Sequence[int], slots: int, device: torch.device | str = "cpu") -> None:
        self._seeds, self._slots, self._device = list(seeds), slots, device

    def uniform(self, use: Use, step: int) -> Tensor:
        """Uniform numbers [B, S] in (0, 1), float64, from 53 of 64 random bits; never 0, never 1."""
        return self._uniform(self._seeds, use, step)

    def _uniform(self, seeds: Sequence[int], use: Use, step: int) -> Tensor:
        # The counter names use and step, so that uses never share numbers and a step can be drawn without those before.
        rows = [np.random.Philox(key=seed, counter=[0, 0, step, int(use)]).random_raw(self._slots) for seed in seeds]
        return torch.from_numpy(((np.stack(rows) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53).to(
            self._device
        )

    def pick(self, weight_KV: Tensor, step: int, row: int, slots_K: Tensor) -> Tensor:
        """Ids by inverse cumulative distribution; see `Draws`."""
        u_S = self._uniform([self._seeds[row]], Use.TOKEN, step)[0]
        return inverse_cdf(weight_KV, u_S[slots_K])

    def gumbel(self, step: int) -> Tensor:
        """Gumbel noise from the confidence stream; see `Draws`."""
        return -torch.log(-torch.log(self.uniform(Use.CONFIDENCE, step)))


class InjectedDraws:
    """Recorded noise of the official sampler.

    Args:
        exponential: per executed step, [B * S, V].
        gumbel: per executed step, [B, S], float64.
        steps: which steps were executed, in the order of the records.
    """

    def __init__(self, exponential: Tensor, gumbel: Tensor, steps: Sequence[int]) -> None:
        self._exponential, self._gumbel = exponential, gumbel
        self._index = {step: index for index, step in enumerate(steps)}

    def pick(self, weight_KV: Tensor, step: int, row: int, slots_K: Tensor) -> Tensor:
        """The winner of the exponential race; see `Draws`."""
        race_BSV = self._exponential[self._index[step]].view(*self._gumbel.shape[1:], -1)
        return (weight_KV / race_BSV[row, slots_K]).argmax(-1)

    def gumbel(self, step: int) -> Tensor:
        """The recorded noise; see `Draws`."""
        return self._gumbel[self._index[step]]


def inverse_cdf(weight_RV: Tensor, u_R: Tensor) -> Tensor:
    """Ids [R] drawn in proportion to unnormalised weights, summed in float64; an id of weight 0 is never drawn.

    Rows whose weights are all 0 give id 0.
    """
    # The first id whose cumulative weight is above u times the total.
    cumulative_RV = weight_RV.double().cumsum(-1)
    total_R1 = cumulative_RV[:, -1:]
    picked_R = torch.searchsorted(cumulative_RV, u_R[:, None] * total_R1, right=True)[:, 0]
    # Rounding may give u = total: the last id of any weight stands for it.
    last_R = (cumulative_RV < total_R1).sum(-1)
    return torch.where(total_R1[:, 0] > 0, torch.minimum(picked_R, last_R), 0)
