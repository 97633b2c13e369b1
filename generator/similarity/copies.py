"""Is a pair too like any that was admitted before? The answer of a comparison with all of them, without making it.

A bound turns into whole numbers: of 64 MinHash values at least so many are equal, of 256 bits of a perceptual hash at
most so many differ. When k places may differ and the places are cut into k + 1 bands, one band at least is equal
throughout (the pigeonhole principle). So an index of bands finds every pair beyond the bound, and some others, which
are compared in full: nothing is missed and nothing taken by chance. Cosines of embeddings allow no bands; their
products with the first principal axes bound them from above (Cauchy and Schwarz), and what is left is computed.

Where bands tell little apart (a low bound, one report again and again) all that was admitted is gone through, in pieces
that a cache holds. docs/benchmarks.md has what a million pairs take.

Not by a library: datasketch's MinHashLSH misses pairs by design. faiss has indices of bits and of vectors but none of
MinHash, by which most is told here; it would be 19 MB more for what is left.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medim_forge.generator.filters.near_duplicates import By
from medim_forge.generator.filters.threshold import Threshold, stored
from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.nearest import NearIndex, chosen
from medim_forge.generator.similarity.sides import PENDING, Embeddings, Hashes, Likeness, Piece, Reports, narrowed
from medim_forge.generator.similarity.signature import is_embedded

PIECE = 16384  # pairs that are gone through at a time


class NearCopies:
    """Admitted pairs, and what a bound on likeness to them says of a further one.

    Args:
        threshold: kept range of the similarity to the most similar admitted pair of the same domain.
        by: which similarity.
    """

    def __init__(self, threshold: Threshold, by: By) -> None:
        self._threshold, self._by = threshold, by
        self._above = 1.0 if threshold.above is None else stored(threshold.above)
        # No similarity is below 0. A lower bound above it needs the similarity itself, but drops the first pair: unless
        # dropped pairs are admitted, none ever is.
        least = threshold.below is not None and stored(threshold.below) > 0
        self._all: NearIndex | None = NearIndex() if least else None
        self._rooms: dict[str, _Room] = {}

    def reasons(self, signature: Signature) -> tuple[str, ...]:
        """Why the pair is dropped; empty when it is kept."""
        if self._all is not None:
            return self._threshold.reasons(chosen(self._all.nearest(signature), self._by))
        if self._is_unknown(signature):
            return self._threshold.reasons(np.nan)
        return self._threshold.reasons(np.inf if self.exceeds(signature) else 0.0)

    def exceeds(self, signature: Signature) -> bool:
        """Whether the similarity to any admitted pair of the same domain is beyond the upper bound."""
        if self._above < 0:
            return True
        room = self._rooms.get(signature.domain)
        return room is not None and room.exceeds(signature)

    def add(self, signature: Signature) -> None:
        """The pair is admitted: later ones are compared with it."""
        if self._all is not None:
            self._all.add(signature)
        if not 0 <= self._above < 1 or self._is_unknown(signature):
            return
        if signature.domain not in self._rooms:
            self._rooms[signature.domain] = _Room(signature, self._above, self._by)
        self._rooms[signature.domain].add(signature)

    def _is_unknown(self, signature: Signature) -> bool:
        """Whether what is compared is no number, so that the pair is like no other."""
        return self._by != "report" and is_embedded(signature) and not np.isfinite(signature.embedding).all()


class _Room:
    """The admitted pairs of one domain."""

    def __init__(self, first: Signature, bound: float, by: By) -> None:
        report: list[Likeness] = [] if by == "image" else [Reports(bound)]
        if by == "report":
            self._sides = report
        elif is_embedded(first):
            self._sides = [*report, Embeddings(bound, first.embedding.size)]
        else:
            self._sides = [Hashes(bound), *report]
        self._size = self._banded = 0

    def add(self, signature: Signature) -> None:
        full = self._size + 1 - self._banded == PENDING
        for side in self._sides:
            side.add(signature)
            if side.bands is not None:
                side.bands.add(signature, self._size, full=full)
        self._size += 1
        if full:
            self._banded = self._size

    def exceeds(self, signature: Signature) -> bool:
        return any(self._any_alike(rows, signature) for rows in self._pieces(signature))

    def _any_alike(self, rows: Piece, signature: Signature) -> bool:
        for side in self._sides:
            alike = side.alike(rows, signature)
            rows = narrowed(rows, alike)
            if not rows.size:
                return False
        return True

    def _pieces(self, signature: Signature) -> Iterator[Piece]:
        """Rows among which every pair beyond the bound is."""
        yield slice(self._banded, self._size)
        found = [side.bands.find(signature) for side in self._sides if side.bands is not None]
        fewest = min(found, key=len, default=None)
        if fewest is not None and len(fewest) * self._sides[0].scattered <= self._banded:
            rows = fewest.rows()
            yield from (rows[start : start + PIECE] for start in range(0, len(rows), PIECE))
            return
        for start in range(0, self._banded, PIECE):
            yield slice(start, min(start + PIECE, self._banded))
