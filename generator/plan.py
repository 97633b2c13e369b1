"""Spec to shards: which pairs, with which ids and seeds. Nothing here depends on replicas, attempts or time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.errors import SpecError
from generator.inputs import count_inputs, digest_inputs
from generator.phantoms import OPENING
from generator.prompts import check_prompts, compose
from generator.records import PairRequest, Prompt, Shard
from generator.spec import GenerateSpec

PLAN_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a generate job will make; shards are built when they are asked for.

    Attributes:
        spec: the job.
        spec_sha256: its digest.
        pairs: how many pairs.
        shards: how many shards; all but the last hold `compute.pairs_per_shard` pairs.
    """

    spec: GenerateSpec
    spec_sha256: str
    pairs: int
    shards: int
    _dealt: NDArray[np.int32] = field(repr=False, compare=False)

    def shard(self, index: int) -> Shard:
        """The shard of this index; given images and reports are filled in by `load_inputs`.

        Raises:
            IndexError: the plan has no such shard.
        """
        if not 0 <= index < self.shards:
            raise IndexError(f"shard {index}: the plan has shards 0 to {self.shards - 1}")
        size = self.spec.compute.pairs_per_shard
        indices = range(index * size, min((index + 1) * size, self.pairs))
        return Shard(index=index, task=self.spec.task, requests=tuple(self.request(one) for one in indices))

    def __iter__(self) -> Iterator[Shard]:
        """Every shard in order."""
        return (self.shard(index) for index in range(self.shards))

    def request(self, pair_index: int) -> PairRequest:
        """The pair of this index.

        Raises:
            IndexError: the plan has no such pair.
        """
        if not 0 <= pair_index < self.pairs:
            raise IndexError(f"pair {pair_index}: the plan has pairs 0 to {self.pairs - 1}")
        seed = pair_seed(self.spec.seed, pair_index)
        return PairRequest(
            pair_id=f"{self.spec_sha256[:8]}-{pair_index:07d}",
            pair_index=pair_index,
            seed=seed,
            prompt=self._prompt(pair_index, seed),
            source_row=None if self.spec.inputs is None else pair_index,
        )

    def index_of(self, pair_id: str) -> int:
        """The pair index that an id names.

        Raises:
            SpecError: the id is not one of this plan.
        """
        head, _, tail = pair_id.partition("-")
        known = head == self.spec_sha256[:8] and tail.isascii() and tail.isdigit() and int(tail) < self.pairs
        if not known or self.request(int(tail)).pair_id != pair_id:
            first, last = self.request(0).pair_id, self.request(self.pairs - 1).pair_id
            raise SpecError(f"{pair_id} is not a pair of {self.spec.name}. Its ids run from {first} to {last}.")
        return int(tail)

    def shard_of(self, pair_index: int) -> int:
        """The index of the shard that holds a pair."""
        return pair_index // self.spec.compute.pairs_per_shard

    def _prompt(self, pair_index: int, seed: int) -> Prompt:
        if self.spec.inputs is not None:
            domain, opening = self.spec.inputs.domain, self.spec.inputs.opening
            if self.spec.task == "report_to_image":
                return Prompt(domain=domain, text="")
            return Prompt(domain=domain, text=OPENING[domain] if opening is None else opening)
        return compose(self.spec.prompts[self._dealt[pair_index]], seed)


def make_plan(spec: GenerateSpec) -> Plan:
    """The plan of a job; reads the inputs' row counts, and nothing else from disk.

    Raises:
        SpecError: inputs, findings or filter options that do not exist.
    """
    from generator.filters import build_filters
    from generator.vocabulary import with_words

    check_prompts(spec.prompts, spec.source)
    try:
        build_filters(with_words(spec))
    except SpecError as error:
        raise SpecError(f"{spec.source}: {error}") from error
    if spec.inputs is None:
        dealt = deal([section.pairs for section in spec.prompts])
        pairs = len(dealt)
    else:
        dealt, pairs = np.empty(0, np.int32), count_inputs(spec)
    return Plan(
        spec=spec,
        spec_sha256=spec.sha256,
        pairs=pairs,
        shards=-(-pairs // spec.compute.pairs_per_shard),
        _dealt=dealt,
    )


def plan_record(plan: Plan, *, model_sha256: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """What `plan.json` holds: everything that a later run of the same folder must agree on.

    Args:
        plan: the plan.
        model_sha256: of the weights.
        versions: package to version, of what computes the pairs.
    """
    return {
        "format": PLAN_FORMAT,
        "name": plan.spec.name,
        "spec_sha256": plan.spec_sha256,
        "model_sha256": model_sha256,
        "task": plan.spec.task,
        "pairs": plan.pairs,
        "pairs_per_shard": plan.spec.compute.pairs_per_shard,
        "shards": plan.shards,
        "inputs_sha256": digest_inputs(plan.spec),
        "versions": dict(sorted(versions.items())),
    }


def pair_seed(job_seed: int, pair_index: int) -> int:
    """63 bits that only the job's seed and the pair's index decide."""
    digest = hashlib.sha256(f"{job_seed}/{pair_index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def deal(counts: Sequence[int]) -> NDArray[np.int32]:
    """Which entry each pair belongs to, every stretch mixed in proportion to the counts.

    The j-th of n pairs of an entry stands at (j + 1/2) / n of the job; equal places go by the order of the entries.

    Args:
        counts: pairs per entry, each at least 1.

    Returns:
        int32 [sum(counts)], entry by pair index.
    """
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    if len(counts) == 1:
        return owner
    place = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return owner[np.argsort(place, kind="stable")]
