"""What near-copies of a whole dataset cost to find: CPU time and memory, by bands and by comparison with all.

    nice python -m benchmarks.near --pairs 10000 100000 --out near.json

Signatures are simulated from those of phantoms: each takes most bits, hashes and numbers of one phantom and the rest of
another, and one in a hundred is a near-copy of an earlier one. Up to `--whole` pairs the comparison with all is made
for every pair, and the answers must be the same; beyond that for the last `SAMPLE` pairs, and its time is estimated.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.context import context, deliver, parser
from benchmarks.filters import clean_pair, rescored
from medim_forge.generator.filters.near_duplicates import By
from medim_forge.generator.filters.threshold import Threshold
from medim_forge.generator.phantoms import draw
from medim_forge.generator.records import Domain, Signature
from medim_forge.generator.similarity.copies import NearCopies
from medim_forge.generator.similarity.nearest import NearIndex, chosen
from medim_forge.generator.similarity.signature import minhash, phash
from medim_forge.model import checkpoint
from medim_forge.model.medim import Medim

BLOCK = 2000
SAMPLE = 100
COPIES = 100  # one pair in so many is a near-copy
# domain, similarity, bound, and the most pairs it is measured on
CASES: tuple[tuple[Domain, By, float, int], ...] = (
    ("chest_xray", "both", 0.9, 10**7),
    ("pathology", "both", 0.9, 10**7),
    ("chest_xray", "report", 0.9, 10**5),
    ("chest_xray", "image", 0.95, 10**5),
    ("chest_xray", "image", 0.9, 10**5),
    ("pathology", "image", 0.99, 10**5),
)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What signatures are simulated from: bits uint8 [N, 256], MinHashes uint32 [N, 64], embeddings float16 [M, E]."""

    domain: Domain
    bits: NDArray[np.uint8]
    hashes: NDArray[np.uint32]
    embeddings: NDArray[np.float16]


