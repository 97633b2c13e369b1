from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import DeviceMemoryError, OutageError, ShardError
from medim_forge.generator.shards.schedule import Failure, Order, Schedule

DEAD = Failure(kind="ReplicaDied", message="the replica's process died")


def rows_of(index: int) -> tuple[str, ...]:
    return tuple(f"{index}-{row}" for row in range(8))


def new_schedule(shards: int = 2, retries: int = 1) -> Schedule:
    return Schedule(range(shards), rows_of, retries)


def following(schedule: Schedule) -> Order:
    order = schedule.next()
    assert order is not None
    return order


def test_shards_go_out_in_order_and_each_once():
    schedule = new_schedule(3)
    assert [following(schedule).shard for _ in range(3)] == [0, 1, 2]
    assert schedule.next() is None
    assert schedule.outstanding == 3


def test_nothing_is_outstanding_when_all_succeeded():
    schedule = new_schedule(2)
    for _ in range(2):
        schedule.succeeded(following(schedule))
    assert schedule.outstanding == 0
    assert schedule.next() is None


def test_a_failed_shard_goes_out_again_with_its_attempt_counted_and_its_past():
    schedule = new_schedule()
    schedule.failed(following(schedule), DEAD)
    again = following(schedule)
    assert (again.shard, again.attempt, again.trial, again.past) == (0, 2, None, (DEAD,))


def test_after_the_last_retry_halves_are_tried_alone():
    schedule = new_schedule(retries=1)
    for _ in range(2):
        schedule.failed(following(schedule), DEAD)
    assert following(schedule).trial == rows_of(0)[:4]


def test_without_retries_halves_are_tried_at_once():
    schedule = new_schedule(retries=0)
    schedule.failed(following(schedule), DEAD)
    assert following(schedule).trial == rows_of(0)[:4]


def test_a_row_that_fails_alone_is_poisoned_at_its_second_failure_only():
    schedule = Schedule([0], lambda _: ("a", "b"), 0)
    schedule.failed(following(schedule), DEAD)
    order = following(schedule)
    assert order.trial == ("a",)
    schedule.failed(order, DEAD)
    again = following(schedule)
    assert again.trial == ("a",)
    schedule.failed(again, DEAD)
    other = following(schedule)
    assert other.trial == ("b",)
    schedule.succeeded(other)
    last = following(schedule)
    assert (last.trial, dict(last.poisoned)) == (None, {"a": DEAD})


@pytest.mark.parametrize("kind", [DeviceMemoryError, OutageError])
def test_what_no_row_can_cause_stops_the_job_when_it_stays_and_blames_no_row(kind):
    schedule = new_schedule(retries=1)
    short = Failure(kind=kind.__name__, message="it stays", ends_job_with=kind)
    schedule.failed(following(schedule), short)
    with pytest.raises(kind, match="it stays"):
        schedule.failed(following(schedule), short)


def run(schedule: Schedule, poisoned: set[str], limit: int = 1000) -> dict[int, set[str]]:
    """Carries out every order; an order with a poisoned row fails. Returns what was quarantined, by shard."""
    made: dict[int, set[str]] = {}
    for _ in range(limit):
        order = schedule.next()
        if order is None:
            assert schedule.outstanding == 0
            return made
        rows = set(order.trial or rows_of(order.shard)) - set(order.poisoned)
        if rows & poisoned:
            schedule.failed(order, DEAD)
            continue
        schedule.succeeded(order)
        if order.trial is None:
            assert order.shard not in made, "committed twice"
            made[order.shard] = set(order.poisoned)
    raise AssertionError("the schedule does not end")


@given(
    poisoned=st.sets(st.sampled_from([row for index in range(3) for row in rows_of(index)]), max_size=7),
    retries=st.integers(0, 3),
)
def test_exactly_the_poisoned_rows_are_quarantined_and_every_shard_is_made_once(poisoned, retries):
    made = run(new_schedule(3, retries), poisoned)
    assert sorted(made) == [0, 1, 2]
    assert set().union(*made.values()) == poisoned


def test_finding_one_poisoned_row_costs_few_attempts():
    schedule = new_schedule(1, retries=1)
    attempts = 0
    while (order := schedule.next()) is not None:
        attempts += 1
        rows = set(order.trial or rows_of(0)) - set(order.poisoned)
        if "0-5" in rows:
            schedule.failed(order, DEAD)
        else:
            schedule.succeeded(order)
    # 2 whole, 2 + 2 + 2 in halves of 8, 4 and 2, the lone row once more, and the shard without it.
    assert attempts == 10


