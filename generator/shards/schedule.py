"""Which shard goes next, and what a failure means. There are no processes here, so that every rule is tested alone.

A shard that fails is tried again, whole, up to `max_retries` times. Then its rows are halved and tried without being
committed until the poisoned rows are known, those that fail alone. The shard is made without them, and they are
quarantined. So a row that kills its process costs some replicas, but never the job and never its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from medim_forge.generator.errors import MedimError, ShardError
from medim_forge.generator.tracing import kind_and_message, portable_traceback

# A row that fails alone once may have met a dying machine. If it fails alone twice, the row is the cause.
LONE_FAILURES = 2
# If so many shards have no row that can be made, and no other shard has one, what makes the rows is broken.
HOPELESS_SHARDS = 2


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt at a shard failed.

    Kind, message and traceback are the same whenever this happens (they hold no process id and no time), because they
    may reach an output.

    Attributes:
        kind: name of the exception's class, or `ReplicaDied` or `ShardHung`.
        message: one line; may be empty.
        traceback: the full text; empty where there was no exception.
        detail: what is known of this one time; it reaches no output.
        ends_job_with: the error that ends the job if this failure stays, where no row can be its cause (memory that
            runs short, a store that does not answer); None where a row may be the cause.
    """

    kind: str
    message: str = ""
    traceback: str = ""
    detail: str = ""
    ends_job_with: type[MedimError] | None = None

    @classmethod
    def of(cls, error: Exception, ends_job_with: type[MedimError] | None = None) -> Self:
        """The failure that an exception stands for."""
        kind, message = kind_and_message(error)
        return cls(kind=kind, message=message, traceback=portable_traceback(error), ends_job_with=ends_job_with)

    @property
    def error(self) -> str:
        """Kind and message on one line, as `medim_forge.generator.tracing.one_line` writes an exception."""
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True, kw_only=True)
class Order:
    """One attempt that a worker is asked to make at a shard.

    Attributes:
        shard: its index.
        attempt: 1-based; every order for this shard counts, trials too.
        trial: pair ids of the rows that are only tried: they are made and thrown away, to see whether they can be made.
            None makes and commits the whole shard.
        poisoned: pair ids of the rows that are quarantined without being made, because they fail whenever they are
            made, with the failure that each ended in.
        past: why the earlier attempts at this shard failed, oldest first.
    """

    shard: int
    attempt: int = 1
    trial: tuple[str, ...] | None = None
    poisoned: Mapping[str, Failure] = field(default_factory=dict)
    past: tuple[Failure, ...] = ()

    @property
    def suspect(self) -> bool:
        """Whether the shard has failed before, so that its worker must have no other shard at the same time."""
        return self.attempt > 1


@dataclass
class _FailedShard:
    """A shard that has failed: how often, and what is known of its rows.

    Attributes:
        orders: how many orders were given for it.
        whole_failures: how many whole attempts failed, counted anew after the trials of its rows.
        past: all failures, oldest first.
        rows_tried: whether the poisoned rows were looked for.
        groups: rows that are still to be tried together; the last group is next.
        lone_failures: how often a row failed alone.
        poisoned: the rows that are known to fail alone, with their last failure.
    """

    orders: int = 1
    whole_failures: int = 0
    past: list[Failure] = field(default_factory=list)
    rows_tried: bool = False
    groups: list[tuple[str, ...]] = field(default_factory=list)
    lone_failures: dict[str, int] = field(default_factory=dict)
    poisoned: dict[str, Failure] = field(default_factory=dict)


class ShardSource(Protocol):
    """Something that gives a job further shards while it runs."""

    @property
    def open_ended(self) -> bool:
        """Whether it may give more shards."""

    def more(self) -> Iterable[int]:
        """Indices of further shards, asked for when all earlier ones are committed; none ends the job."""


