"""Scores that a pair gets from the other pairs of its shard: copies, near-copies, agreement of mismatched pairs.

They depend on the set of the shard's pairs, not on their order. `medim reproduce` makes one pair alone and therefore
leaves these scores out.
"""

from __future__ import annotations

from collections.abc import Sequence

from medim_forge.generator.contracts import Replica, Shuffler
from medim_forge.generator.filters import policy
from medim_forge.generator.filters.agreement import mark_shuffled, partners
from medim_forge.generator.filters.duplicates import NAME as DUPLICATES
from medim_forge.generator.filters.duplicates import mark_duplicates
from medim_forge.generator.filters.near_duplicates import NAME as NEAR
from medim_forge.generator.filters.near_duplicates import as_near, compared_by
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.records import Judged
from medim_forge.generator.similarity import NearIndex
from medim_forge.generator.similarity.nearest import chosen


def related(judged: Sequence[Judged], spec: GenerateSpec, replica: Replica) -> list[Judged]:
    """The same pairs in the same order, each with its scores in relation to the others.

    Args:
        judged: pairs of one shard.
        spec: the job.
        replica: that made them.
    """
    found = mark_duplicates(judged, policy(spec)[DUPLICATES])
    return mark_near(mark_shuffled(found, _mismatched_agreement(found, replica)), spec)


def mark_near(judged: Sequence[Judged], spec: GenerateSpec) -> list[Judged]:
    """The same pairs in the same order, each with its similarity to the pairs of lower `pair_index`.

    No pair is dropped for it, because the pair that it resembles may itself be dropped, even in another shard. Which
    pairs come into `data/` is decided later, see `medim_forge.generator.selection.policy`.
    """
    by, index = compared_by(policy(spec)[NEAR]), NearIndex()
    marked: dict[str, Judged] = {}
    for item in sorted(judged, key=lambda item: item.pair.request.pair_index):
        nearest = index.nearest(item.signature)
        index.add(item.signature)
        marked[item.pair.pair_id] = as_near(item, (chosen(nearest, by), nearest.image, nearest.report))
    return [marked[item.pair.pair_id] for item in judged]


def _mismatched_agreement(judged: Sequence[Judged], replica: Replica) -> dict[str, float]:
    """Agreement of mismatched pairs by the id of the pair that gives the image; empty if the replica has no such."""
    if not isinstance(replica, Shuffler):
        return {}
    other_of = partners([item.pair for item in judged])
    pairs = [item.pair for item in judged if item.pair.pair_id in other_of]
    if not pairs:
        return {}
    values = replica.shuffled(pairs, [other_of[pair.pair_id] for pair in pairs])
    return {pair.pair_id: value for pair, value in zip(pairs, values, strict=True)}
