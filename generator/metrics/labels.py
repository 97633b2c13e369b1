"""Agreement of two label matrices: F1 by finding, macro and micro, prevalence, exact match, and the negative control.

Shapes: bool [N, F] with N items and F findings. F1 is 0 where a finding is in neither matrix, as scikit-learn's
`zero_division=0` has it, so that a collapsed model cannot gain from findings it never shows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """How well predicted labels agree with true ones.

    Attributes:
        n: items.
        macro_f1: mean F1 over findings.
        micro_f1: F1 of all item-finding cells together.
        exact: share of items with every finding right.
        f1: by finding.
        prevalence_true: share of items with the finding in the first matrix.
        prevalence_predicted: the same in the second.
    """

    n: int
    macro_f1: float
    micro_f1: float
    exact: float
    f1: Mapping[str, float]
    prevalence_true: Mapping[str, float]
    prevalence_predicted: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ShuffledFloor:
    """What mismatched pairs score, the negative control: mean over permutations of the items of one side.

    Attributes:
        permutations: how many.
        macro_f1: mean.
        micro_f1: mean.
        f1: mean by finding.
    """

    permutations: int
    macro_f1: float
    micro_f1: float
    f1: Mapping[str, float]


def label_matrix(found: Sequence[Collection[str]], findings: Sequence[str]) -> Labels:
    """Bool [N, F]: item n has finding f. Findings outside the list (of another domain) are left out."""
    return np.array([[name in item for name in findings] for item in found], dtype=np.bool_).reshape(-1, len(findings))


def f1_of(hits: Numbers, true: Numbers, predicted: Numbers) -> Numbers:
    """F1 of counts of any one shape: 2 * hits / (true + predicted), 0 where both are 0."""
    total = true + predicted
    return np.divide(2 * hits, total, out=np.zeros_like(total, dtype=np.float64), where=total > 0)


def f1_by_finding(true_NF: Labels, predicted_NF: Labels) -> Numbers:
    """Float64 [F]."""
    check_shapes(true_NF, predicted_NF)
    hits = (true_NF & predicted_NF).sum(axis=0, dtype=np.float64)
    return f1_of(hits, true_NF.sum(axis=0, dtype=np.float64), predicted_NF.sum(axis=0, dtype=np.float64))


def macro_f1(true_NF: Labels, predicted_NF: Labels) -> float:
    """Mean over findings of their F1."""
    return float(f1_by_finding(true_NF, predicted_NF).mean())


def micro_f1(true_NF: Labels, predicted_NF: Labels) -> float:
    """F1 of all cells together."""
    return macro_f1(true_NF.reshape(-1, 1), predicted_NF.reshape(-1, 1))


def label_scores(true_NF: Labels, predicted_NF: Labels, findings: Sequence[str]) -> LabelScores:
    """All scores at once.

    Raises:
        ValueError: the matrices differ in shape, are empty, or do not have one column per finding.
    """
    f1 = f1_by_finding(true_NF, predicted_NF)
    return LabelScores(
        n=len(true_NF),
        macro_f1=float(f1.mean()),
        micro_f1=micro_f1(true_NF, predicted_NF),
        exact=float((true_NF == predicted_NF).all(axis=1).mean()),
        f1=named(findings, f1),
        prevalence_true=named(findings, true_NF.mean(axis=0)),
        prevalence_predicted=named(findings, predicted_NF.mean(axis=0)),
    )


def shuffled_floor(
    true_NF: Labels, predicted_NF: Labels, findings: Sequence[str], *, seed: int, permutations: int = 100
) -> ShuffledFloor:
    """The scores of mismatched pairs, whose one side is permuted: what prevalence alone earns.

    Args:
        true_NF: labels of one side.
        predicted_NF: labels of the other, whose rows are permuted.
        findings: column names.
        seed: of the permutations.
        permutations: how many to average.

    Raises:
        ValueError: as `label_scores`, or no permutation is asked for.
    """
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; at least 1 is needed")
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(predicted_NF)) for _ in range(permutations)]
    f1 = np.mean([f1_by_finding(true_NF, predicted_NF[order]) for order in orders], axis=0)
    micro = float(np.mean([micro_f1(true_NF, predicted_NF[order]) for order in orders]))
    return ShuffledFloor(permutations=permutations, macro_f1=float(f1.mean()), micro_f1=micro, f1=named(findings, f1))


def named(findings: Sequence[str], values: Numbers) -> dict[str, float]:
    """Finding to value.

    Raises:
        ValueError: there are more or fewer values than findings.
    """
    return {name: float(value) for name, value in zip(findings, values, strict=True)}


def check_shapes(true_NF: Labels, predicted_NF: Labels) -> None:
    """Both matrices can be compared.

    Raises:
        ValueError: they differ in shape or are empty.
    """
    if true_NF.shape != predicted_NF.shape or true_NF.ndim != 2 or true_NF.size == 0:
        raise ValueError(f"labels are {true_NF.shape} and {predicted_NF.shape}; two equal non-empty [N, F] are needed")