class Schedule:
    """The shards that are missing: it gives them out as orders until each is committed or the job has to end.

    Args:
        missing: shard indices, in the order in which to make them.
        rows_of: gives the pair ids of a shard.
        max_retries: how many whole attempts a shard gets after its first.
        source: gives further shards when all others are committed; None if there are none.
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
        self._failed: dict[int, _FailedShard] = {}
        self._something_worked = False
        self._hopeless: set[int] = set()

    @property
    def outstanding(self) -> int:
        """How many shards are not committed yet."""
        return len(self._fresh) + len(self._suspects) + len(self._running)

    def finished(self) -> bool:
        """Whether all shards are committed and the source, which is asked in this case, gives no more."""
        if not self.outstanding and self._source is not None:
            self._fresh.extend(self._source.more())
        return not self.outstanding

    @property
    def unfinished(self) -> bool:
        """Whether shards are outstanding or may still follow; the source is not asked for more."""
        return self.outstanding > 0 or (self._source is not None and self._source.open_ended)

    @property
    def left(self) -> str:
        """A few words that say what is not made yet."""
        return f"{self.outstanding} shards left" if self.outstanding else "the next round left"

    @property
    def fresh(self) -> int:
        """How many shards were not tried yet."""
        return len(self._fresh)

    def next(self, *, beside: bool = False) -> Order | None:
        """The next order, which now counts as running; None while there is none to give.

        Args:
            beside: whether it is for a worker that has an order already. Such a worker gets no shard that has failed
                before: if its process died, nobody could tell which of the two shards was the cause.
        """
        waiting = self._suspects if self._suspects and not beside else self._fresh
        if not waiting:
            return None
        index = waiting.popleft()
        self._running.add(index)
        shard = self._failed.get(index)
        if shard is None:
            return Order(shard=index)
        shard.orders += 1
        trial = shard.groups[-1] if shard.groups else None
        poisoned, past = dict(shard.poisoned), tuple(shard.past)
        return Order(shard=index, attempt=shard.orders, trial=trial, poisoned=poisoned, past=past)

    def succeeded(self, order: Order) -> None:
        """The order is done: its shard is committed, or its trial rows can be made."""
        self._running.remove(order.shard)
        if order.trial is None:
            self._something_worked |= order.shard not in self._hopeless
            self._failed.pop(order.shard, None)
            return
        self._something_worked = True
        shard = self._failed[order.shard]
        shard.groups.pop()
        self._after_trial(order.shard, shard)

    def returned(self, order: Order) -> None:
        """The order was taken back through no fault of its shard, which is next again; no failure is counted."""
        self._running.remove(order.shard)
        (self._suspects if order.suspect else self._fresh).appendleft(order.shard)

    def failed(self, order: Order, failure: Failure) -> None:
        """The order's shard waits again, ahead of the shards that were not tried yet.

        Raises:
            ShardError: there is nothing left to try.
            MedimError: `failure.ends_job_with`, where no row can be the cause and the failure stays.
        """
        self._running.remove(order.shard)
        shard = self._failed.setdefault(order.shard, _FailedShard())
        shard.past.append(failure)
        if failure.ends_job_with:
            # It says nothing of rows: neither of those of a trial, nor of all of them together.
            times = sum(past.ends_job_with is not None for past in shard.past)
            if times > self._max_retries:
                raise failure.ends_job_with(f"{failure.error}\nTried {times} times.")
            self._suspects.appendleft(order.shard)
            return
        if order.trial is not None:
            self._trial_failed(order, shard, failure)
            return
        shard.whole_failures += 1
        if shard.whole_failures > self._max_retries:
            self._retries_used_up(order.shard, shard, failure)
        self._suspects.appendleft(order.shard)

    def _trial_failed(self, order: Order, shard: _FailedShard, failure: Failure) -> None:
        group = shard.groups.pop()
        if len(group) > 1:
            shard.groups += _halves(group)
        else:
            row = group[0]
            shard.lone_failures[row] = shard.lone_failures.get(row, 0) + 1
            if shard.lone_failures[row] < LONE_FAILURES:
                shard.groups.append(group)
            else:
                shard.poisoned[row] = failure
        self._after_trial(order.shard, shard)

    def _after_trial(self, index: int, shard: _FailedShard) -> None:
        """The shard waits again; after its last trial it is made whole, without its poisoned rows."""
        self._suspects.appendleft(index)
        if shard.groups:
            return
        shard.rows_tried, shard.whole_failures = True, 0
        if len(shard.poisoned) == len(self._rows_of(index)):
            self._without_good_rows(index, shard)

    def _retries_used_up(self, index: int, shard: _FailedShard, failure: Failure) -> None:
        """The shard has its next thing to try after the last whole attempt.

        Raises:
            ShardError: there is none.
        """
        rows = tuple(self._rows_of(index))
        if not shard.rows_tried:
            shard.groups = _halves(rows) if len(rows) > 1 else [rows]
        elif index not in self._hopeless:
            # Every remaining row can be made, but not together: all are given up rather than tried for ever.
            shard.poisoned = {row: shard.poisoned.get(row, failure) for row in rows}
            shard.whole_failures = 0
            self._without_good_rows(index, shard)
        else:
            raise ShardError(_explained(index, shard, "cannot even be written as quarantined"))

    def _without_good_rows(self, index: int, shard: _FailedShard) -> None:
        """The shard counts as one in which no row can be made.

        Raises:
            ShardError: there are several such shards, and nothing else worked.
        """
        self._hopeless.add(index)
        if not self._something_worked and len(self._hopeless) >= HOPELESS_SHARDS:
            raise ShardError(_explained(index, shard, f"is the {len(self._hopeless)}. without one good pair"))


def _halves(rows: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Both halves of the rows, the second one first: the last group of a shard is tried next."""
    middle = len(rows) // 2
    return [rows[middle:], rows[:middle]]


def _explained(index: int, shard: _FailedShard, what: str) -> str:
    """The message of the error that ends the job over a shard: what is wrong, all causes, and how to go on."""
    causes = sorted({failure.error for failure in shard.past})
    details = shard.past[-1].detail or shard.past[-1].traceback
    return (
        f"shard {index} {what}, after {shard.orders} attempts: {'; '.join(causes)}. "
        "Mend the cause and run the same command: what is committed stays." + (f"\n{details}" if details else "")
    )
