"""Runs shards one after the other in this process: no Ray, the same bytes. If the process dies, so does the job."""

from __future__ import annotations

from collections.abc import Callable

from medim_forge.generator.errors import DrainedError
from medim_forge.generator.events import Progress
from medim_forge.generator.executors.drain import drain_on_sigterm
from medim_forge.generator.records import ReplicaFacts, Shard
from medim_forge.generator.shards import Failure, Schedule, Worker, WorkerSetup


def run_local(
    setup: WorkerSetup, schedule: Schedule, shard_of: Callable[[int], Shard], progress: Progress
) -> ReplicaFacts:
    """Every outstanding shard is committed.

    Args:
        setup: what the replica gets.
        schedule: the missing shards.
        shard_of: the plan.
        progress: is told of every shard.

    Returns:
        What made them.

    Raises:
        DrainedError: SIGTERM came; the shard that ran was finished.
        MedimError: the job cannot go on.
    """
    worker = Worker(setup)
    facts = worker.start()
    with drain_on_sigterm() as draining:
        while not schedule.finished():
            order = schedule.next()
            assert order is not None
            outcome = worker.make(shard_of(order.shard), order)
            if isinstance(outcome, Failure):
                progress.tell("failed", f"shard {order.shard}, attempt {order.attempt}: {outcome.error}")
                schedule.failed(order, outcome)
                worker = Worker(setup)
                worker.start()
            else:
                schedule.succeeded(order)
                if outcome.note:
                    progress.tell("note", outcome.note)
                if outcome.record:
                    progress.committed(outcome.record)
            if draining.is_set() and schedule.unfinished:
                raise DrainedError(f"stopped on SIGTERM, {schedule.left}; run the same command to go on.")
    return facts
