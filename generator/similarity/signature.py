"""The signature of a pair: a perceptual hash and an embedding of its image, and a MinHash of its report.

Two images are as alike as the share of equal bits in their perceptual hashes (Zauner 2010), or as the cosine of their
embeddings in a domain that is compared by it. Two reports are as alike as the share of equal MinHash values, which
estimates how much of their shingles they share (Broder 1997).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.domains import facts_of
from medim_forge.generator.records import Pair, Signature

HASH_SIDE = 16  # phash has HASH_SIDE ** 2 bits: radiographs share their layout, and 64 bits do not tell them apart
PERMUTATIONS = 64
SHINGLE = 5  # characters


def is_embedded(signature: Signature) -> bool:
    """Whether images are compared by embedding: where their domain says so and the replica has one."""
    return facts_of(signature.domain).images_by == "embedding" and bool(np.any(signature.embedding))


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector, centred and of length 1; zero stays zero.

    Without centring, the mean over the vector's places, which all images share, would bring every cosine near 1.
    """
    centred = vector - vector.mean() if vector.size else vector
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def sign(pair: Pair) -> Signature:
    """The signature of a pair."""
    return Signature(
        domain=pair.request.prompt.domain,
        phash=phash(pair.image),
        embedding=pair.embedding.astype(np.float32),
        minhash=minhash(pair.report),
    )


def phash(image: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The perceptual hash of an image: signs of its low frequencies, uint64 [HASH_SIDE ** 2 / 64]."""
    import imagehash
    from PIL import Image

    bits = imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).view(np.uint64)


def minhash(report: str) -> NDArray[np.uint32]:
    """MinHash of the report's shingles without regard to case and spacing, uint32 [PERMUTATIONS]."""
    from datasketch import MinHash

    text = " ".join(report.lower().split())
    # A report that is shorter than a shingle is one shingle.
    shingles = {text[start : start + SHINGLE].encode() for start in range(max(1, len(text) - SHINGLE + 1))}
    made = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32")
    made.update_batch(sorted(shingles))
    values: NDArray[np.uint32] = made.hashvalues.astype(np.uint32)
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
