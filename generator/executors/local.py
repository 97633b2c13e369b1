"""Runs shards one after the other in this process, with the same bytes as on Ray. The job dies with the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medim_forge.generator.events import Progress
from medim_forge.generator.executors.drain import drain_on_sigterm, drained
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.shards import Failure, Schedule, Setup


def run_local(setup: Setup, schedule: Schedule, shard_of: Callable[[int], Any], progress: Progress) -> ReplicaFacts:
    """Every outstanding shard is committed; arguments and errors are those of `run_shards`.

    After a failure the next attempt gets a fresh worker, because the replica may be what is broken.
    """
    worker = setup.worker(setup)
    facts = worker.start()
    with drain_on_sigterm() as draining:
        while not schedule.finished():
            order = schedule.next()
            assert order is not None
            outcome = worker.make(shard_of(order.shard), order)
            if isinstance(outcome, Failure):
                progress.report("failed", f"shard {order.shard}, attempt {order.attempt}: {outcome.error}")
                schedule.failed(order, outcome)
                worker = setup.worker(setup)
                worker.start()
            else:
                schedule.succeeded(order)
                if outcome.note:
                    progress.report("note", outcome.note)
                if outcome.record:
                    progress.committed(outcome.record)
            if draining.is_set() and schedule.unfinished:
                raise drained(schedule.left)
    return facts
