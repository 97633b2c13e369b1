"""How alike two pairs are: perceptual hashes and embeddings of images, MinHash of reports.

`NearIndex` tells how like the most similar pair is, by a comparison with all that it holds: for the pairs of a shard.
Whether any of a whole dataset is beyond a bound, `generator.near_index` tells much faster.
Sources: Zauner 2010 (phash); Broder 1997 (MinHash).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from generator.records import Domain

HASH_SIDE = 16  # phash has HASH_SIDE ** 2 bits: radiographs share their layout, and 64 bits do not tell them apart
PERMUTATIONS = 64
SHINGLE = 5  # characters
_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What is compared of a pair.

    Attributes:
        domain: pairs of different domains are not alike.
        phash: uint64 [HASH_SIDE ** 2 / 64], the image's perceptual hash.
        embedding: float32 [E], the replica's view of the image; empty or zero where it has none.
        minhash: uint32 [PERMUTATIONS], of the report's shingles.
    """

    domain: Domain
    phash: NDArray[np.uint64]
    embedding: NDArray[np.float32]
    minhash: NDArray[np.uint32]


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


def is_embedded(signature: Signature) -> bool:
    """Whether images are compared by embedding.

    Stained tissue is texture, which a perceptual hash does not hold; see docs/benchmarks.md.
    """
    return signature.domain == "pathology" and bool(np.any(signature.embedding))


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector, centred and of length 1; zero stays zero.

    What all images share (the mean over the vector's places) would make every cosine near 1.
    """
    centred = vector - vector.mean() if vector.size else vector
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def sign(domain: Domain, image: NDArray[np.uint8], report: str, embedding: NDArray[np.float16]) -> Signature:
    """The signature of a pair."""
    return Signature(domain=domain, phash=phash(image), embedding=embedding.astype(np.float32), minhash=minhash(report))


def phash(image: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The perceptual hash of an image: signs of its low frequencies, uint64 [HASH_SIDE ** 2 / 64]."""
    import imagehash
    from PIL import Image

    bits = imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).view(np.uint64)


@lru_cache(maxsize=1024)
def minhash(report: str) -> NDArray[np.uint32]:
    """MinHash of the report's shingles without regard to case and spacing, uint32 [PERMUTATIONS], read-only."""
    from datasketch import MinHash

    text = " ".join(report.lower().split())
    shingles = {text[start : start + SHINGLE].encode() for start in range(max(1, len(text) - SHINGLE + 1))}
    made = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32")
    made.update_batch(sorted(shingles))
    values: NDArray[np.uint32] = made.hashvalues.astype(np.uint32)
    values.flags.writeable = False
    return values


def hex_of(values: NDArray[np.uint64] | NDArray[np.uint32]) -> str:
    """The hash as the columns `image_phash` and `report_minhash` hold it."""
    return values.tobytes().hex()


def phash_of(text: str) -> NDArray[np.uint64]:
    """The hash of an image that a column holds."""
    return np.frombuffer(bytes.fromhex(text), np.uint64)


def minhash_of(text: str) -> NDArray[np.uint32]:
    """The MinHash of a report that a column holds."""
    return np.frombuffer(bytes.fromhex(text), np.uint32)
