"""Confidence intervals of macro F1 over seeds and test items, and of differences between arms, by a paired bootstrap.

Shapes: S seeds (training samples), N test items, F findings, B bootstrap draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.metrics.labels import Labels, Numbers, f1_of

LOW, HIGH = 2.5, 97.5  # percentiles of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % confidence interval.

    Attributes:
        value: on the data themselves, mean over seeds.
        low: 2.5th percentile of the bootstrap.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """How often each seed and each test item occurs in each bootstrap draw.

    Seeds and items are drawn with replacement, independently of each other, because every seed is tested on the same
    items. One set of draws serves every arm: differences are then paired, and what all arms share cancels.

    Attributes:
        seeds: float64 [B, S], rows sum to S.
        items: float64 [B, N], rows sum to N.
    """

    seeds: Numbers
    items: Numbers


def resamples(seeds: int, items: int, *, draws: int, seed: int) -> Resamples:
    """Bootstrap draws, the same for the same arguments.

    Args:
        seeds: S.
        items: N.
        draws: B.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    return Resamples(
        seeds=random.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws).astype(np.float64),
        items=random.multinomial(items, np.full(items, 1 / items), size=draws).astype(np.float64),
    )


def f1_draws(true_NF: Labels, predicted_SNF: NDArray[np.bool_], draws: Resamples) -> Numbers:
    """F1 by finding in every draw, mean over the seeds drawn.

    Args:
        true_NF: labels of the test items.
        predicted_SNF: predictions by seed.
        draws: weights of seeds and items.

    Returns:
        Float64 [B, F].
    """
    # Hits, predictions and truths of every draw, as counts weighted by how often each item was drawn.
    by_item = predicted_SNF.transpose(1, 0, 2)
    hits_BSF = counted(by_item & true_NF[:, None, :], draws)
    predicted_BSF = counted(by_item, draws)
    true_BF = draws.items @ true_NF.astype(np.float64)
    f1_BSF = f1_of(hits_BSF, np.broadcast_to(true_BF[:, None, :], hits_BSF.shape), predicted_BSF)
    # The mean over seeds, weighted by how often each was drawn.
    drawn_BF: Numbers = (draws.seeds[:, :, None] * f1_BSF).sum(axis=1)
    return drawn_BF / len(predicted_SNF)


def counted(found_NSF: NDArray[np.bool_], draws: Resamples) -> Numbers:
    """Weighted counts over items, float64 [B, S, F]."""
    items, seeds, findings = found_NSF.shape
    flat = found_NSF.reshape(items, seeds * findings).astype(np.float64)
    return (draws.items @ flat).reshape(-1, seeds, findings)


def once(seeds: int, items: int) -> Resamples:
    """The data themselves as the one draw."""
    return Resamples(seeds=np.ones((1, seeds)), items=np.ones((1, items)))


@dataclass(frozen=True, kw_only=True)
class ArmDraws:
    """F1 of one arm: on the data, and in every bootstrap draw.

    Attributes:
        value: float64 [F], mean over seeds.
        draws: float64 [B, F].
    """

    value: Numbers
    draws: Numbers

    @classmethod
    def of(cls, true_NF: Labels, predicted_SNF: NDArray[np.bool_], draws: Resamples) -> ArmDraws:
        """F1 of an arm's predictions.

        Raises:
            ValueError: shapes do not fit each other.
        """
        seeds, items, findings = predicted_SNF.shape
        if true_NF.shape != (items, findings) or (draws.seeds.shape[1], draws.items.shape[1]) != (seeds, items):
            shapes = (true_NF.shape, predicted_SNF.shape, draws.seeds.shape, draws.items.shape)
            raise ValueError(f"shapes {shapes} do not fit [N, F], [S, N, F], [B, S] and [B, N]")
        value = f1_draws(true_NF, predicted_SNF, once(seeds, items))[0]
        return cls(value=value, draws=f1_draws(true_NF, predicted_SNF, draws))

    def macro(self) -> Estimate:
        """Macro F1."""
        return interval(float(self.value.mean()), self.draws.mean(axis=1))

    def finding(self, index: int) -> Estimate:
        """F1 of one finding."""
        return interval(float(self.value[index]), self.draws[:, index])

    def minus(self, other: ArmDraws) -> ArmDraws:
        """The paired difference to another arm of the same draws."""
        return ArmDraws(value=self.value - other.value, draws=self.draws - other.draws)


def interval(value: float, draws_B: Numbers) -> Estimate:
    """The value with the percentile interval of its draws."""
    low, high = np.percentile(draws_B, [LOW, HIGH])
    return Estimate(value=value, low=float(low), high=float(high))
