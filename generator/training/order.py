"""Which row stands in which slot of which step, and the randomness of a step: functions of the seed, without a state.

A slot of a step takes the next row of its domain; the rows of an epoch are permuted by a keyed Feistel network, so that
the place of any row is computed and nothing is stored, drawn in advance or lost in a restart. The number of workers has
no part in it.
Legend: B rows of a step, N rows of a domain.
Source: Black and Rogaway 2002 (Ciphers with Arbitrary Finite Domains).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import SpecError
from medim_forge.generator.training.source import Source

_ROUNDS = 8
# Finaliser of splitmix64: two multiplications with shifts between them.
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for every use: the same names give the same numbers, in any process, after any restart."""
    return np.random.default_rng([seed, *(n if isinstance(n, int) else zlib.crc32(n.encode()) for n in names)])


def permuted(places: NDArray[np.int64], size: int, *key: str | int) -> NDArray[np.int64]:
    """Where a permutation of `0 .. size - 1` sends these places; every key has one of its own.

    Args:
        places: int64, each in `0 .. size - 1`.
        size: at least 1.
        key: of the permutation.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    digest = hashlib.shake_256("/".join(map(str, key)).encode()).digest(8 * _ROUNDS)
    keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)
    found = _ciphered(places.astype(np.uint64), half, keys)
    # A Feistel network permutes a power of four; who lands beyond `size` walks on along its cycle until it is within.
    while (beyond := found >= size).any():
        found[beyond] = _ciphered(found[beyond], half, keys)
    return found.astype(np.int64)


def _ciphered(values: NDArray[np.uint64], half: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    low = np.uint64((1 << half) - 1)
    left, right = values >> np.uint64(half), values & low
    for key in keys:
        mixed = right + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & low)
    return (left << np.uint64(half)) | right


class Order:
    """The order of a source's rows over the slots of all steps.

    Args:
        seed: of the order.
        source: whose rows.
        rows: B, of a step.
        shares: of each domain, by name, in any unit; None for as many as it has rows.

    Attributes:
        rows: B.

    Raises:
        SpecError: a domain has fewer rows than its slots of one step, or no share.
    """

    def __init__(self, seed: int, source: Source, rows: int, shares: Mapping[str, float] | None = None) -> None:
        self._seed, self.rows = seed, rows
        self._numbers = {domain: source.numbers(domain) for domain in source.domains}
        given = shares or {domain: len(numbers) for domain, numbers in self._numbers.items()}
        if missing := sorted(set(self._numbers) - set(given)):
            raise SpecError(f"the shares of domains say nothing of {', '.join(missing)}; add them, 0 for none")
        self._shares = [Fraction(given[domain]).limit_denominator(10**6) for domain in self._numbers]
        if sum(self._shares) <= 0:
            raise SpecError("the shares of domains are all 0; one must be above")
        most = np.max([self._counts(step) for step in range(16)], axis=0)
        for (domain, numbers), slots in zip(self._numbers.items(), most.tolist(), strict=True):
            if slots > len(numbers):
                raise SpecError(
                    f"{domain} has {len(numbers)} rows, and a step takes {slots} of it: a row would stand in a step "
                    "twice. Ask for fewer rows per step, or give more pairs."
                )

    def _drawn(self, step: int) -> list[int]:
        """Rows of each domain in all steps before this one.

        The first domain takes its share of all slots, rounded down; the next one its share of what is left. So no count
        ever falls, and each is within one row per domain of its share.
        """
        left, weight, drawn = step * self.rows, sum(self._shares, Fraction(0)), []
        for share in self._shares:
            taken = int(left * share / weight) if weight else 0
            drawn.append(taken)
            left, weight = left - taken, weight - share
        return drawn

    def _counts(self, step: int) -> list[int]:
        """Slots of each domain in a step."""
        return [after - before for before, after in zip(self._drawn(step), self._drawn(step + 1), strict=True)]

    def of(self, step: int) -> tuple[NDArray[np.int64], dict[str, int]]:
        """Numbers [B] of the rows in a step's slots, the domains one after another, and the slots of each domain."""
        counts, picked = dict(zip(self._numbers, self._counts(step), strict=True)), []
        for (domain, numbers), first in zip(self._numbers.items(), self._drawn(step), strict=True):
            places = first + np.arange(counts[domain])
            for epoch in np.unique(places // max(1, len(numbers))).tolist():
                inner = places[places // len(numbers) == epoch] % len(numbers)
                picked.append(numbers[permuted(inner, len(numbers), self._seed, domain, epoch)])
        return np.concatenate(picked), counts

    def epochs(self, step: int) -> dict[str, float]:
        """How often all rows of each domain were seen before a step."""
        drawn = zip(self._numbers.items(), self._drawn(step), strict=True)
        return {domain: count / max(1, len(numbers)) for (domain, numbers), count in drawn}
