"""Noise level sigma(t) and the reveal schedules.

Source: medim-spec sections 4 and 5.1; MaskGIT (Chang 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

EPS = 1e-3


def sigma(t: Tensor) -> Tensor:
    """Total noise of the log-linear schedule; 1 - exp(-sigma) is the share of masked tokens."""
    return -torch.log1p(-(1 - EPS) * t)


def sigma_rate(t: Tensor) -> Tensor:
    """D sigma / d t."""
    return (1 - EPS) / (1 - (1 - EPS) * t)


def loss_weight(t: Tensor) -> Tensor:
    """Dsigma / expm1(sigma), which is 1 / t: the weight of a masked token in the official loss."""
    return sigma_rate(t) / torch.expm1(sigma(t))


def stratified_times(uniform_B: Tensor) -> Tensor:
    """Times in [EPS, 1], one per stratum of the batch, as official training draws them (for parity).

    Args:
        uniform_B: float in [0, 1).
    """
    count = uniform_B.shape[0]
    u_B = (uniform_B / count + torch.arange(count, device=uniform_B.device) / count) % 1
    return (1 - EPS) * u_B + EPS


def arccos_counts(masked: Sequence[int], steps: int) -> Tensor:
    """Slots to reveal per row and step [B, S], int64: few first, many late; each row sums to its masked count.

    A single step reveals nothing: its share is 0 / 0, which the official code turns into a negative number of slots, so
    that its final pass fills everything.

    Args:
        masked: masked slots per row.
        steps: at least 1, at most the smallest masked count.
    """
    if steps == 1:
        return torch.zeros((len(masked), 1), dtype=torch.int64)
    progress = torch.linspace(1, 0, steps)
    share = torch.arccos(progress) / (math.pi * 0.5)
    share = share / share.sum()
    rows = []
    for count in masked:
        row = (share * count).round()
        row[row == 0] = 1
        row[-1] += count - row.sum()
        row[-1] = max(float(row[-1]), 0.0)
        rows.append(row.to(torch.int64))
    return torch.stack(rows)


def reveal_counts(masked: Sequence[int], steps: int) -> Tensor:
    """Slots to reveal per row and step [B, N], int64: the arccos schedule with its rounding carried over.

    Each row sums to its masked count, which the official rounding only nearly does, and depends on that count alone.
    A row with fewer slots than steps finishes early.
    """
    rows = []
    for count in masked:
        own = max(min(steps, count), 1)
        # Shares of the steps by arccos; the edges between them are rounded, so that nothing is lost or made.
        share = torch.arccos(torch.linspace(1, 0, own + 1, dtype=torch.float64)[1:])
        edges = (share.cumsum(0) / share.sum() * count).round().to(torch.int64)
        row = torch.zeros(steps, dtype=torch.int64)
        row[:own] = torch.diff(edges, prepend=edges.new_zeros(1))
        rows.append(row)
    return torch.stack(rows)