def main() -> None:
    """Measure and deliver."""
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000], help="sizes of datasets")
    options.add_argument("--whole", type=int, default=10_000, help="most pairs that are all compared with all")
    options.add_argument("--phantoms", type=int, default=4000, help="per domain, to simulate from")
    options.add_argument("--embedded", type=int, default=256, help="pathology phantoms that the checkpoint embeds")
    given = options.parse_args()
    threadpool_limits(1)
    torch.set_num_threads(1)
    model = Medim.load(checkpoint.resolve(given.checkpoint))
    drawn = {domain: pool(model, domain, given.phantoms, given.embedded) for domain in ("chest_xray", "pathology")}
    rows = [
        measured(drawn[domain], by, bound, pairs, whole=pairs <= given.whole)
        for pairs in given.pairs
        for domain, by, bound, most in CASES
        if pairs <= most
    ]
    shares = {domain: share_in_a_band(one) for domain, one in drawn.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    deliver(
        {"benchmark": "near", "share_in_a_report_band": shares, "cases": rows, "peak_mib": peak, **context("cpu")},
        given.out,
    )


def pool(model: Medim, domain: Domain, count: int, embedded: int) -> Pool:
    """Signatures of phantoms."""
    phantoms = [draw(domain, 700_000 + index) for index in range(count)]
    pairs = rescored(model, [clean_pair(model, domain, index) for index in range(embedded * (domain == "pathology"))])
    return Pool(
        domain=domain,
        bits=np.array([np.unpackbits(phash(one.image).view(np.uint8)) for one in phantoms]),
        hashes=np.array([minhash(one.report) for one in phantoms]),
        embeddings=np.array([one.embedding for one in pairs], np.float16).reshape(len(pairs), -1 if pairs else 0),
    )


def simulated(source: Pool, count: int) -> Iterator[list[Signature]]:
    """So many signatures in blocks, the same each time."""
    rng = np.random.default_rng(1)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        bits = mixed(source.bits, rng.random((size, 256)) < 0.2, rng)
        hashes = mixed(source.hashes, rng.random((size, 64)) < 0.1 * rng.random((size, 1)), rng)
        for place in range(COPIES, size, COPIES):
            other = rng.integers(place)
            bits[place] = bits[other] ^ (rng.random(256) < 0.03)
            hashes[place] = np.where(rng.random(64) < 0.03, hashes[place], hashes[other])
        embeddings = np.zeros((size, 0), np.float16)
        if len(source.embeddings):
            share = rng.random((size, 1)) / 2
            mine, theirs = (source.embeddings[rng.integers(len(source.embeddings), size=size)] for _ in range(2))
            embeddings = ((1 - share) * mine + share * theirs).astype(np.float16)
        packed = np.packbits(bits, axis=1).view(np.uint64)
        yield [
            Signature(domain=source.domain, phash=row, embedding=embedding.astype(np.float32), minhash=values)
            for row, embedding, values in zip(packed, embeddings, hashes, strict=True)
        ]


def mixed(rows: NDArray[Any], exchanged: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any]:
    """Rows of which the exchanged places come from another."""
    one, other = (rows[rng.integers(len(rows), size=len(exchanged))] for _ in range(2))
    return np.where(exchanged, other, one)


def measured(source: Pool, by: By, bound: float, pairs: int, *, whole: bool) -> dict[str, Any]:
    """Time, memory and agreement of both ways."""
    threshold = Threshold(name="near_duplicates", above=bound)
    copies, kept, seconds = NearCopies(threshold, by), np.zeros(pairs, np.bool_), 0.0
    place = 0
    for block in simulated(source, pairs):
        started = time.process_time()
        for one in block:
            if not copies.reasons(one):
                copies.add(one)
                kept[place] = True
            place += 1
        seconds += time.process_time() - started
    memory = held(copies)
    del copies
    exhaustive, same, checked = compared(source, threshold, by, kept, whole=whole)
    return {
        "domain": source.domain,
        "by": by,
        "drop_above": bound,
        "pairs": pairs,
        "admitted": int(kept.sum()),
        "cpu_s": round(seconds, 1),
        "bytes_per_admitted_pair": round(memory / max(1, kept.sum())),
        "exhaustive_cpu_s": round(exhaustive, 1),
        "exhaustive_is_estimated": not whole,
        "answers_compared": checked,
        "answers_differ": checked - same,
    }


def compared(
    source: Pool, threshold: Threshold, by: By, kept: NDArray[np.bool_], *, whole: bool
) -> tuple[float, int, int]:
    """Seconds of a comparison with all admitted pairs, how many answers are the same, and of how many."""
    index, pairs = NearIndex(), len(kept)
    seconds, same, place = 0.0, 0, 0
    first = 0 if whole else pairs - SAMPLE
    for block in simulated(source, pairs):
        for one in block:
            if place >= first:
                started = time.process_time()
                reasons = threshold.reasons(chosen(index.nearest(one), by))
                seconds += time.process_time() - started
                same += (not reasons) == bool(kept[place])
            if kept[place]:
                index.add(one)
            place += 1
    # What a comparison takes grows with the pairs before, from none to all of them.
    return (seconds if whole else seconds / SAMPLE * pairs / 2), same, pairs - first


def share_in_a_band(source: Pool) -> dict[str, float]:
    """Of pairs of reports, how many of 7 bands they share on average: of phantoms, and as simulated."""
    made = [
        one.minhash for block in simulated(replace(source, embeddings=source.embeddings[:0]), BLOCK) for one in block
    ]
    return {"phantoms": shared(source.hashes[:BLOCK]), "simulated": shared(np.array(made))}


def shared(hashes: NDArray[np.uint32]) -> float:
    """Mean number of 7 bands in which two different rows are equal."""
    equal = 0.0
    for band in range(7):
        _, counts = np.unique(hashes[:, band::7], axis=0, return_counts=True)
        equal += float((counts * (counts - 1)).sum())
    return round(equal / (len(hashes) * (len(hashes) - 1)), 6)


def held(value: object) -> int:
    """Bytes of the arrays that an object holds, room for more rows included."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(held, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(held, value))
    return held(vars(value)) if type(value).__module__.startswith("generator.near_") else 0


if __name__ == "__main__":
    main()
