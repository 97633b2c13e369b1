"""Whether a pair is too like one that was admitted before, decided as a comparison with all of them would decide.

An index by bands (`bands`) finds every admitted pair that is beyond the bound, and some others; each is then compared
in full (`sides`). So no pair is missed and none is dropped by chance. Where bands tell little apart (a low bound, or
one report again and again), all admitted pairs are gone through, in pieces that fit a processor's cache.
docs/benchmarks.md says how long a million pairs take.

No library does this: datasketch's MinHashLSH misses pairs by design; faiss has indices of bits and of vectors but none
of MinHash, which decides most pairs here, and would add 19 MB for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medim_forge.generator.filters.near_duplicates import By
from medim_forge.generator.filters.threshold import Threshold, stored
from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.nearest import NearIndex, chosen
from medim_forge.generator.similarity.sides import PENDING, Embeddings, Hashes, Piece, Reports, Side, narrowed
from medim_forge.generator.similarity.signature import is_embedded

PIECE = 16384  # so many pairs are gone through at a time


class NearCopies:
    """Admitted pairs, and whether a further pair is too like them.

    Args:
        threshold: kept range of the similarity to the most similar admitted pair of the same domain.
        by: which similarity is compared.
    """

    def __init__(self, threshold: Threshold, by: By) -> None:
        self._threshold, self._by = threshold, by
        self._above = 1.0 if threshold.above is None else stored(threshold.above)
        # A lower bound above 0 needs the similarity itself, so all pairs are compared. That costs little: it drops the
        # first pair, and so every pair, unless dropped pairs are admitted.
        least = threshold.below is not None and stored(threshold.below) > 0
        self._all: NearIndex | None = NearIndex() if least else None
        self._domains: dict[str, _Admitted] = {}

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
        admitted = self._domains.get(signature.domain)
        return admitted is not None and admitted.exceeds(signature)

    def add(self, signature: Signature) -> None:
        """The pair is admitted: later ones are compared with it."""
        if self._all is not None:
            self._all.add(signature)
        # Beyond a bound of 1 is no pair, and beyond one below 0 is every pair: nothing needs to be kept.
        if not 0 <= self._above < 1 or self._is_unknown(signature):
            return
        if signature.domain not in self._domains:
            self._domains[signature.domain] = _Admitted(signature, self._above, self._by)
        self._domains[signature.domain].add(signature)

    def _is_unknown(self, signature: Signature) -> bool:
        """Whether what is compared is no number, so that the pair is like no other."""
        return self._by != "report" and is_embedded(signature) and not np.isfinite(signature.embedding).all()


class _Admitted:
    """The admitted pairs of one domain, as rows of each side; a pair is too like another if it is so on every side."""

    def __init__(self, first: Signature, bound: float, by: By) -> None:
        report: list[Side] = [] if by == "image" else [Reports(bound)]
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
        """Whether any of the rows is alike on every side; each side looks at what the one before it left."""
        for side in self._sides:
            alike = side.alike(rows, signature)
            rows = narrowed(rows, alike)
            if not rows.size:
                return False
        return True

    def _pieces(self, signature: Signature) -> Iterator[Piece]:
        """Rows among which are all that are beyond the bound, in pieces."""
        # Pending rows are in no band yet.
        yield slice(self._banded, self._size)
        # A row must be found on every side that has bands, so the side that found fewest is enough.
        found = [side.bands.find(signature) for side in self._sides if side.bands is not None]
        fewest = min(found, key=len, default=None)
        if fewest is not None and len(fewest) * self._sides[0].scattered <= self._banded:
            rows = fewest.rows()
            yield from (rows[start : start + PIECE] for start in range(0, len(rows), PIECE))
            return
        # There are no bands, or they found so many rows that it is quicker to go through all in order.
        for start in range(0, self._banded, PIECE):
            yield slice(start, min(start + PIECE, self._banded))
