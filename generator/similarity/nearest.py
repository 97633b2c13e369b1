"""How similar the most similar earlier pair is, found by comparing with all earlier ones: for the pairs of a shard.

The scores of near-copies come from here. Over a whole dataset, where only a bound matters,
`medim_forge.generator.similarity.copies` gives the same decisions much faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.signature import HASH_SIDE, is_embedded, unit

_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The greatest similarity to any pair in an index, in [0, 1]; 0 when it is empty.

    Attributes:
        image: of images.
        report: of reports.
        both: greatest over the pairs of the lesser of their two similarities.
    """

    image: float = 0.0
    report: float = 0.0
    both: float = 0.0


class NearIndex:
    """The signatures of earlier pairs, compared with one after the other."""

    def __init__(self) -> None:
        self._domains: dict[str, _Signatures] = {}

    def nearest(self, signature: Signature) -> Nearest:
        """How similar the most similar earlier pairs of the same domain are."""
        earlier = self._domains.get(signature.domain)
        return Nearest() if earlier is None else earlier.nearest(signature)

    def add(self, signature: Signature) -> None:
        """Later pairs are compared with this one too."""
        self._domains.setdefault(signature.domain, _Signatures(signature)).add(signature)


class _Signatures:
    """The signatures of one domain, in arrays that grow."""

    def __init__(self, first: Signature) -> None:
        self._size = 0
        self._phash = np.empty((_BLOCK, first.phash.size), np.uint64)
        self._minhash = np.empty((_BLOCK, first.minhash.size), np.uint32)
        self._embedding = np.empty((_BLOCK, first.embedding.size), np.float32)
        self._embedded = is_embedded(first)

    def add(self, signature: Signature) -> None:
        # The arrays double when they are full, so that most pairs are added without a copy.
        if self._size == len(self._phash):
            self._phash, self._minhash, self._embedding = (
                np.concatenate([array, np.empty_like(array)]) for array in (self._phash, self._minhash, self._embedding)
            )
        self._phash[self._size], self._minhash[self._size] = signature.phash, signature.minhash
        self._embedding[self._size] = unit(signature.embedding)
        self._size += 1

    def nearest(self, signature: Signature) -> Nearest:
        size = self._size
        # Images: cosines of centred embeddings, or shares of equal bits.
        if self._embedded:
            image = self._embedding[:size] @ unit(signature.embedding)
        else:
            differing = np.bitwise_count(self._phash[:size] ^ signature.phash).sum(1, dtype=np.int64)
            image = 1 - differing / (HASH_SIDE**2)
        # Reports: shares of equal MinHash values.
        report = (self._minhash[:size] == signature.minhash).mean(1)
        # Rounding can bring a cosine above 1, and a negative cosine counts as no similarity.
        image = np.clip(image, 0.0, 1.0)
        return Nearest(
            image=float(image.max()), report=float(report.max()), both=float(np.minimum(image, report).max())
        )


def chosen(nearest: Nearest, by: str) -> float:
    """The similarity that the job compares by."""
    return {"both": nearest.both, "image": nearest.image, "report": nearest.report}[by]
