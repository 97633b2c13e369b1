"""Spec to shards: which pairs, with which ids and seeds. Nothing here depends on replicas, attempts or time."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters import build_filters
from medim_forge.generator.inputs import count_inputs
from medim_forge.generator.inputs.words import vocabulary_sha256, with_words
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.fields import MOST_PAIRS
from medim_forge.generator.plan.prompts import check_prompts, compose
from medim_forge.generator.plan.quotas import check_balance
from medim_forge.generator.records import PairRequest, Prompt, Shard

PLAN_FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Round:
    """Pairs that a job makes beyond its plan. A round begins with a shard of its own.

    Attributes:
        number: from 1.
        first_shard: its first shard.
        repeats: int64 [pairs], the planned pair whose prompt or input each pair tries again.
        replacements: how many of the first pairs are made in the place of pairs that were dropped.
    """

    number: int
    first_shard: int
    repeats: NDArray[np.int64] = field(repr=False, compare=False)
    replacements: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a generate job will make; shards are built when they are asked for.

    A pair's index is its shard's index times `compute.pairs_per_shard`, plus its place in the shard. Where a last shard
    is not full, planned ones or those of a round, the numbers that it leaves free belong to no pair.

    Attributes:
        spec: the job.
        spec_sha256: its digest.
        planned: pairs that the job file asks for.
        rounds: what was added to them, in order.
        inputs: what `plan.json` says of the inputs, where it was read.
    """

    spec: GenerateSpec
    spec_sha256: str
    planned: int
    rounds: tuple[Round, ...] = ()
    inputs: Mapping[str, Any] | None = field(default=None, compare=False)
    _dealt: NDArray[np.int32] = field(repr=False, compare=False)

    @property
    def planned_shards(self) -> int:
        """Shards of the planned pairs."""
        return -(-self.planned // self.spec.compute.pairs_per_shard)

    @property
    def pairs(self) -> int:
        """How many pairs, those of the rounds too."""
        return self.planned + sum(len(added.repeats) for added in self.rounds)

    @property
    def shards(self) -> int:
        """How many shards, those of the rounds too."""
        size = self.spec.compute.pairs_per_shard
        last = self.rounds[-1] if self.rounds else None
        return self.planned_shards if last is None else last.first_shard + -(-len(last.repeats) // size)

    def extended(self, repeats: NDArray[np.int64], replacements: int) -> Plan:
        """The plan with one more round; see `Round`."""
        added = Round(
            number=len(self.rounds) + 1, first_shard=self.shards, repeats=repeats, replacements=int(replacements)
        )
        return replace(self, rounds=(*self.rounds, added))

    def shard(self, index: int) -> Shard:
        """The shard of this index; given images and reports are filled in by `load_inputs`.

        Raises:
            IndexError: the plan has no such shard.
        """
        if not 0 <= index < self.shards:
            raise IndexError(f"shard {index}: the plan has shards 0 to {self.shards - 1}")
        size = self.spec.compute.pairs_per_shard
        first, end = self._stretch(index)
        indices = range(index * size, min((index + 1) * size, first * size + end))
        requests = tuple(self.request(pair_index) for pair_index in indices)
        return Shard(index=index, task=self.spec.task, requests=requests)

    def __iter__(self) -> Iterator[Shard]:
        """Every shard in order."""
        return (self.shard(index) for index in range(self.shards))

    def request(self, pair_index: int) -> PairRequest:
        """The pair of this index.

        Raises:
            IndexError: the plan has no such pair.
        """
        origin = self.origin(pair_index)
        seed = pair_seed(self.spec.seed, pair_index)
        return PairRequest(
            pair_id=f"{self.spec_sha256[:8]}-{pair_index:07d}",
            pair_index=pair_index,
            seed=seed,
            prompt=self._prompt(origin, seed),
            source_row=None if self.spec.inputs is None else origin,
            repeats=None if origin == pair_index else origin,
        )

    def origin(self, pair_index: int) -> int:
        """The planned pair whose prompt or input a pair has: itself, where it is planned.

        Raises:
            IndexError: the plan has no such pair.
        """
        found = self._round_of(pair_index)
        return pair_index if found is None else int(found[0].repeats[found[1]])

    def replaced(self, pair_index: int) -> int | None:
        """The planned pair in whose place a pair stands: itself, where it is planned; None where it was added.

        Raises:
            IndexError: the plan has no such pair.
        """
        found = self._round_of(pair_index)
        if found is None:
            return pair_index
        its_round, place = found
        return int(its_round.repeats[place]) if place < its_round.replacements else None

    def entry(self, pair_index: int) -> int | None:
        """The position in `prompts` of what a pair was asked for; None for a job with inputs.

        Raises:
            IndexError: the plan has no such pair.
        """
        return None if self.spec.inputs is not None else int(self._dealt[self.origin(pair_index)])

    def entries(self) -> NDArray[np.int64]:
        """Pairs asked for by position in `prompts`, rounds included; empty for a job with inputs."""
        rounds = self.rounds if self.spec.inputs is None else ()
        origins = [self._dealt, *(self._dealt[added.repeats] for added in rounds)]
        return np.bincount(np.concatenate(origins), minlength=len(self.spec.prompts)).astype(np.int64)

    def of_entry(self, entry: int) -> NDArray[np.int64]:
        """The planned pairs of an entry of `prompts`, in order."""
        return np.flatnonzero(self._dealt == entry).astype(np.int64)

    def index_of(self, pair_id: str) -> int:
        """The pair index that an id names.

        Raises:
            SpecError: the id is not one of this plan.
        """
        head, _, tail = pair_id.partition("-")
        if head == self.spec_sha256[:8] and tail.isascii() and tail.isdigit():
            try:
                if self.request(int(tail)).pair_id == pair_id:
                    return int(tail)
            except IndexError:
                pass
        first, last = self.request(0).pair_id, self.shard(self.shards - 1).requests[-1].pair_id
        gaps = ", with gaps behind shards that are not full" if self.rounds else ""
        raise SpecError(f"{pair_id} is not a pair of {self.spec.name}. Its ids run from {first} to {last}{gaps}.")

    def shard_of(self, pair_index: int) -> int:
        """The index of the shard that holds a pair."""
        return pair_index // self.spec.compute.pairs_per_shard

    def _stretch(self, shard: int) -> tuple[int, int]:
        """The first shard of the plan or round that a shard belongs to, and the pairs of that."""
        number = bisect_right([added.first_shard for added in self.rounds], shard)
        if number == 0:
            return 0, self.planned
        its_round = self.rounds[number - 1]
        return its_round.first_shard, len(its_round.repeats)

    def _round_of(self, pair_index: int) -> tuple[Round, int] | None:
        """The round of a pair and its place in it; None for a planned pair.

        Raises:
            IndexError: the plan has no such pair.
        """
        size = self.spec.compute.pairs_per_shard
        first, count = self._stretch(self.shard_of(pair_index))
        place = pair_index - first * size
        if not 0 <= place < count:
            raise IndexError(f"pair {pair_index}: the plan has {self.pairs} pairs in {self.shards} shards")
        if first == 0:
            return None
        return next(added for added in self.rounds if added.first_shard == first), place

    def _prompt(self, pair_index: int, seed: int) -> Prompt:
        if self.spec.inputs is not None:
            domain, opening = self.spec.inputs.domain, self.spec.inputs.opening
            if self.spec.task == "report_to_image":
                return Prompt(domain=domain, text="")
            return Prompt(domain=domain, text=facts_of(domain).opening if opening is None else opening)
        return compose(self.spec.prompts[self._dealt[pair_index]], seed)


def make_plan(spec: GenerateSpec, pairs: int | None = None) -> Plan:
    """The plan of a job without rounds; reads the inputs' row counts and the filters' word lists, and nothing else.

    Args:
        spec: the job.
        pairs: that it makes, where that is known: then the inputs need not be there. None counts them.

    Raises:
        SpecError: inputs, findings, kinds of pairs or filter options that do not exist, or a budget below the plan.
    """
    check_prompts(spec.prompts, spec.source, spec.places)
    try:
        build_filters(with_words(spec))
    except SpecError as error:
        named = [place for place, rule in enumerate(spec.filters) if str(error).startswith(f"filters: {rule.name}:")]
        raise SpecError(f"{spec.place('filters', *named[:1])}: {error}") from error
    if pairs is None:
        pairs = count_inputs(spec) if spec.inputs is not None else sum(section.pairs for section in spec.prompts)
    if pairs > MOST_PAIRS:
        key = "prompts" if spec.inputs is None else "inputs"
        mend = "split the job, each part with a seed of its own" if spec.inputs is None else "set inputs.limit"
        raise SpecError(
            f"{spec.at(key)}: {pairs:,} pairs in all, and a job makes at most {MOST_PAIRS:,}, because the number of a "
            f"pair has seven digits; {mend}."
        )
    check_balance(spec, pairs)
    return plan_of(spec, pairs)


def plan_of(spec: GenerateSpec, pairs: int, inputs: Mapping[str, Any] | None = None) -> Plan:
    """The plan of a job that is known to make so many pairs of such inputs; nothing is read."""
    dealt = np.empty(0, np.int32) if spec.inputs is not None else deal([section.pairs for section in spec.prompts])
    return Plan(spec=spec, spec_sha256=spec.sha256, planned=pairs, inputs=inputs, _dealt=dealt)


def plan_record(
    plan: Plan, *, model_sha256: str, versions: Mapping[str, str], inputs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `plan.json` holds: everything that a later run of the same folder must agree on. Rounds are not in it.

    Args:
        plan: the plan.
        model_sha256: of the weights.
        versions: package to version, of what computes the pairs.
        inputs: number of rows and one digest of all of them, of a job that is given files.
    """
    return {
        "format": PLAN_FORMAT,
        "name": plan.spec.name,
        "spec_sha256": plan.spec_sha256,
        "model_sha256": model_sha256,
        "task": plan.spec.task,
        "pairs": plan.planned,
        "pairs_per_shard": plan.spec.compute.pairs_per_shard,
        "shards": plan.planned_shards,
        "inputs": None if inputs is None else dict(inputs),
        "words_sha256": vocabulary_sha256(plan.spec),
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
