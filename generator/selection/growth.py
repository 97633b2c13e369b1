"""The plan of a job while it runs: what the job file asks for, and the rounds that its balance adds."""

from __future__ import annotations

from medim_forge.generator.events import Progress
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.rounds import round_name, round_text, with_round, with_rounds
from medim_forge.generator.plan.strata import quota_results
from medim_forge.generator.records import Shard
from medim_forge.generator.selection.census import Census, take_census
from medim_forge.generator.selection.next_round import may_grow, next_round
from medim_forge.generator.store import Store


class Growth:
    """A plan that grows when all of it is committed, until its balance is met or its budget spent.

    Args:
        store: of the dataset.
        plan: of the job, without rounds; those that the dataset has are read.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store, self._planned = store, plan
        self._progress: Progress | None = None
        self.plan = with_rounds(plan, store)

    @property
    def open_ended(self) -> bool:
        """Whether another round may follow."""
        return may_grow(self.plan)

    def report_to(self, progress: Progress) -> None:
        """Every further round is reported there."""
        self._progress = progress
        progress.grown(self.plan.shards, self.plan.pairs)

    def holds(self, shard: int) -> bool:
        """Whether the plan has a shard of this index; rounds that another driver wrote meanwhile count."""
        if shard >= self.plan.shards:
            self.plan = with_rounds(self._planned, self._store)
        return shard < self.plan.shards

    def shard(self, index: int) -> Shard:
        """The shard of this index, planned or added."""
        return self.plan.shard(index)

    def rows(self, index: int) -> tuple[str, ...]:
        """The pair ids of a shard."""
        return tuple(request.pair_id for request in self.shard(index).requests)

    def more(self) -> range:
        """The shards of the next round; none where nothing is left to add. Every earlier shard is committed."""
        assert self._progress is not None
        too_many = sum(self._progress.quarantined.values()) > self.plan.spec.compute.max_quarantined
        # Rows are missing: what follows from the others would not be what follows when they are made after all.
        if too_many or not may_grow(self.plan):
            return range(0)
        census = take_census(self._store, self.plan)
        grown = next_round(self.plan, census)
        if grown is None:
            return range(0)
        first, number = self.plan.shards, len(grown.rounds)
        # Another driver may have written the round first. Its shards are the same, and its file is the one that counts.
        self._store.create(round_name(number), round_text(grown))
        self.plan = with_round(self.plan, self._store, number)
        self._progress.grown(self.plan.shards, self.plan.pairs)
        self._progress.report("note", _said(self.plan, census))
        return range(first, self.plan.shards)


def _said(plan: Plan, census: Census) -> str:
    """One line about the last round."""
    last = plan.rounds[-1]
    unmet = (quota for quota in quota_results(plan, census.data) if not quota.met)
    short = [f"{quota.name} has {quota.data} of {quota.kept}" for quota in unmet]
    again = [f"{last.replacements} in the place of dropped ones"] if last.replacements else []
    return f"round {last.number}: {len(last.repeats)} pairs more; {', '.join([*again, *short])}"