def test_rows_that_fail_only_together_are_all_quarantined_rather_than_tried_for_ever():
    schedule = new_schedule(1, retries=1)
    made = None
    for _ in range(100):
        order = schedule.next()
        if order is None:
            break
        if order.trial is None and len(order.poisoned) < 8:
            schedule.failed(order, DEAD)
        else:
            schedule.succeeded(order)
            made = order if order.trial is None else made
    assert schedule.outstanding == 0
    assert made is not None
    assert set(made.poisoned) == set(rows_of(0))


def test_a_shard_that_cannot_even_be_written_as_quarantined_ends_the_job():
    schedule = new_schedule(1, retries=0)
    while set((order := following(schedule)).poisoned) != set(rows_of(0)):
        schedule.failed(order, DEAD)
    with pytest.raises(ShardError, match=r"shard 0 cannot even be written.*ReplicaDied"):
        schedule.failed(order, DEAD)


def test_two_shards_without_one_good_row_anywhere_end_the_job_with_the_cause():
    schedule = new_schedule(5, retries=1)
    with pytest.raises(ShardError, match=r"the 2\. without one good pair.*ReplicaDied"):
        run(schedule, {row for index in range(5) for row in rows_of(index)})


def test_two_hopeless_shards_do_not_end_a_job_in_which_something_works():
    schedule = new_schedule(5, retries=0)
    hopeless = {*rows_of(1), *rows_of(2), *rows_of(3)}
    made = run(schedule, hopeless)
    assert made[0] == made[4] == set()
    assert made[1] == set(rows_of(1))


def test_a_replica_with_an_order_gets_only_shards_that_never_failed_beside_it():
    schedule = new_schedule(3)
    first, second = following(schedule), following(schedule)
    schedule.failed(first, DEAD)
    fresh = schedule.next(beside=True)
    assert fresh is not None
    assert (fresh.shard, fresh.suspect) == (2, False)
    assert schedule.next(beside=True) is None
    again = following(schedule)
    assert (again.shard, again.suspect) == (0, True)
    schedule.succeeded(second)
    assert schedule.outstanding == 2


def test_an_order_that_was_taken_back_is_next_again_and_counts_for_nothing():
    schedule = new_schedule(2)
    first = following(schedule)
    schedule.returned(first)
    assert schedule.outstanding == 2
    assert following(schedule) == first
    schedule.failed(first, DEAD)
    second = following(schedule)
    schedule.returned(second)
    again = following(schedule)
    assert (again.shard, again.past) == (0, (DEAD,))


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 4), poisoned=st.sets(st.sampled_from(rows_of(1)), max_size=3))
def test_two_in_flight_blame_no_innocent_row(seed, workers, poisoned):
    """A death takes both orders of its replica along; still exactly the poisoned rows are quarantined."""
    random = np.random.default_rng(seed)
    schedule = new_schedule(6, retries=0)
    loads: list[list[Order]] = [[] for _ in range(workers)]
    made: dict[int, set[str]] = {}
    for _ in range(2000):
        for load in loads:
            while len(load) < 2 and not any(order.suspect for order in load):
                order = schedule.next(beside=bool(load))
                if order is None:
                    break
                load.append(order)
        busy = [load for load in loads if load]
        if not busy:
            break
        load = busy[random.integers(len(busy))]
        order = load[random.integers(len(load))]
        if (set(order.trial or rows_of(order.shard)) - set(order.poisoned)) & poisoned:
            for victim in load:
                schedule.failed(victim, DEAD)
            load.clear()
            continue
        schedule.succeeded(order)
        load.remove(order)
        if order.trial is None:
            assert order.shard not in made, "committed twice"
            made[order.shard] = set(order.poisoned)
    assert schedule.outstanding == 0
    assert set().union(*made.values()) == poisoned


class Rounds:
    """Gives shards in rounds, and counts how often it was asked."""

    def __init__(self, *rounds):
        self.rounds, self.asked = list(rounds), 0

    @property
    def open_ended(self):
        return bool(self.rounds)

    def more(self):
        self.asked += 1
        return self.rounds.pop(0) if self.rounds else ()


def test_further_shards_are_asked_for_when_all_others_are_committed():
    source = Rounds([2], [])
    schedule = Schedule([0, 1], lambda index: (str(index),), 0, source)
    for expected in (0, 1, 2):
        assert not schedule.finished()
        order = schedule.next()
        assert order.shard == expected
        assert not schedule.finished()
        schedule.succeeded(order)
        assert schedule.unfinished
        assert source.asked == (expected == 2)
    assert schedule.left == "the next round left"
    assert schedule.finished()
    assert not schedule.unfinished
    assert source.asked == 2
