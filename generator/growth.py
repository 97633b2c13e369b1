"""The plan of a job while it runs: what the job file asks for, and the rounds that its balance adds."""

from __future__ import annotations

from generator.acceptance import quota_results
from generator.balance import Census, next_round, take_census
from generator.events import Progress
from generator.plan import Plan
from generator.records import Shard
from generator.rounds import round_name, round_text, with_round
from generator.store import Store


class Growth:
    """A plan that grows when all of it is committed, until its balance is met or its budget spent.

    Args:
        store: of the dataset.
        plan: of the job, with the rounds that the dataset has.
        progress: is told of every round.
    """

    def __init__(self, store: Store, plan: Plan, progress: Progress) -> None:
        self._store, self.plan, self._progress = store, plan, progress

    def shard(self, index: int) -> Shard:
        """The shard of this index, planned or added."""
        return self.plan.shard(index)

    def rows(self, index: int) -> tuple[str, ...]:
        """The pair ids of a shard."""
        return tuple(request.pair_id for request in self.shard(index).requests)

    def more(self) -> range:
        """The shards of the next round; none where nothing is left to add. Every earlier shard is committed."""
        if self.plan.spec.balance is None:
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
        self._progress.tell("note", _said(self.plan, census))
        return range(first, self.plan.shards)


def _said(plan: Plan, census: Census) -> str:
    """One line about the last round."""
    last = plan.rounds[-1]
    short = [f"{one.name} has {one.data} of {one.kept}" for one in quota_results(plan, census.data) if not one.met]
    again = [f"{last.replacements} in the place of dropped ones"] if last.replacements else []
    return f"round {last.number}: {len(last.repeats)} pairs more; {', '.join([*again, *short])}"
