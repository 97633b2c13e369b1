"""Which shard goes next, and what a failure means: bookkeeping without processes, so that every rule is tested alone.

A shard that fails is tried again, whole, up to `max_retries` times. Then its rows are halved and tried without being
committed until the rows that fail alone are known; the shard is made without them and they are quarantined. So a row
that kills its process costs some replicas, never the job and never its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from medim_forge.generator.errors import MedimError, ShardError

# A lone row that fails once may have met a dying machine; twice, it is the row.
LONE_FAILURES = 2
# So many shards without one good row anywhere: not the rows are broken but what makes them.
HOPELESS_SHARDS = 2


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        error: one line that is the same whenever this happens (no process id, no time): it may reach an output.
        traceback: full text, under the same rule.
        detail: what is known of this one time; never reaches an output.
        ends: what the job ends with when this stays and no row can be its cause (memory that runs short, a store
            that does not answer); None where a row may be to blame.
    """

    error: str
    traceback: str = ""
    detail: str = ""
    ends: type[MedimError] | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a replica is to do next.

    Attributes:
        shard: index.
        attempt: 1-based, counts every order for this shard.
        only: pair ids of a trial, nothing of which is committed; None makes and commits the shard.
        killers: pair ids that are quarantined unmade, and why.
        past: why the attempts before this one failed.
    """

    shard: int
    attempt: int = 1
    only: tuple[str, ...] | None = None
    killers: Mapping[str, Failure] = field(default_factory=dict)
    past: tuple[Failure, ...] = ()

    @property
    def suspect(self) -> bool:
        """Whether the shard has failed before, so that its replica must have nothing else to do meanwhile."""
        return self.attempt > 1


@dataclass
class _Trouble:
    """A shard that has failed: how often, and what is known of its rows."""

    orders: int = 1
    failures: int = 0
    past: list[Failure] = field(default_factory=list)
    tried: bool = False
    groups: list[tuple[str, ...]] = field(default_factory=list)
    alone: dict[str, int] = field(default_factory=dict)
    killers: dict[str, Failure] = field(default_factory=dict)


class ShardSource(Protocol):
    """What makes a job longer while it runs."""

    @property
    def open_ended(self) -> bool:
        """Whether it may give more shards."""

    def more(self) -> Iterable[int]:
        """Further shards, all earlier ones being committed; none ends the job."""


class Schedule:
    """The shards that are missing, each of which ends committed or raises.

    Args:
        missing: shard indices, in the order in which to make them.
        rows_of: pair ids of a shard.
        max_retries: whole attempts after a shard's first.
        source: of further shards, asked for when all others are committed; None for no such shards.
    """

    def __init__(
        self,
        missing: Iterable[int],
        rows_of: Callable[[int], Sequence[str]],
        max_retries: int,
        source: ShardSource | None = None,
    ) -> None:
        self._source = source
        self._fresh: deque[int] = deque(missing)
        self._suspects: deque[int] = deque()
        self._running: set[int] = set()
        self._rows_of = rows_of
        self._max_retries = max_retries
        self._troubles: dict[int, _Trouble] = {}
        self._something_worked = False
        self._condemned: set[int] = set()

    @property
    def outstanding(self) -> int:
        """How many shards are not committed yet."""
        return len(self._fresh) + len(self._suspects) + len(self._running)

    def finished(self) -> bool:
        """Whether all shards are committed and there are no more; where all are, it asks for more."""
        if not self.outstanding and self._source is not None:
            self._fresh.extend(self._source.more())
        return not self.outstanding

    @property
    def unfinished(self) -> bool:
        """Whether shards are outstanding or may still follow; nothing is asked for that."""
        return self.outstanding > 0 or (self._source is not None and self._source.open_ended)

    @property
    def left(self) -> str:
        """What is not made yet, for people."""
        return f"{self.outstanding} shards left" if self.outstanding else "the next round left"

    @property
    def fresh(self) -> int:
        """How many shards nobody has tried yet."""
        return len(self._fresh)

    def next(self, *, beside: bool = False) -> Order | None:
        """The next order, which now counts as running; None while there is none to give.

        Args:
            beside: for a replica that has an order already. Such a one never gets a shard that has failed before:
                if the process died, nobody could tell which of its two shards had killed it.
        """
        waiting = self._suspects if self._suspects and not beside else self._fresh
        if not waiting:
            return None
        index = waiting.popleft()
        self._running.add(index)
        trouble = self._troubles.get(index)
        if trouble is None:
            return Order(shard=index)
        trouble.orders += 1
        only = trouble.groups[-1] if trouble.groups else None
        killers, past = dict(trouble.killers), tuple(trouble.past)
        return Order(shard=index, attempt=trouble.orders, only=only, killers=killers, past=past)

    def succeeded(self, order: Order) -> None:
        """The order is done: its shard is committed, or its trial rows can be made."""
        self._running.remove(order.shard)
        if order.only is None:
            self._something_worked |= order.shard not in self._condemned
            self._troubles.pop(order.shard, None)
            return
        self._something_worked = True
        trouble = self._troubles[order.shard]
        trouble.groups.pop()
        self._after_trial(order.shard, trouble)

    def returned(self, order: Order) -> None:
        """The order was taken back through no fault of its shard, which is next again; nothing is counted."""
        self._running.remove(order.shard)
        (self._suspects if order.suspect else self._fresh).appendleft(order.shard)

    def failed(self, order: Order, failure: Failure) -> None:
        """The order's shard waits again, ahead of the others so that its fate shows early.

        Raises:
            ShardError: there is nothing left to try.
            MedimError: `failure.ends`, where no row can be the cause and it does not pass.
        """
        self._running.remove(order.shard)
        trouble = self._troubles.setdefault(order.shard, _Trouble())
        trouble.past.append(failure)
        if failure.ends and order.attempt > self._max_retries:
            raise failure.ends(f"{failure.error}\nTried {order.attempt} times.")
        if order.only is not None:
            self._trial_failed(order, trouble, failure)
            return
        trouble.failures += 1
        if trouble.failures > self._max_retries:
            self._exhausted(order.shard, trouble, failure)
        self._suspects.appendleft(order.shard)

    def _trial_failed(self, order: Order, trouble: _Trouble, failure: Failure) -> None:
        group = trouble.groups.pop()
        if len(group) > 1:
            middle = len(group) // 2
            trouble.groups += [group[middle:], group[:middle]]
        else:
            row = group[0]
            trouble.alone[row] = trouble.alone.get(row, 0) + 1
            if trouble.alone[row] < LONE_FAILURES:
                trouble.groups.append(group)
            else:
                trouble.killers[row] = failure
        self._after_trial(order.shard, trouble)

    def _after_trial(self, index: int, trouble: _Trouble) -> None:
        self._suspects.appendleft(index)
        if trouble.groups:
            return
        trouble.tried, trouble.failures = True, 0
        if len(trouble.killers) == len(self._rows_of(index)):
            self._condemn(index, trouble)

    def _exhausted(self, index: int, trouble: _Trouble, failure: Failure) -> None:
        """The next thing to try after the last whole attempt."""
        rows = tuple(self._rows_of(index))
        if not trouble.tried:
            trouble.groups = [rows]
            if len(rows) > 1:
                middle = len(rows) // 2
                trouble.groups = [rows[middle:], rows[:middle]]
        elif index not in self._condemned:
            # Every remaining row can be made, but not together: keep none rather than try for ever.
            trouble.killers = {row: trouble.killers.get(row, failure) for row in rows}
            trouble.failures = 0
            self._condemn(index, trouble)
        else:
            raise ShardError(self._obituary(index, trouble, "cannot even be written as quarantined"))

    def _condemn(self, index: int, trouble: _Trouble) -> None:
        self._condemned.add(index)
        if not self._something_worked and len(self._condemned) >= HOPELESS_SHARDS:
            raise ShardError(self._obituary(index, trouble, f"is the {len(self._condemned)}. without one good pair"))

    @staticmethod
    def _obituary(index: int, trouble: _Trouble, what: str) -> str:
        causes = sorted({one.error for one in trouble.past})
        details = trouble.past[-1].detail or trouble.past[-1].traceback
        return (
            f"shard {index} {what}, after {trouble.orders} attempts: {'; '.join(causes)}. "
            "Mend the cause and run the same command: what is committed stays." + (f"\n{details}" if details else "")
        )
