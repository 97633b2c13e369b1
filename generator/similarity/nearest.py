"""How like the most similar earlier pair is, by a comparison with all that came before: for the pairs of a shard."""

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
        both: of the pair in which the lesser of both is greatest.
    """

    image: float = 0.0
    report: float = 0.0
    both: float = 0.0


class NearIndex:
    """Signatures that came before."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    def nearest(self, signature: Signature) -> Nearest:
        """How near the nearest earlier pair of the same domain is."""
        room = self._rooms.get(signature.domain)
        return Nearest() if room is None else room.nearest(signature)

    def add(self, signature: Signature) -> None:
        """The pair is one that later ones are compared with."""
        self._rooms.setdefault(signature.domain, _Room(signature)).add(signature)


class _Room:
    """The signatures of one domain, in arrays that grow."""

    def __init__(self, first: Signature) -> None:
        self._size = 0
        self._phash = np.empty((_BLOCK, first.phash.size), np.uint64)
        self._minhash = np.empty((_BLOCK, first.minhash.size), np.uint32)
        self._embedding = np.empty((_BLOCK, first.embedding.size), np.float32)
        self._embedded = is_embedded(first)

    def add(self, signature: Signature) -> None:
        if self._size == len(self._phash):
            self._phash, self._minhash, self._embedding = (
                np.concatenate([array, np.empty_like(array)]) for array in (self._phash, self._minhash, self._embedding)
            )
        self._phash[self._size], self._minhash[self._size] = signature.phash, signature.minhash
        self._embedding[self._size] = unit(signature.embedding)
        self._size += 1

    def nearest(self, signature: Signature) -> Nearest:
        size = self._size
        if self._embedded:
            image = self._embedding[:size] @ unit(signature.embedding)
        else:
            differing = np.bitwise_count(self._phash[:size] ^ signature.phash).sum(1, dtype=np.int64)
            image = 1 - differing / (HASH_SIDE**2)
        report = (self._minhash[:size] == signature.minhash).mean(1)
        image = np.clip(image, 0.0, 1.0)
        return Nearest(
            image=float(image.max()), report=float(report.max()), both=float(np.minimum(image, report).max())
        )


def chosen(nearest: Nearest, by: str) -> float:
    """The similarity that the job compares by."""
    return {"both": nearest.both, "image": nearest.image, "report": nearest.report}[by]
