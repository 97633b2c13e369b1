"""What the pairs of one shard say about each other: copies, near-copies, and agreement with mismatched reports.

All of it depends on the set of the shard's pairs, not on their order. `medim reproduce` makes one pair alone and
therefore leaves these scores out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medim_forge.generator.filters import duplicate_threshold, mark_duplicates, policy
from medim_forge.generator.filters.agreement import SHUFFLED, mark_shuffled, partners
from medim_forge.generator.filters.duplicates import NAME as DUPLICATES
from medim_forge.generator.filters.near_duplicates import NAME as NEAR
from medim_forge.generator.filters.near_duplicates import SCORES as NEAR_SCORES
from medim_forge.generator.filters.near_duplicates import as_near, compared_by
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.records import Judged, Pair, Replica, Shuffler
from medim_forge.generator.similarity import NearIndex, Signature, sign
from medim_forge.generator.similarity.nearest import chosen

RELATIVE_SCORES = (DUPLICATES, SHUFFLED, *NEAR_SCORES)
RELATIVE_REASONS = (DUPLICATES,)


def related(
    judged: Sequence[Judged], signatures: Mapping[str, Signature], spec: GenerateSpec, replica: Replica
) -> list[Judged]:
    """The same pairs in the same order, each with what it is to the others.

    Args:
        judged: pairs of one shard.
        signatures: of each, by pair_id.
        spec: the job.
        replica: that made them.
    """
    found = mark_duplicates(judged, duplicate_threshold(spec))
    return mark_near(mark_shuffled(found, _shuffled(found, replica)), signatures, spec)


def signature_of(pair: Pair) -> Signature:
    """What near-copies of a pair are told by."""
    return sign(pair.request.prompt.domain, pair.image, pair.report, pair.embedding)


def mark_near(judged: Sequence[Judged], signatures: Mapping[str, Signature], spec: GenerateSpec) -> list[Judged]:
    """The same pairs, each with its similarity to the pairs of lower `pair_index`.

    None is dropped for it: what it resembles may itself be dropped, in another shard even. `data/` has the last word,
    see `medim_forge.generator.selection.policy`.
    """
    by, index = compared_by(policy(spec)[NEAR]), NearIndex()
    marked: dict[str, Judged] = {}
    for one in sorted(judged, key=lambda one: one.pair.request.pair_index):
        signature = signatures[one.pair.pair_id]
        nearest = index.nearest(signature)
        index.add(signature)
        marked[one.pair.pair_id] = as_near(one, (chosen(nearest, by), nearest.image, nearest.report))
    return [marked[one.pair.pair_id] for one in judged]


def _shuffled(judged: Sequence[Judged], replica: Replica) -> dict[str, float]:
    if not isinstance(replica, Shuffler):
        return {}
    other_of = partners([one.pair for one in judged])
    pairs = [one.pair for one in judged if one.pair.pair_id in other_of]
    if not pairs:
        return {}
    values = replica.shuffled(pairs, [other_of[pair.pair_id] for pair in pairs])
    return {pair.pair_id: value for pair, value in zip(pairs, values, strict=True)}
